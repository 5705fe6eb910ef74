//! The record of the installation on its host: answers, lock and secrets.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Refusal, managed_file, put};
use crate::change::{Step, WriteFile};
use crate::deployment::{Answers, Deployment, Layout, Secrets};
use crate::host::{Observe, Owner};
use crate::release::LockedRelease;
use crate::shown::Shown;

/// Version of the lock file's format.
pub const LOCK_SCHEMA: u32 = 1;

/// `deployment.lock`: what the answers resolved to, so that they install the same bytes on every host.
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

/// The deployment of this host, from the answers that an installation has left; `None` if there are none.
///
/// # Errors
/// The host could not be read, or the answers, or the secrets beside them, cannot be used.
pub fn deployed(host: &dyn Observe, layout: &Layout) -> Result<Option<Deployment>, Refusal> {
    fn unusable<E: ToString>(errors: &[E]) -> Refusal {
        Refusal::Answers(errors.iter().map(E::to_string).collect::<Vec<_>>().join("\n"))
    }
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let read = |path: &Path| host.read(path).map(|bytes| bytes.map(lossy));
    let path = layout.answers();
    let Some(text) = read(&path)? else { return Ok(None) };
    let secrets = read(&layout.secrets())?
        .map(|text| Secrets::parse(&text, layout.secrets().shown().as_ref()))
        .transpose()
        .map_err(|errors| unusable(&errors))?
        .unwrap_or_default();
    let answers = Answers::parse(&text, path.shown().as_ref()).map_err(|error| unusable(&[error]))?;
    answers.deployment(&secrets).map(Some).map_err(|errors| unusable(&errors))
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
    let mut files = vec![(layout.answers(), answers.to_owned(), 0o640), (layout.lock(), lock, 0o644)];
    if !secrets.is_empty() {
        files.push((layout.secrets(), secrets.to_text(), 0o600));
    }
    let mut steps = Vec::new();
    for (path, text, mode) in files {
        steps.extend(put::file(host, "answers", WriteFile::new(path, text, mode, Owner::ROOT))?);
    }
    Ok(steps)
}
