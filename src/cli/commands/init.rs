//! `kvnet init`: surveys the node, asks, previews the result, writes a profile, and runs `up` with it on request.

use std::sync::Arc;

use camino::Utf8Path;
use owo_colors::OwoColorize;
use serde_json::json;

use crate::cli::args::{Global, Init, Up};
use crate::cli::session::{Session, connect_options};
use crate::cluster::Cluster;
use crate::error::{Error, Result, code};
use crate::facts::survey::Survey;
use crate::host::{Host, Noted, local::LocalHost};
use crate::sandbox::Sandbox;
use crate::terminal::{clean, say, wrap};
use crate::ui::Format;
use crate::wizard::answers::YES;
use crate::wizard::given::{Given, Nobody};
use crate::wizard::id::Id;
use crate::wizard::plain::{self, Plain};
use crate::wizard::prompt::Prompt;
use crate::wizard::questions::STANDARD_OUTPUT;
use crate::wizard::terminal::{self, Restored, Terminal};
use crate::wizard::{Composed, Interview, Turn, compose, file, look, show};
use crate::{profile, ui};

/// The profile's name in messages before it has a file.
const UNNAMED: &str = "kvnet.yaml";

/// Runs the command.
pub async fn run(global: &Global, options: &Init) -> Result<u8> {
    let given = given(global, options)?;
    let asks = global.output == Format::Text && !options.defaults && terminal::is_attended();
    if !asks && given.is_empty() {
        let error =
            Error::new(&code::ANSWER_MISSING, "there is no terminal to prompt on, and no answer was given");
        return Err(error.hint(code::ANSWER_MISSING.fix));
    }
    let draws = asks && terminal::can_draw();
    let restored = Restored::new(draws);
    let made = tokio::select! {
        made = make(global, given, asks.then_some(draws), &restored) => made,
        () = super::signal() => Err(stopped()),
    };
    drop(restored);
    match made.inspect_err(|error| end_line(asks, error))? {
        Some(path) => up(global, path).await,
        None => Ok(0),
    }
}

/// The answers in flags, in the file of answers, and in the shared options.
fn given(global: &Global, options: &Init) -> Result<Given> {
    let base = profile::shipped().iter().find(|known| known.name == global.profile);
    let Some(base) = base else {
        let error = Error::new(&code::USAGE, "`kvnet init` builds on a shipped profile");
        return Err(error.hint("omit `--profile` and KVNET_PROFILE, or name one of `kvnet profile list`"));
    };
    let named = (base.name != profile::shipped()[0].name).then_some(base.name);
    let mut given = Given::new(options.defaults, named);
    for (id, answer) in options.flags.answers() {
        given.flag(id, answer);
    }
    if let Some(path) = &options.answers {
        let bytes = profile::bytes(path.as_std_path()).map_err(|error| {
            Error::new(&code::ANSWER, "the file of answers cannot be read")
                .at(path.as_str())
                .because(error)
                .hint("its lines are `NAME: ANSWER`, as `kvnet init --defaults -o yaml` prints them")
        })?;
        given.file(&bytes, path.as_str())?;
    }
    Ok(given)
}

/// Everything up to writing the file; returns its path if `up` is to run with it. `draws` is `None` without prompts.
async fn make(
    global: &Global,
    given: Given,
    draws: Option<bool>,
    restored: &Restored,
) -> Result<Option<String>> {
    let writes = global.output == Format::Text;
    let survey = survey(global).await?;
    if writes {
        introduce(&survey, draws);
    }
    let prompt: Box<dyn Prompt> = match draws {
        Some(true) => Box::new(Terminal::new(global.no_color)),
        Some(false) => Box::new(Plain),
        None => Box::new(Nobody),
    };
    let mut talk =
        Talk { interview: Interview::new(survey, given, writes, global.sandbox().is_some()), prompt };
    loop {
        talk = talk.turn(restored, |talk| talk.interview.run(talk.prompt.as_mut(), Some(&Id::Run))).await?.0;
        let path = talk.interview.answers().of(&Id::File).unwrap_or(UNNAMED).to_owned();
        let name = if path == STANDARD_OUTPUT { UNNAMED } else { &path };
        let composed = compose(&talk.interview.view(), name)?;
        unused(&talk.interview, draws)?;
        if !writes {
            print(global, &talk.interview, &composed)?;
            return Ok(None);
        }
        preview(global, &talk.interview, &composed, name).await;
        let turn;
        (talk, turn) = talk.turn(restored, |talk| talk.interview.finish(talk.prompt.as_mut())).await?;
        if turn == Turn::Done {
            return write(global, &talk.interview, &composed, path).await;
        }
    }
}

/// The interview and its prompt.
struct Talk {
    interview: Interview,
    prompt: Box<dyn Prompt>,
}

impl Talk {
    /// Prompts on a thread of its own: a read from the terminal cannot be cancelled, and only a detached thread lets the
    /// program exit on a signal.
    async fn turn(
        mut self,
        restored: &Restored,
        ask: impl FnOnce(&mut Self) -> Result<Turn> + Send + 'static,
    ) -> Result<(Self, Turn)> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        restored.ask(true);
        std::thread::spawn(move || {
            let turn = ask(&mut self);
            // After a signal the receiver is gone.
            let _ = sender.send((self, turn));
        });
        let lost = |error| Error::new(&code::INTERNAL, "the interview ended unexpectedly").because(error);
        let (talk, turn) = receiver.await.map_err(lost)?;
        restored.ask(false);
        match turn? {
            Turn::Stopped => Err(stopped()),
            turn => Ok((talk, turn)),
        }
    }
}

fn stopped() -> Error {
    let error = Error::new(&code::CANCELLED, "interrupted; nothing was written");
    error.hint("run `kvnet init` again")
}

/// Ends the line that the cursor may be in.
fn end_line(asks: bool, error: &Error) {
    if asks && error.code() == &code::CANCELLED {
        say("");
    }
}

async fn survey(global: &Global) -> Result<Survey> {
    let profile = profile::load(&global.profile, &[])?.profile;
    let global = &for_looking(global).await?;
    let sandbox = global.sandbox().map(|options| Sandbox::open(&options, &profile)).transpose()?;
    let host: Arc<dyn Host> = sandbox.as_ref().map_or_else(|| Arc::new(LocalHost) as _, Sandbox::host);
    let host: Arc<dyn Host> = Arc::new(Noted(host));
    let cluster = match &sandbox {
        Some(sandbox) => Ok(sandbox.cluster()),
        None => Cluster::connect(&connect_options(global)).await,
    };
    Ok(look::look(host.as_ref(), cluster, &profile).await)
}

/// Replaces a sandbox that does not exist yet by one in memory: only `up` creates it.
async fn for_looking(global: &Global) -> Result<Global> {
    let mut global = global.clone();
    if let Some(directory) = &global.sandbox_dir
        && LocalHost.list(directory).await?.is_none_or(|names| names.is_empty())
    {
        (global.sandbox, global.sandbox_dir) = (true, None);
    }
    Ok(global)
}

fn introduce(survey: &Survey, draws: Option<bool>) {
    let width = terminal::width();
    let lines = |text: &str| wrap(text, width).iter().for_each(|line| say(line));
    if let Some(draws) = draws {
        lines(
            "Answer a few questions to get a profile for `kvnet up`. Nothing is changed until you confirm.",
        );
        lines(if draws { terminal::KEYS } else { plain::KEYS });
        say("");
    }
    heading("Found on this node");
    say(show::columns(&show::seen(survey), width).trim_end());
}

fn heading(text: &str) {
    say(&text.bold().to_string());
}

/// Refuses answers to questions that were not asked; in a terminal, where all is answered by then, only mentions them.
fn unused(interview: &Interview, draws: Option<bool>) -> Result<()> {
    let mut unused = interview.unused().into_iter();
    if draws.is_none() {
        return unused.next().map_or(Ok(()), Err);
    }
    unused.for_each(|error| say(&format!("not used: {}", clean(&error.to_string()))));
    Ok(())
}

fn print(global: &Global, interview: &Interview, composed: &Composed) -> Result<()> {
    let data = json!({
        "answers": interview.answers().to_json(),
        "profile": profile::redacted(&composed.profile),
        "text": composed.text,
    });
    ui::structured(&data, global.output)
}

/// Previews the result: a summary, the plan, and the file.
async fn preview(global: &Global, interview: &Interview, composed: &Composed, name: &str) {
    let width = terminal::width();
    let view = interview.view();
    say("");
    heading("Summary");
    let rows = show::summary(&composed.profile, interview.answers().of(&Id::Base).unwrap_or_default());
    say(show::columns(&rows, width).trim_end());
    say("");
    heading("Plan");
    match plan(global, composed, name, width).await {
        Ok(plan) => {
            say(plan.trim_end());
            say("  (`kvnet plan` shows each change in full)");
        }
        Err(error) => {
            let mut rows = vec![("not now".to_owned(), format!("{error} [{}]", error.code().id))];
            rows.extend(error.hints().first().map(|hint| ("hint".to_owned(), (*hint).to_owned())));
            say(show::columns(&rows, width).trim_end());
        }
    }
    say("");
    heading(&format!("Profile {}", clean(view.answers.of(&Id::File).unwrap_or(name))));
    composed.text.lines().for_each(|line| say(format!("  {line}").trim_end()));
}

async fn plan(global: &Global, composed: &Composed, name: &str, width: usize) -> Result<String> {
    let loaded = profile::load_text(&composed.text, name, &[])?;
    let session = Session::with(&for_looking(global).await?, loaded).await?;
    let plan = crate::run::plan(&session.job).await?;
    Ok(show::plan(&plan, width))
}

async fn write(
    global: &Global,
    interview: &Interview,
    composed: &Composed,
    path: String,
) -> Result<Option<String>> {
    if path == STANDARD_OUTPUT {
        ui::print(&composed.text);
        return Ok(None);
    }
    let answers = interview.answers();
    file::write(&path, &composed.text, answers.is(&Id::Overwrite, YES)).await?;
    say("");
    say(&format!("wrote {path}"));
    if answers.is(&Id::Run, YES) {
        return Ok(Some(path));
    }
    let more = match (&global.sandbox_dir, global.sandbox) {
        (Some(directory), _) => format!(" --sandbox-dir {directory}"),
        (None, true) => " --sandbox".into(),
        (None, false) => String::new(),
    };
    say(&format!("next: kvnet plan --profile {path}{more}"));
    say(&format!("then: kvnet up --profile {path}{more}"));
    Ok(None)
}

/// Runs `up`, which shows its plan and asks on a real node.
async fn up(global: &Global, path: String) -> Result<u8> {
    // Without a slash and an extension, the name could be that of a shipped profile.
    debug_assert!(Utf8Path::new(&path).extension().is_some());
    say("");
    let global = Global { profile: path, ..global.clone() };
    super::up::run(&global, &Up { yes: false, force_conflicts: false }).await
}
