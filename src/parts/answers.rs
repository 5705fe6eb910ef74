//! The record of what was asked for: answers, lock and secrets, on the host.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Refusal, managed_file};
use crate::change::{Action, Content, Step, WriteFile};
use crate::deployment::{Answers, Deployment, Layout, Secrets};
use crate::host::{Entry, HostError, Observe, Owner};
use crate::release::LockedRelease;

/// Version of the lock file's format.
pub const LOCK_SCHEMA: u32 = 1;

/// `deployment.lock`: what the answers came to, so that the same bytes come out of them again on every host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Lock {
    /// [`LOCK_SCHEMA`].
    pub schema: u32,
    /// Host name: it can never be changed.
    pub host: String,
    /// Account domain: it can never be changed either.
    pub account_domain: String,
    /// The release.
    pub release: LockedRelease,
}

impl Lock {
    /// The lock of a deployment.
    pub fn new(deployment: &Deployment, release: LockedRelease) -> Self {
        Self {
            schema: LOCK_SCHEMA,
            host: deployment.host.to_string(),
            account_domain: deployment.effective_account_domain().to_string(),
            release,
        }
    }

    /// Reads a lock file's text.
    ///
    /// # Errors
    /// In words: it is no lock file, or one of a newer schema.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if lock.schema > LOCK_SCHEMA {
            return Err(format!("it was written by a newer gts-bootstrap (schema {}); use that one", lock.schema));
        }
        Ok(lock)
    }

    /// The text of the lock file.
    ///
    /// # Errors
    /// It cannot be written as TOML.
    pub fn to_text(&self) -> Result<String, String> {
        let body = toml::to_string(self).map_err(|error| error.to_string())?;
        Ok(format!(
            "# What deployment.toml came to: written by gts-bootstrap, not meant to be edited. With the same answers and\n\
             # this file the same bytes are installed on every host.\n\n{body}"
        ))
    }

    /// The lock that the host keeps from an earlier installation.
    ///
    /// # Errors
    /// It cannot be read or understood.
    pub fn of_host(host: &dyn Observe, layout: &Layout) -> Result<Option<Self>, Refusal> {
        let path = layout.lock();
        let Some(text) = managed_file::read_text(host, &path)? else { return Ok(None) };
        Self::parse(&text).map(Some).map_err(|why| Refusal::Edit { path, why })
    }
}

/// What is deployed here, by the answers that an installation has left; `None` if there are none.
///
/// # Errors
/// The host cannot be read, or the answers, or the secrets beside them, cannot be used.
pub fn deployed(host: &dyn Observe, layout: &Layout) -> Result<Option<Deployment>, Refusal> {
    fn words<E: ToString>(errors: &[E]) -> Refusal {
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Refusal::Answers(lines.join("\n"))
    }
    let read = |path: &Path| -> Result<Option<String>, HostError> {
        Ok(host.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let path = layout.answers();
    let Some(text) = read(&path)? else { return Ok(None) };
    let secrets = match read(&layout.secrets())? {
        Some(text) => {
            Secrets::parse(&text, &layout.secrets().display().to_string()).map_err(|errors| words(&errors))?
        }
        None => Secrets::default(),
    };
    let answers = Answers::parse(&text, &path.display().to_string()).map_err(|error| words(&[error]))?;
    answers.deployment(&secrets).map(Some).map_err(|errors| words(&errors))
}

/// Refuses answers that would change what can never be changed.
///
/// # Errors
/// The host name or the account domain differs from that of the installation.
pub fn check_identity(installed: Option<&Lock>, deployment: &Deployment) -> Result<(), Refusal> {
    let Some(installed) = installed else { return Ok(()) };
    let wanted = deployment.host.to_string();
    if installed.host != wanted {
        return Err(Refusal::HostChanged { installed: installed.host.clone(), wanted });
    }
    let wanted = deployment.effective_account_domain().to_string();
    if installed.account_domain != wanted {
        return Err(Refusal::AccountDomainChanged { installed: installed.account_domain.clone(), wanted });
    }
    Ok(())
}

/// Plans the record.
///
/// # Errors
/// A file cannot be looked at.
pub fn plan(
    host: &dyn Observe,
    layout: &Layout,
    answers: &str,
    secrets: &Secrets,
    lock: &Lock,
) -> Result<Vec<Step>, Refusal> {
    let lock = lock.to_text().map_err(|why| Refusal::Edit { path: layout.lock(), why })?;
    let mut steps = Vec::new();
    steps.extend(file(host, &layout.answers(), answers, 0o640)?);
    steps.extend(file(host, &layout.lock(), &lock, 0o644)?);
    if !secrets.is_empty() {
        steps.extend(file(host, &layout.secrets(), &secrets.to_text(), 0o600)?);
    }
    Ok(steps)
}

fn file(host: &dyn Observe, path: &Path, text: &str, mode: u32) -> Result<Option<Step>, Refusal> {
    let entry = host.entry(path)?;
    let same = matches!(entry, Some(Entry::File { mode: now, owner, .. }) if now == mode && owner == Owner::ROOT)
        && host.read(path)?.as_deref() == Some(text.as_bytes());
    if same {
        return Ok(None);
    }
    let action = if entry.is_some() { Action::Update } else { Action::Create };
    let change = WriteFile { path: path.to_owned(), content: Content::new(text), mode, owner: Owner::ROOT };
    Ok(Some(Step::new("answers", action, change)))
}
