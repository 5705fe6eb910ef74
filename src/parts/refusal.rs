//! Why a plan cannot be made.

use std::path::{Path, PathBuf};

use semver::Version;

use crate::certificate::BundleError;
use crate::error_code::{Coded, ErrorCode};
use crate::host::{Entry, HostError};
use crate::portacl::Finding;
use crate::shown::Shown;

/// A reason not to go on, found before anything was changed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    /// The host could not be read.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Uid 209 belongs to somebody else.
    #[error(
        "uid 209, which is registered for gotosocial, belongs to the user {name} here; give {name} another uid \
         (`pw usermod {name} -u …`, and its files with it), or create the user gotosocial yourself with a uid of your \
         choice: that one is then used"
    )]
    UidTaken { name: String },
    /// Gid 209 belongs to somebody else.
    #[error(
        "gid 209, which is registered for gotosocial, belongs to the group {name} here; give {name} another gid \
         (`pw groupmod {name} -g …`), or create the group gotosocial yourself with a gid of your choice: that one is \
         then used"
    )]
    GidTaken { name: String },
    /// The account is root.
    #[error("the user gotosocial has uid 0 here; a server that faces the internet must not run as root: remove it")]
    AccountIsRoot,
    /// A file that we did not write stands where one of ours belongs.
    #[error(
        "{} is there and was not written by gts-bootstrap; move it away (`mv {0} {0}.old`) and run this again",
        path.shown()
    )]
    ForeignFile { path: PathBuf },
    /// Something stands at a path where something else belongs.
    #[error("{} is {found}, where {wanted} belongs; move it away and run this again", path.shown())]
    WrongKind { path: PathBuf, found: &'static str, wanted: &'static str },
    /// The administrator's edits and our new text touch the same lines.
    #[error(
        "{} was edited by hand, and the new settings change the same lines:\n\n{conflict}\n\
         Make the two agree: edit the file, or the answers, and run this again. Nothing was changed",
        path.shown()
    )]
    Conflict { path: PathBuf, conflict: String },
    /// A file that we edit is not text.
    #[error("{} is not UTF-8 text, so it cannot be edited safely; fix it and run this again", path.shown())]
    NotText { path: PathBuf },
    /// The rule list in a file or in the kernel cannot be extended.
    #[error("the mac_portacl rules in {place}: {why}")]
    Rules { place: String, why: String },
    /// A mac_portacl setting of the administrator's makes the rules useless.
    #[error("{0}")]
    PortaclSetting(String),
    /// Inside a jail the host has to do it.
    #[error(
        "this is a jail, and mac_portacl belongs to its host. On the host, as root, run:\n\n{commands}\n\
         (where /etc/sysctl.conf sets one of the two already, change that line instead). Then run this again in the jail"
    )]
    JailHost { commands: String },
    /// A file of the system could not be edited.
    #[error("cannot edit {}: {why}", path.shown())]
    Edit { path: PathBuf, why: String },
    /// The answers of the installation, or the secrets beside them, cannot be used.
    #[error("{0}")]
    Answers(String),
    /// config.yaml could not be rendered.
    #[error("cannot make config.yaml: {0}")]
    Render(String),
    /// The front's configuration stands in the way, or cannot be understood.
    #[error("{0}")]
    FrontConfig(String),
    /// The front cannot do what the filters ask for, or they cannot be read.
    #[error("{0}")]
    Filter(String),
    /// The front is too old.
    #[error(
        "{front} {version} is installed, and at least {oldest} is needed; upgrade it (`pkg upgrade`) and run this again"
    )]
    FrontTooOld { front: &'static str, version: String, oldest: String },
    /// There is no certificate for the front to show.
    #[error("there is no certificate for {name}, neither GoToSocial's own nor another")]
    NoCertificate { name: String },
    /// An older release on a newer database.
    #[error(
        "GoToSocial {installed} is installed, and {wanted} is older. An old release starts on a newer database and then \
         fails on it, so going back needs the earlier database as well: `gts-bootstrap rollback` rolls back to the previous release \
         with the copy of its database. Nothing was changed"
    )]
    Downgrade { installed: Version, wanted: Version },
    /// Another release has to come with a copy of the database.
    #[error(
        "GoToSocial {installed} is installed, and the answers want {wanted}, which migrates the database; the old release \
         cannot use it afterwards. `gts-bootstrap upgrade --release {wanted}` copies the database first, and takes all back \
         if something fails. Nothing was changed"
    )]
    NeedsUpgrade { installed: Version, wanted: Version },
    /// A release that must not be skipped.
    #[error(
        "GoToSocial {installed} must not be upgraded to {wanted} at once: {why} ({source_of_it}). Run `gts-bootstrap upgrade \
         --release {first}` first. Nothing was changed"
    )]
    MustNotSkip {
        installed: Box<Version>,
        wanted: Box<Version>,
        first: Box<Version>,
        why: &'static str,
        source_of_it: &'static str,
    },
    /// A change of release was interrupted.
    #[error(
        "a `gts-bootstrap {command}` was interrupted, and program and database do not \
         fit together until it is finished: run it again. Nothing was changed"
    )]
    Unfinished { command: String },
    /// There is no copy of the database of a release before.
    #[error(
        "there is no copy of a database from before GoToSocial {installed} in {}, and a release without its \
         database cannot be used: an old release starts on a newer database and then fails on it. Nothing was changed",
        backups.shown()
    )]
    NoWayBack { installed: Version, backups: PathBuf },
    /// There is not enough room for a copy of the database.
    #[error(
        "the database is copied first, and {} has {free} MiB free where {needed} MiB are needed; make room and run this \
         again. Nothing was changed",
        place.shown()
    )]
    NoRoom { place: PathBuf, free: u64, needed: u64 },
    /// The host name of an installation cannot be changed.
    #[error(
        "this host runs GoToSocial as {installed}, and the answers say {wanted}. A server's name can never be changed: other \
         servers know its accounts and keys by it. Put host = \"{installed}\" back, or uninstall first and lose the \
         instance"
    )]
    HostChanged { installed: String, wanted: String },
    /// The account domain of an installation cannot be changed.
    #[error(
        "this host runs GoToSocial with account-domain {installed}, and the answers say {wanted}. It can never be changed, \
         as it is part of every account's name. Put it back"
    )]
    AccountDomainChanged { installed: String, wanted: String },
    /// `portacl lint` would find something afterwards that it does not find now.
    #[error("`gts-bootstrap portacl lint` would complain of that:\n{}\nNothing was changed", flagged(findings))]
    Flagged { findings: Vec<Finding> },
    /// A certificate or key that the answers name is not there.
    #[error("{}, which the answers name under [tls], is not there; put it there, or take the lines out", path.shown())]
    CertificateMissing { path: PathBuf },
    /// GoToSocial keeps something else as its certificate.
    #[error("{}, where GoToSocial keeps its certificate: {why}", path.shown())]
    CachedCertificate { path: PathBuf, why: BundleError },
    /// A certificate that the answers name cannot be used.
    #[error("{}, which the answers name under [tls]: {why}", path.shown())]
    Certificate { path: PathBuf, why: BundleError },
    /// A backup of that name exists.
    #[error("{} is there already; backups of the same second have the same name: run this again", path.shown())]
    BackupThere { path: PathBuf },
    /// Others can write to the folder that a backup is to go to.
    #[error(
        "others than root can write to {}, so a backup there, with all its keys, could be taken or swapped; name another folder \
         with --to, or `chown root {0} && chmod 700 {0}`",
        path.shown()
    )]
    BackupFolderOpen { path: PathBuf },
    /// A backup is of another instance.
    #[error(
        "the backup is of {backup}, and this host is {installed}: it is not restored here, since other servers would see one \
         instance with the keys of another. Restore it on a host without an instance"
    )]
    BackupOfOther { backup: String, installed: String },
    /// What has to be in a backup is not.
    #[error("the backup cannot be restored: {why}")]
    BackupUnusable { why: String },
}

impl Coded for Refusal {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Host(error) => error.code(),
            Self::UidTaken { .. } | Self::GidTaken { .. } => ErrorCode::IdTaken,
            Self::AccountIsRoot => ErrorCode::AccountIsRoot,
            Self::ForeignFile { .. } => ErrorCode::ForeignFile,
            Self::WrongKind { .. } => ErrorCode::WrongKind,
            Self::Conflict { .. } => ErrorCode::Conflict,
            Self::NotText { .. } | Self::Edit { .. } => ErrorCode::NotEditable,
            Self::Rules { .. } => ErrorCode::Rules,
            Self::PortaclSetting(_) => ErrorCode::PortaclSetting,
            Self::JailHost { .. } => ErrorCode::JailHost,
            Self::Answers(_) => ErrorCode::Answers,
            Self::Render(_) => ErrorCode::Config,
            Self::FrontConfig(_) => ErrorCode::FrontConfig,
            Self::Filter(_) => ErrorCode::Filter,
            Self::FrontTooOld { .. } => ErrorCode::FrontOld,
            Self::NoCertificate { .. } => ErrorCode::NoCertificate,
            Self::Downgrade { .. } => ErrorCode::Downgrade,
            Self::NeedsUpgrade { .. } => ErrorCode::NeedsUpgrade,
            Self::MustNotSkip { .. } => ErrorCode::MustNotSkip,
            Self::Unfinished { .. } => ErrorCode::Unfinished,
            Self::NoWayBack { .. } => ErrorCode::NoWayBack,
            Self::NoRoom { .. } => ErrorCode::Disk,
            Self::HostChanged { .. } | Self::AccountDomainChanged { .. } => ErrorCode::HostChanged,
            Self::Flagged { .. } => ErrorCode::Lint,
            Self::CertificateMissing { .. } | Self::Certificate { .. } => ErrorCode::TlsFiles,
            Self::CachedCertificate { .. } => ErrorCode::Certificate,
            Self::BackupThere { .. } => ErrorCode::BackupThere,
            Self::BackupFolderOpen { .. } => ErrorCode::BackupFolder,
            Self::BackupOfOther { .. } => ErrorCode::BackupOfOther,
            Self::BackupUnusable { .. } => ErrorCode::BackupUnusable,
        }
    }
}

impl Refusal {
    /// What stands at a path where something else belongs.
    pub(super) fn wrong_kind(path: &Path, there: &Entry, wanted: &'static str) -> Self {
        let found = match there {
            Entry::File { .. } => "a file",
            Entry::Directory { .. } => "a folder",
            Entry::Symlink { .. } => "a symbolic link",
            Entry::Other => "a device, socket or pipe",
        };
        Self::WrongKind { path: path.to_owned(), found, wanted }
    }
}

fn flagged(findings: &[Finding]) -> String {
    let line = |found: &Finding| format!("  {}: {}. {}", found.subject, found.what, found.why);
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
