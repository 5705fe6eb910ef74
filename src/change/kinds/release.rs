//! A release of GoToSocial.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::change::kind::prelude::*;
use crate::change::operator::Interruption;
use crate::change::store;
use crate::host::look::delegate;
use crate::release::{self, Fetcher, HttpSettings, Limits, LockedRelease};

/// Installs a release: downloads it, verifies it, unpacks it beside its place, and renames it into that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallRelease {
    /// Which one, with its digest.
    pub release: LockedRelease,
    /// The folder that it becomes.
    pub directory: PathBuf,
}

impl InstallRelease {
    /// Where a release that is being replaced stands meanwhile.
    fn replaced(&self) -> PathBuf {
        let name = self.directory.file_name().unwrap_or_default().to_string_lossy();
        self.directory.with_file_name(format!(".replaced-{name}"))
    }
}

impl Kind for InstallRelease {
    named!(ErrorCode::Release, "release");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Path(self.directory.clone()), Left::Tree))
    }

    fn detail(&self) -> String {
        format!("{}, SHA-256 {}", self.release.asset, self.release.sha256)
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        Prior::at(host, &self.directory)
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, directory) = (executor.host, &self.directory);
        let source = executor.source.ok_or("no source to take the release from")?;
        let old = self.replaced();
        if host.entry(directory)?.is_some() {
            host.remove_tree(&old)?;
            host.rename(directory, &old)?;
        }
        let (directory, partial) = (host.local_path(directory), host.local_path(&store::download()));
        let target = release::Target { directory: &directory, partial: &partial };
        let progress = Interruptible { executor, progress: executor.operator.progress() };
        let fetcher = Fetcher::new(HttpSettings::default(), host.stranger()?, &progress);
        match release::fetch(&self.release, source, target, &Limits::default(), &fetcher) {
            Ok(()) => Ok(host.remove_tree(&old)?),
            Err(error @ release::Error::Stopped) => {
                Err(Failure::Interrupted((executor.stop)().unwrap_or_else(|| error.to_string())))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the release, with what was downloaded of it, and puts back the one that it replaced.
    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        host.remove_tree(&store::download())?;
        self.put_off(host, prior)
    }

    /// What was downloaded stays for the next run.
    fn put_off(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        let (old, directory): (_, &Path) = (self.replaced(), &self.directory);
        host.remove_tree(&release::staging(directory))?;
        if host.entry(&old)?.is_some() {
            host.remove_tree(directory)?;
            return host.rename(&old, directory);
        }
        host.remove_tree(directory)
    }
}

/// A download that can be interrupted, as a run can between two changes.
struct Interruptible<'a> {
    executor: &'a Executor<'a>,
    progress: &'a dyn release::Progress,
}

impl release::Progress for Interruptible<'_> {
    delegate! { to progress;
        fn begin(&self, what: &str, total: Option<u64>);
        fn advance(&self, bytes: u64);
        fn retry(&self, reason: &str, wait: Duration);
        fn resumes(&self, bytes: u64);
        fn done(&self);
    }

    fn stops(&self) -> bool {
        (self.executor.stop)().is_some() && self.executor.operator.interrupted() != Interruption::Continue
    }
}
