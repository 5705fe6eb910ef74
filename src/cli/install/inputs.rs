//! Where the answers and the secrets come from.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::super::dialogue::{self, Wish};
use super::super::exit::Exit;
use super::super::surroundings::Surroundings;
use super::{Arguments, Stop};
use crate::change::{Change, Prior, WriteFile, journal, store};
use crate::deployment::{Answers, Deployment, Layout, Mode, Secrets, secrets_file};
use crate::error_code::ErrorCode;
use crate::host::Host;
use crate::parts::answers::Lock;

/// What is wanted, and the texts that say so.
pub(in crate::cli) struct Inputs {
    pub(in crate::cli) deployment: Deployment,
    /// For the record on the host.
    pub(in crate::cli) answers: String,
    pub(in crate::cli) secrets: Secrets,
    /// Whether somebody has typed any of it in the dialogue.
    pub(in crate::cli) typed: bool,
}

impl Inputs {
    /// Gathers the answers: a file that was named, else those of an earlier installation, else the dialogue.
    pub(in crate::cli) fn gather(
        host: &dyn Host,
        around: &Surroundings,
        layout: &Layout,
        arguments: &Arguments,
        mode: Option<Mode>,
        may_ask: bool,
    ) -> Result<Self, Stop> {
        let mut answers = base(host, around, layout, arguments)?;
        let from_nothing = answers.to_text().trim().is_empty();
        if let Some(mode) = mode {
            switch(host, layout, &mut answers, mode)?;
        }
        let options = [("release.version", &arguments.release), ("release.sha256", &arguments.sha256)];
        let named =
            options.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}=\"{value}\"")));
        for setting in arguments.set.iter().cloned().chain(named) {
            answers.set(&setting).map_err(|error| Stop::answers(error.to_string()))?;
        }
        let nothing_said = answers.to_text().trim().is_empty();
        if nothing_said && !may_ask && !arguments.yes && !arguments.plan {
            return Err(Stop::new(
                Exit::NotConfirmed,
                ErrorCode::NoTerminal,
                "nothing was changed: there is no terminal to ask on and there are no answers. Give --answers FILE (see \
                 examples/direct.toml) with --yes or --plan",
            ));
        }
        let secrets = secrets(host, around, layout, arguments)?;
        let mut typed = false;
        if may_ask && let Some(wish) = wish(arguments, &answers, &secrets, from_nothing) {
            let settled = settled(host, layout, &answers)?;
            answers = dialogue::ask(around, host.observe(), answers, &secrets, settled, &wish)?;
            typed = true;
        }
        let deployment = answers.deployment(&secrets).map_err(|errors| {
            let list: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
            Stop::answers(format!("the answers cannot be used:\n{}", list.join("\n")))
        })?;
        Ok(Self { deployment, answers: answers.to_text(), secrets, typed })
    }
}

/// What has to be asked for, if anything: all at a first installation, else only what is missing.
fn wish(arguments: &Arguments, answers: &Answers, secrets: &Secrets, from_nothing: bool) -> Option<Wish> {
    if arguments.ask {
        return Some(Wish::Everything);
    }
    let missing = dialogue::missing(answers, secrets)?;
    match missing.is_empty() {
        true => None,
        false if from_nothing => Some(Wish::Everything),
        false => Some(Wish::Missing(missing)),
    }
}

/// What an installation can never change, and is not asked for again.
fn settled(host: &dyn Host, layout: &Layout, answers: &Answers) -> Result<&'static [&'static str], Stop> {
    let installed = Lock::of_host(host, layout).map_err(Stop::failed)?.is_some();
    Ok(if installed && answers.get("host").is_some() { &["host", "account-domain"] } else { &[] })
}

/// Puts another mode into the answers. If these are what an earlier switch made of the answers before it, they become these
/// again, so that a switch there and back leaves nothing.
fn switch(host: &dyn Host, layout: &Layout, answers: &mut Answers, mode: Mode) -> Result<(), Stop> {
    if mode_of(answers) == mode.word() {
        return Ok(());
    }
    let path = layout.answers();
    let set = |answers: &mut Answers, mode: &str| {
        answers.set(&format!("exposure.mode=\"{mode}\"")).map_err(|error| Stop::answers(error.to_string()))
    };
    let current = answers.to_text();
    let recorded = |change: &Change| matches!(change, Change::File(WriteFile { path: there, .. }) if *there == path);
    for prior in journal::priors(host.observe(), recorded)? {
        let Prior::File { sha256, .. } = prior else { continue };
        let before = String::from_utf8_lossy(&store::recall(host.observe(), &sha256)?).into_owned();
        let Ok(former) = Answers::parse(&before, &path.display().to_string()) else { continue };
        let mut changed = former.clone();
        if mode_of(&former) == mode.word()
            && set(&mut changed, &mode_of(answers)).is_ok()
            && changed.to_text() == current
        {
            *answers = former;
            return Ok(());
        }
    }
    set(answers, mode.word())
}

/// The mode that answers give.
fn mode_of(answers: &Answers) -> String {
    let text = answers.to_text();
    let table: Option<toml::Table> = text.parse().ok();
    let mode = table.as_ref().and_then(|table| table.get("exposure")?.get("mode")?.as_str().map(str::to_owned));
    mode.unwrap_or_else(|| "direct".to_owned())
}

fn base(host: &dyn Host, around: &Surroundings, layout: &Layout, arguments: &Arguments) -> Result<Answers, Stop> {
    let usage = |why: String| Stop::answers(why);
    if let Some(file) = &arguments.answers {
        let text = std::fs::read_to_string(around.path(file))
            .map_err(|error| usage(format!("cannot read the answers file {}: {error}", file.display())))?;
        return Answers::parse(&text, &file.display().to_string()).map_err(|error| usage(error.to_string()));
    }
    let path = layout.answers();
    let there = host.read(&path)?;
    match there {
        Some(bytes) => {
            let text = String::from_utf8(bytes).map_err(|_| usage(format!("{} is not UTF-8 text", path.display())))?;
            Answers::parse(&text, &path.display().to_string()).map_err(|error| usage(error.to_string()))
        }
        None => Ok(Answers::empty()),
    }
}

/// Secrets: those on the host, under those beside the answers file, under those in the environment.
fn secrets(host: &dyn Host, around: &Surroundings, layout: &Layout, arguments: &Arguments) -> Result<Secrets, Stop> {
    let unusable = |why: String| Stop::new(Exit::Usage, ErrorCode::Secrets, why);
    let parse = |text: &str, name: &Path| Secrets::parse(text, &name.display().to_string()).map_err(Stop::secrets);
    let mut secrets = Secrets::default();
    let path = layout.secrets();
    if let Some(bytes) = host.read(&path)? {
        secrets = parse(&String::from_utf8_lossy(&bytes), &path)?;
    }
    if let Some(file) = arguments.answers.as_deref().map(secrets_file)
        && let Ok(metadata) = std::fs::metadata(around.path(&file))
    {
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(unusable(format!(
                "{} holds secrets and can be read by others; `chmod 600` it first, and change what stands in it",
                file.display()
            )));
        }
        let text = std::fs::read_to_string(around.path(&file))
            .map_err(|error| unusable(format!("cannot read the secrets file {}: {error}", file.display())))?;
        secrets = secrets.overlaid_with(parse(&text, &file)?);
    }
    let environment = Secrets::from_environment(around.variables()).map_err(Stop::secrets)?;
    Ok(secrets.overlaid_with(environment))
}
