//! Where the answers and the secrets come from.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::people::{Asked, Wanting};
use super::{Exit, Run, Stop, TypedPath};
use crate::change::{Change, Prior, WriteFile, journal, store};
use crate::deployment::{
    AnswerField, AnswerProblem, Answers, Deployment, Layout, Mode, Secrets, VersionWish, secrets_file,
};
use crate::error_code::ErrorCode;
use crate::host::Observe;
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::shown::Shown;

/// What the command line says about the answers.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// A file of answers; without it, those of an earlier installation apply.
    pub file: Option<TypedPath>,
    /// Single answers, as KEY=VALUE.
    pub set: Vec<String>,
    /// Ask all questions again.
    pub ask: bool,
    /// Which server should listen on ports 80 and 443; `None` leaves that to the answers.
    pub mode: Option<Mode>,
}

/// What is wanted, with its answers and secrets.
pub(super) struct Inputs {
    pub(super) deployment: Deployment,
    /// The text for the record on the host.
    pub(super) answers: String,
    pub(super) secrets: Secrets,
    /// Whether any answer was typed in the dialogue.
    pub(super) typed: bool,
}

impl Inputs {
    /// Gathers the answers: from the named file, else from an earlier installation, else from the dialogue.
    pub(super) fn gather(run: &Run<'_>, given: &Given, may_ask: bool, may_be_none: bool) -> Result<Self, Stop> {
        let (host, layout) = (run.host, &run.layout);
        let mut answers = match &given.file {
            Some(TypedPath { typed, path }) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    Stop::answers(format!("cannot read the answers file {}: {error}", typed.shown()))
                })?;
                parsed(&text, typed)?
            }
            None => answers_of_host(host, layout)?,
        };
        let from_nothing = answers.to_text().trim().is_empty();
        if let Some(mode) = given.mode {
            switch(host, layout, &mut answers, mode)?;
        }
        set(&mut answers, &given.set)?;
        if answers.to_text().trim().is_empty() && !may_ask && !may_be_none {
            let why = "nothing was changed: there is no terminal to ask on and there are no answers. Give --answers FILE \
                       (see examples/direct.toml) with --yes or --plan";
            return Err(Stop::unconfirmed(ErrorCode::NoTerminal, why));
        }
        let secrets = secrets(run, given)?;
        let wanting = if may_ask { wanting(given, &answers, &secrets, from_nothing) } else { None };
        if let Some(wanting) = &wanting {
            // What an installation can never change is not asked for again.
            let installed = Lock::of_host(host, layout)?.is_some();
            let settled: &[&str] =
                if installed && answers.get("host").is_some() { &["host", "account-domain"] } else { &[] };
            answers = run.people.answers(host, Asked { answers, secrets: &secrets, settled, wanting })?;
        }
        Ok(Self { typed: wanting.is_some(), ..Self::new(&answers, secrets)? })
    }

    /// The deployment that answers and secrets resolve to.
    pub(super) fn new(answers: &Answers, secrets: Secrets) -> Result<Self, Stop> {
        let deployment = answers.deployment(&secrets).map_err(|errors| {
            let list: Vec<String> = errors.iter().map(|error| format!("  {error}")).collect();
            Stop::answers(format!("the answers cannot be used:\n{}", list.join("\n")))
        })?;
        Ok(Self { deployment, answers: answers.to_text(), secrets, typed: false })
    }

    /// Those of the host, with these answers set.
    pub(super) fn of_host(run: &Run<'_>, set: Vec<String>) -> Result<Self, Stop> {
        Self::gather(run, &Given { set, ..Given::default() }, false, true)
    }

    /// Those on the host alone, without the environment.
    pub(super) fn on_record(run: &Run<'_>) -> Result<Self, Stop> {
        Self::new(&answers_of_host(run.host, &run.layout)?, secrets_of_host(run.host, &run.layout)?)
    }

    /// These inputs, with the release of a lock where the answers name one.
    pub(super) fn of_release(self, Lock { release, .. }: &Lock) -> Result<Self, Stop> {
        let wish = &self.deployment.release;
        if !matches!(&wish.version, VersionWish::Exact(named) if *named != release.version) {
            return Ok(self);
        }
        let mut settings = vec![format!("release.version=\"{}\"", release.version)];
        settings.extend(wish.sha256.as_ref().map(|_| format!("release.sha256=\"{}\"", release.sha256)));
        let mut answers = parsed(&self.answers, Path::new("the answers"))?;
        set(&mut answers, &settings)?;
        Self::new(&answers, self.secrets)
    }

    /// What is wanted of the host, with the release of this lock.
    pub(super) fn wanted<'a>(&'a self, lock: &'a Lock, layout: &'a Layout) -> Wanted<'a> {
        let Self { deployment, answers, secrets, .. } = self;
        Wanted { deployment, answers, secrets, lock, layout }
    }
}

/// Sets single answers, as KEY=VALUE.
fn set(answers: &mut Answers, settings: &[String]) -> Result<(), Stop> {
    settings.iter().try_for_each(|setting| answers.set(setting).map_err(Stop::answers))
}

/// What to ask for, if anything: everything for a first installation, otherwise only what is missing.
fn wanting(given: &Given, answers: &Answers, secrets: &Secrets, from_nothing: bool) -> Option<Wanting> {
    if given.ask {
        return Some(Wanting::Everything);
    }
    let missing = missing(answers, secrets).filter(|missing| !missing.is_empty())?;
    Some(if from_nothing { Wanting::Everything } else { Wanting::Missing(missing) })
}

/// Sets another mode in the answers. If an earlier switch produced these answers, its original ones are restored, so that a
/// switch and the switch back leave no difference.
fn switch(host: &dyn Observe, layout: &Layout, answers: &mut Answers, mode: Mode) -> Result<(), Stop> {
    let is_now = mode_of(answers);
    if is_now == mode.word() {
        return Ok(());
    }
    let path = layout.answers();
    let set = |answers: &mut Answers, mode: &str| answers.set(&format!("exposure.mode=\"{mode}\""));
    let current = answers.to_text();
    let recorded = |change: &Change| matches!(change, Change::File(WriteFile { path: there, .. }) if *there == path);
    for (_, prior) in journal::stayed(host, recorded)? {
        let Prior::File { sha256, .. } = prior else { continue };
        let before = String::from_utf8_lossy(&store::recall(host, &sha256)?).into_owned();
        let Ok(former) = Answers::parse(&before, path.shown().as_ref()) else { continue };
        let mut changed = former.clone();
        if mode_of(&former) == mode.word() && set(&mut changed, &is_now).is_ok() && changed.to_text() == current {
            *answers = former;
            return Ok(());
        }
    }
    set(answers, mode.word()).map_err(Stop::answers)
}

/// The mode in the answers.
fn mode_of(answers: &Answers) -> String {
    answers.get("exposure.mode").unwrap_or_else(|| "direct".to_owned())
}

/// The answers on the host, or empty ones.
fn answers_of_host(host: &dyn Observe, layout: &Layout) -> Result<Answers, Stop> {
    let path = layout.answers();
    let Some(bytes) = host.read(&path)? else { return Ok(Answers::empty()) };
    let text = String::from_utf8(bytes).map_err(|_| Stop::answers(format!("{} is not UTF-8 text", path.shown())))?;
    parsed(&text, &path)
}

/// The answers in a text.
pub(super) fn parsed(text: &str, path: &Path) -> Result<Answers, Stop> {
    Answers::parse(text, path.shown().as_ref()).map_err(Stop::answers)
}

/// Secrets from the host, overridden by those next to the answers file, then by those in the environment.
fn secrets(run: &Run<'_>, given: &Given) -> Result<Secrets, Stop> {
    let unusable = |why: String| Stop::new(Exit::Usage, ErrorCode::Secrets, why);
    let mut secrets = secrets_of_host(run.host, &run.layout)?;
    if let Some(TypedPath { typed, path }) = &given.file
        && let (typed, path) = (secrets_file(typed), secrets_file(path))
        && let Ok(metadata) = std::fs::metadata(&path)
    {
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(unusable(format!(
                "{} holds secrets and can be read by others; `chmod 600` it first, and change what stands in it",
                typed.shown()
            )));
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| unusable(format!("cannot read the secrets file {}: {error}", typed.shown())))?;
        secrets = secrets.overlaid_with(secrets_of(&text, &typed)?);
    }
    let environment = Secrets::from_environment(run.environment.clone()).map_err(Stop::secrets)?;
    Ok(secrets.overlaid_with(environment))
}

/// The secrets on the host.
fn secrets_of_host(host: &dyn Observe, layout: &Layout) -> Result<Secrets, Stop> {
    let path = layout.secrets();
    secrets_of(&String::from_utf8_lossy(&host.read(&path)?.unwrap_or_default()), &path)
}

/// The secrets in a text.
pub(super) fn secrets_of(text: &str, name: &Path) -> Result<Secrets, Stop> {
    Secrets::parse(text, name.shown().as_ref()).map_err(Stop::secrets)
}

/// The required answers that are missing; `None` if something else is wrong, which must be reported instead.
fn missing(answers: &Answers, secrets: &Secrets) -> Option<Vec<String>> {
    let errors = answers.deployment(secrets).err().unwrap_or_default();
    errors
        .into_iter()
        .map(|error| match error.problem {
            AnswerProblem::Missing { .. } if AnswerField::of(&error.key).is_some() => Some(error.key),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_apart_from_what_is_wrong() {
        let missing = |text: &str| missing(&Answers::parse(text, "t").unwrap(), &Secrets::default());
        assert_eq!(missing(""), Some(vec!["host".to_owned(), "tls.email".to_owned()]));
        assert_eq!(missing("host = \"a.example\"\ntls.email = \"a@b.example\""), Some(Vec::new()));
        assert_eq!(missing("host = \"a.example\"\n[admin]\nusername = \"a\"").unwrap().len(), 2);
        assert_eq!(missing("host = \"localhost\""), None);
        assert_eq!(missing("colour = \"red\""), None);
    }
}
