//! Small programs of every system.

use camino::Utf8Path;
use rustix::io::Errno;

use super::{Invocation, fails, prints, reason};
use crate::host::{FileKind, Output};
use crate::node::files::Files;
use crate::node::seed::containerd_configuration;
use crate::node::{edit, kernel, seed};

/// `uname -m`.
pub(super) fn uname(call: &mut Invocation<'_, '_>) -> Option<Output> {
    (call.words == ["-m"]).then(|| prints("x86_64\n"))?
}

/// `mv -- FROM TO`.
pub(super) fn mv(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let ["--", from, to] = call.words[..] else { return None };
    let files = Files { transaction: call.transaction, user: call.user };
    let stat = |path: &str| files.stat(Utf8Path::new(path)).ok().flatten();
    if stat(from).is_none() {
        return fails(1, format!("mv: cannot stat '{from}': {}", reason(Errno::NOENT)));
    }
    let target = match stat(to).map(|stat| stat.kind) {
        Some(FileKind::Directory) => {
            Utf8Path::new(to).join(Utf8Path::new(from).file_name().unwrap_or_default())
        }
        _ => to.into(),
    };
    match edit::replace(call.transaction, call.user, Utf8Path::new(from), &target) {
        Ok(()) => prints(""),
        Err(error) => fails(1, format!("mv: cannot move '{from}' to '{target}': {}", reason(error))),
    }
}

/// `rmdir --ignore-fail-on-non-empty PATH`.
pub(super) fn rmdir(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let ["--ignore-fail-on-non-empty", path] = call.words[..] else { return None };
    match edit::remove_directory(call.transaction, call.user, Utf8Path::new(path)) {
        Ok(()) | Err(Errno::NOTEMPTY) => prints(""),
        Err(error) => fails(1, format!("rmdir: failed to remove '{path}': {}", reason(error))),
    }
}

/// `modprobe [--dry-run] MODULE`.
pub(super) fn modprobe(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let (dry, module) = match call.words[..] {
        ["--dry-run", module] => (true, module),
        [module] if !module.starts_with('-') => (false, module),
        _ => return None,
    };
    if !kernel::is_there(call.transaction, call.seed, module) {
        let release = kernel::release(call.transaction);
        return fails(
            1,
            format!("modprobe: FATAL: Module {module} not found in directory /lib/modules/{release}"),
        );
    }
    if !dry && call.user != 0 && !kernel::is_loaded(call.transaction, module) {
        return fails(1, format!("modprobe: ERROR: could not insert '{module}': {}", reason(Errno::PERM)));
    }
    if !dry {
        kernel::load(call.transaction, call.seed, module);
    }
    prints("")
}

/// `sysctl -w NAME=VALUE`.
pub(super) fn sysctl(call: &mut Invocation<'_, '_>) -> Option<Output> {
    let ["-w", setting] = call.words[..] else { return None };
    let (name, value) = setting.split_once('=')?;
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let files = Files { transaction: call.transaction, user: 0 };
    match files.stat(Utf8Path::new(&path)) {
        Ok(Some(stat)) if stat.kind == FileKind::File => {}
        _ => return fails(1, format!("sysctl: cannot stat {path}: {}", reason(Errno::NOENT))),
    }
    if call.user != 0 {
        return fails(1, format!("sysctl: permission denied on key \"{name}\""));
    }
    seed::file(call.transaction, &path, 0o644, &format!("{value}\n"));
    prints(format!("{name} = {value}\n"))
}

/// `containerd config dump`.
pub(super) fn containerd(call: &mut Invocation<'_, '_>) -> Option<Output> {
    (call.words == ["config", "dump"]).then(|| prints(containerd_configuration(call.seed.distribution)))?
}
