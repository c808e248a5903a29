//! `kvnet sysdump`: what another engineer needs to debug node and cluster, in one archive.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::cli::args::{Global, Sysdump};
use crate::cli::session::Session;
use crate::doctor;
use crate::error::Result;
use crate::facts::attachments::asked;
use crate::profile;
use crate::run;
use crate::sysdump::{ABOUT, About, Dump, Limits, PROFILE, RECORDING, collect, refuse_existing, write};
use crate::tape::Tape;
use crate::terminal;
use crate::topology;
use crate::trace::{Target, Trace};
use crate::ui;
use crate::ui::Format;

/// The columns of verdicts in text.
const WIDTH: Option<usize> = Some(120);
/// How many pods and VMs are traced.
const TRACES: usize = 40;

/// Runs the command. It fails only when there is no archive at the end.
pub async fn run(global: &Global, options: &Sysdump) -> Result<u8> {
    let tape = Tape::blank();
    let session = Session::recorded(global, &tape).await?;
    let taken = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed());
    let folder = folder(&session, taken);
    let path = options.file.clone().unwrap_or_else(|| Utf8PathBuf::from(format!("{folder}.tar.gz")));
    refuse_existing(&path)?;
    let bytes = usize::try_from(options.size_limit).unwrap_or(usize::MAX) << 20;
    let dump = Dump::new(&session.cx.profile, Limits::new(Duration::from_secs(options.time_limit), bytes));
    verdicts(&session, &dump, &tape).await;
    // With the verdicts, that is all that commands ask of a dump. It comes before what may fill it.
    about(&session, &dump, &tape, taken);
    collect(&session.cx, &dump).await;
    let (files, missing) = dump.finish();
    write(&path, &folder, &files, taken)?;
    tell(&path, files.len(), missing, session.format)?;
    Ok(0)
}

/// `kvnet-sysdump-node1-20261128T120000Z`.
fn folder(session: &Session, taken: i64) -> String {
    let time = Timestamp::from_second(taken).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || "-_.".contains(*c);
    let host: String = session.cx.facts.hostname.chars().filter(is_plain).collect();
    format!("kvnet-sysdump-{host}-{time}")
}

/// What kvnet itself makes of node and cluster. Recorded as it asks, so that `--from` can ask the same again.
async fn verdicts(session: &Session, dump: &Dump, tape: &Tape) {
    let cx = &session.cx;
    // An unreachable cluster, or one of another node, is a finding.
    let refusal = session.connect().await.err();
    if let Some(error) = &refusal {
        tape.keep_refusal(error);
        dump.lacks("cluster", &format!("[{}] {error}", error.code().id));
    }
    let plain = |text: String| console::strip_ansi_codes(&text).into_owned();
    let doctor = doctor::examine(cx, refusal, &session.steps, &session.selection);
    if let Some(diagnosis) = dump.part("doctor.txt", Box::pin(doctor)).await {
        dump.put("doctor.txt", &plain(ui::doctor::text(&diagnosis, WIDTH, true)));
        dump.put("doctor.json", &pretty(&json!({"checks": diagnosis.checks, "broken": diagnosis.broken()})));
    }
    if let Some(plan) = dump.part("status.txt", Box::pin(run::status(&session.job))).await {
        dump.put("status.txt", &plain(ui::status::text(&plan, WIDTH)));
    }
    if let Some(topology) = dump.part("topology.txt", Box::pin(topology::live(cx))).await {
        dump.put("topology.txt", &topology::text(&topology));
        dump.put("topology.json", &pretty(&json!(topology)));
    }
    for target in dump.part("traces", targets(session)).await.unwrap_or_default() {
        let name = format!("traces/{}.txt", target.to_string().replace([' ', '/'], "-"));
        let trace = Trace::make(cx, &target, false);
        if let Some(trace) = dump.part(&name, Box::pin(trace)).await {
            dump.put(&name, &plain(ui::trace::text(&trace, WIDTH)));
        }
    }
}

/// The VMs, and the pods with more than one network.
async fn targets(session: &Session) -> Result<Vec<Target>> {
    let cluster = session.cx.need_cluster().await?;
    let version = session.cx.profile.kubevirt.api_version();
    let machines = cluster.list(version, "VirtualMachineInstance", None, None).await?;
    let pods = cluster.list("v1", "Pod", None, None).await?;
    let text =
        |object: &Value, field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let target = |machine: bool, object: &Value| Target {
        machine,
        namespace: text(object, "namespace"),
        name: text(object, "name"),
    };
    // A VM's pod is traced with the VM.
    let has_more =
        |pod: &&Value| pod["metadata"]["labels"]["kubevirt.io"].is_null() && !asked(pod).wishes.is_empty();
    let machines = machines.iter().map(|machine| target(true, machine));
    Ok(machines.chain(pods.iter().filter(has_more).map(|pod| target(false, pod))).take(TRACES).collect())
}

/// What the dump is, its profile, and the recording.
fn about(session: &Session, dump: &Dump, tape: &Tape, taken: i64) {
    let about = About::new(taken, session.sandbox.is_some());
    dump.put_redacted(ABOUT, &pretty(&json!(about)));
    dump.put_redacted(PROFILE, &profile::to_yaml(&profile::redacted(&session.cx.profile)));
    dump.put_whole(RECORDING, &tape.text());
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

fn tell(path: &Utf8Path, files: usize, missing: usize, format: Format) -> Result<()> {
    if format != Format::Text {
        return ui::structured(&json!({"file": path, "files": files, "missing": missing}), format);
    }
    ui::print(&format!("{path}\n"));
    terminal::say(&format!("{files} files, secrets removed; read it before you hand it on"));
    if missing > 0 {
        terminal::say(&format!("{missing} parts could not be collected: not-collected.txt in it says why"));
    }
    Ok(())
}
