//! `kvnet smoke`: end-to-end tests of the networks with test pods.
#![allow(clippy::disallowed_methods, reason = "the report belongs to the machine that runs kvnet")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::args::Global;
use crate::cli::session::Session;
use crate::cli::smoke_args::Smoke;
use crate::cluster::Cluster;
use crate::error::{Error, Kind, Result, code};
use crate::smoke::{Choice, Collector, Pending, Report, Run, Situation, boot, junit};
use crate::state::file_error;
use crate::ui::Format;
use crate::{log, terminal, ui};

/// Runs the command.
pub async fn run(global: &Global, options: &Smoke) -> Result<u8> {
    if options.only_lists() {
        ui::smoke::list(global.output)?;
        return Ok(0);
    }
    let started = Instant::now();
    let choice =
        Choice { names: options.cases.clone(), tags: options.tag.clone(), skip: options.skip_case.clone() };
    let cases = choice.cases()?;
    let session = Session::start(global).await?;
    session.connect().await?;
    let cluster = session.cx.need_cluster().await?;
    answers(&session, &cluster, options.resume).await?;
    let _lock = session.cx.state.lock("smoke")?;
    let pending = pending(&session, options).await?;
    let resumes = pending.is_some() || options.allow_reboot;
    let id = id();
    let directory = options.collect.clone().unwrap_or_else(|| session.cx.state.path("smoke").join(&id));
    let run = Run {
        situation: Situation::of(&session.cx, &cluster, resumes).await?,
        cx: session.cx.clone(),
        cluster,
        collector: Collector { directory: absolute(&directory) },
        cancel: super::stop_on_signal_saying(
            "stopping: the cases clean up; press Ctrl-C again to stop at once",
        ),
        jobs: usize::from(options.jobs),
        id,
        listener: Arc::new(log::Heard(ui::smoke::listener(global.output, global.verbose))),
    };
    session.cx.acts().await;
    let work = async {
        match pending {
            Some(pending) => run.resume(pending).await,
            None => run.all(&cases).await,
        }
    };
    let results = session.until_it_fails(Box::pin(work)).await?;
    let report = Report::of(results, started.elapsed().as_secs_f64());
    finish(&report, options, global)
}

fn finish(report: &Report, options: &Smoke, global: &Global) -> Result<u8> {
    ui::smoke::show(report, global.output)?;
    if let Some(path) = &options.junit {
        std::fs::write(path, junit(report)?).map_err(|error| file_error(path, &error))?;
    }
    // A document already contains it.
    match report.error() {
        Some(error) if global.output == Format::Text => ui::error(&error, global.output),
        Some(_) => ui::name_log(),
        None => {}
    }
    Ok(report.exit_code())
}

/// Waits until the API server answers, as long as a boot may take; without `patient`, asks once.
async fn answers(session: &Session, cluster: &Cluster, patient: bool) -> Result<()> {
    let time = Duration::from_secs(session.cx.profile.timeouts.ready);
    let until = Instant::now() + if patient { time } else { Duration::ZERO };
    loop {
        match cluster.reachable().await {
            Err(error) if error.kind() == Kind::Transient && Instant::now() < until => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

/// The run to resume, if that was requested and the node has rebooted.
async fn pending(session: &Session, options: &Smoke) -> Result<Option<Pending>> {
    let found = Pending::read(&session.cx.state)?;
    if !options.resume && !options.allow_reboot {
        return found.map_or(Ok(None), |_| {
            terminal::say("discarding a smoke test that waited for a reboot");
            Pending::forget(&session.cx.state).map(|()| None)
        });
    }
    let now = boot(&session.cx).await?;
    match found {
        Some(pending) if pending.boot != now => Ok(Some(pending)),
        Some(_) if options.resume => Err(Error::new(&code::SMOKE_RESUME, "the node has not rebooted yet")
            .hint("reboot it, or start over with `kvnet smoke --allow-reboot reboot`")),
        None if options.resume => {
            Err(Error::new(&code::SMOKE_RESUME, "no smoke test is waiting for a reboot"))
        }
        _ => Ok(None),
    }
}

/// The run's own part of names: short, and different for each run on a machine.
fn id() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    format!("{:08x}", now & 0xffff_ffff)
}

/// The path, independent of the working directory.
fn absolute(path: &Utf8Path) -> Utf8PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| Utf8PathBuf::from_path_buf(here).ok());
    here.map_or_else(|| path.to_owned(), |here| here.join(path))
}
