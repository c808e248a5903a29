//! The node for the cluster's daemons and for tests: synchronous, without injected faults, as root.

use std::collections::BTreeSet;

use camino::Utf8Path;

use super::entry::{Content, Entry};
use super::files::{Answer, Files};
use super::{NetworkLink, SandboxHost, SwitchPort, catalogue, edit, links, ovs, units};
use crate::error::Result;
use crate::facts::ovs::OvsState;
use crate::host::files::failed;
use crate::host::{Stat, UnitState};
use crate::store::Transaction;

impl SandboxHost {
    /// The content of a file, links followed; none when there is none.
    pub fn file(&self, path: impl AsRef<Utf8Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        self.read_files(|files| files.read(path), "read", path)
    }

    /// The text of a file; none when there is none.
    pub fn text(&self, path: impl AsRef<Utf8Path>) -> Result<Option<String>> {
        Ok(self.file(path)?.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }

    /// What is at a path, links not followed; none when nothing is.
    pub fn status(&self, path: impl AsRef<Utf8Path>) -> Result<Option<Stat>> {
        let path = path.as_ref();
        self.read_files(|files| files.stat(path), "access", path)
    }

    /// The names in a directory, sorted by bytes; none when there is no directory.
    pub fn names(&self, directory: impl AsRef<Utf8Path>) -> Result<Option<Vec<String>>> {
        let directory = directory.as_ref();
        self.read_files(|files| files.list(directory), "list", directory)
    }

    /// Makes or replaces a file with its directories; changes nothing, not even the revision, when it is so already.
    pub fn put_file(&self, path: impl AsRef<Utf8Path>, content: &[u8], mode: u32) -> Result<()> {
        self.put_entry(path.as_ref(), Content::File(content), mode)
    }

    /// Makes a directory with those above it.
    pub fn put_directory(&self, path: impl AsRef<Utf8Path>) -> Result<()> {
        self.put_entry(path.as_ref(), Content::Directory, 0o755)
    }

    /// Makes a symbolic link, in place of what is there.
    pub fn put_link(&self, path: impl AsRef<Utf8Path>, target: &str) -> Result<()> {
        self.put_entry(path.as_ref(), Content::Link(target), 0o777)
    }

    /// Makes a socket.
    pub fn put_socket(&self, path: impl AsRef<Utf8Path>) -> Result<()> {
        self.put_entry(path.as_ref(), Content::Other, 0o755)
    }

    /// Changes the permission bits of a path, if it exists.
    pub fn set_mode(&self, path: impl AsRef<Utf8Path>, mode: u32) -> Result<()> {
        let path = path.as_ref();
        self.change_files(|transaction| edit::set_mode(transaction, path, mode), "change", path)
    }

    /// Removes a file, link or socket; fine when there is none.
    pub fn remove_file(&self, path: impl AsRef<Utf8Path>) -> Result<()> {
        let path = path.as_ref();
        self.change_files(|transaction| edit::remove(transaction, 0, path).map(|_| ()), "remove", path)
    }

    /// The network links, by name.
    pub fn links(&self) -> Result<Vec<NetworkLink>> {
        self.0.store.read(links::all)
    }

    /// Adds or replaces a network link.
    pub fn put_network_link(&self, link: &NetworkLink) -> Result<()> {
        self.0.store.write(|transaction| links::put(transaction, link))
    }

    /// Removes a network link; fine when there is none.
    pub fn remove_network_link(&self, name: &str) -> Result<()> {
        self.0.store.write(|transaction| links::remove(transaction, name))
    }

    /// The names of the installed packages.
    pub fn packages(&self) -> Result<BTreeSet<String>> {
        self.0.store.read(|transaction| catalogue::installed(transaction).into_iter().collect())
    }

    /// The state of a service; none when there is no such service.
    pub fn unit(&self, name: &str) -> Result<Option<UnitState>> {
        self.0.store.read(|transaction| units::state(transaction, name))
    }

    /// What Open vSwitch has; none while it does not run.
    pub fn open_vswitch(&self) -> Result<Option<OvsState>> {
        self.0.store.read(ovs::state)
    }

    /// Connects a port, like a client of the database; false when the bridge does not exist, the name is taken, or Open
    /// vSwitch is not running. Its network link must exist, or the switch cannot set it up.
    pub fn add_switch_port(&self, port: &SwitchPort) -> Result<bool> {
        self.0.store.write(|transaction| ovs::add_port(transaction, port))
    }

    /// Removes a port from its bridge; false when it does not exist, or Open vSwitch is not running.
    pub fn remove_switch_port(&self, name: &str) -> Result<bool> {
        self.0.store.write(|transaction| ovs::remove_port(transaction, name))
    }

    fn put_entry(&self, path: &Utf8Path, content: Content<'_>, mode: u32) -> Result<()> {
        let entry = Entry { content, mode, uid: 0 };
        self.change_files(|transaction| edit::put(transaction, path, &entry), "write", path)
    }

    fn read_files<T>(
        &self,
        look: impl FnOnce(Files<'_>) -> Answer<T>,
        verb: &str,
        path: &Utf8Path,
    ) -> Result<T> {
        let found = self.0.store.read(|transaction| look(Files { transaction, user: 0 }))?;
        found.map_err(|error| failed(&error.into(), verb, path))
    }

    fn change_files<T>(
        &self,
        change: impl FnOnce(&mut Transaction<'_>) -> Answer<T>,
        verb: &str,
        path: &Utf8Path,
    ) -> Result<T> {
        self.0.store.write(change)?.map_err(|error| failed(&error.into(), verb, path))
    }
}
