//! Changes: pure data that say what is to be done to a host, the plan that lists them, and the one executor.
//!
//! A part of the program that wants something done returns [`Change`]s; it never does it. Each change can be printed,
//! written to the journal, applied, and undone from the [`Prior`] state that the executor recorded before it acted.

pub mod account;
pub mod after_plan;
pub mod apply;
pub mod backup;
pub mod certificate;
pub mod database;
pub mod executor;
pub mod front;
pub mod front_test;
pub mod journal;
pub mod migration;
pub mod plan;
pub mod postgres;
pub mod prior;
pub mod service_start;
pub mod settle;
pub mod store;
pub mod undo;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error_code::ErrorCode;
use crate::front::Front;
use crate::host::{Group, Owner, User};
use crate::release::LockedRelease;

pub use after_plan::AfterPlan;
pub use backup::BackupChange;
pub use certificate::{CertificateChange, ShownBy};
pub use database::{Database, DatabaseCopy, DatabaseRestore};
pub use executor::{Aftermath, Applied, ApplyError, Executor, Interruption, NotMade, Reporter, Trial};
pub use front_test::NewFile;
pub use migration::Migration;
pub use plan::{Action, OnFailure, Plan, Step};
pub use postgres::DatabaseTest;
pub use prior::Prior;

/// One change to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Change {
    /// A folder with this mode and owner; its parent exists.
    Directory {
        /// Where.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A file with this content, mode and owner, put in place atomically.
    File {
        /// Where.
        path: PathBuf,
        /// What is in it.
        content: Content,
        /// Permission bits.
        mode: u32,
        /// Owner.
        owner: Owner,
    },
    /// A symbolic link, swapped atomically.
    Symlink {
        /// Where.
        path: PathBuf,
        /// Where it points.
        target: PathBuf,
    },
    /// A group, pw(8).
    Group {
        /// The group.
        group: Group,
    },
    /// An account without password, pw(8).
    User {
        /// The account.
        user: User,
    },
    /// A kernel module, kldload(8).
    Module {
        /// Its name.
        name: String,
    },
    /// A variable of the running kernel, sysctl(8); read back after it was set.
    Sysctl {
        /// Its name.
        name: String,
        /// The value.
        value: String,
    },
    /// A variable in rc.conf(5), sysrc(8).
    RcVariable {
        /// Its name.
        name: String,
        /// The value; `None` takes the variable out.
        value: Option<String>,
    },
    /// A file, a link or an empty folder that is taken away. A folder with something in it stays.
    Removal {
        /// Where.
        path: PathBuf,
    },
    /// A folder that is taken away with all that is in it, or a file of which nothing is kept. Nobody can take that back.
    TreeRemoval {
        /// Where.
        path: PathBuf,
    },
    /// A group that is taken away, pw(8).
    GroupRemoval {
        /// The group, as it was.
        group: Group,
    },
    /// An account that is taken away, pw(8).
    UserRemoval {
        /// The account, as it was.
        user: User,
    },
    /// A kernel module that is taken out of the running kernel, kldunload(8).
    ModuleRemoval {
        /// Its name.
        name: String,
        /// What the reserved range has to be by then (`net.inet.ip.portrange.reservedhigh`): without the module everybody may
        /// bind the ports above it.
        reserved: i64,
    },
    /// A package, pkg(8).
    Package {
        /// Its name.
        name: String,
    },
    /// A package that is taken away.
    PackageRemoval {
        /// Its name.
        name: String,
    },
    /// The line of a front's main configuration file that includes our site, put in or taken out.
    FrontInclude {
        /// Whose file.
        front: Front,
        /// Whether the line is to be there.
        present: bool,
    },
    /// A trial of a front's configuration with the front itself, before it goes live. Changes nothing that stays.
    FrontTest {
        /// Which front.
        front: Front,
        /// Whether our site is to be part of it.
        present: bool,
        /// Files of ours that will be other than they are.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<NewFile>,
    },
    /// The start of a front, with the proof afterwards that it has its ports.
    FrontStart {
        /// Which front.
        front: Front,
        /// TCP ports that it must listen on.
        ports: Vec<u16>,
    },
    /// A front is told to read its configuration again, without dropping a connection.
    FrontReload {
        /// Which front.
        front: Front,
        /// Only where the changes after this one are taken back: once they are, the front has to read what it had before.
        when_undone: bool,
    },
    /// A release: downloaded, verified, unpacked beside its place and renamed into it.
    Release {
        /// Which one, with its digest.
        release: LockedRelease,
        /// The folder it is to be.
        directory: PathBuf,
    },
    /// A trial of a new configuration with the release itself, before it goes live. Changes nothing that stays.
    ConfigTest {
        /// What is tried.
        test: ConfigTest,
    },
    /// The start of a service, with the proof beforehand that its ports can be had, and the wait until it is ready.
    ServiceStart {
        /// What is started.
        start: ServiceStart,
    },
    /// The stop of a service, which returns when it is gone.
    ServiceStop {
        /// rc.d script.
        name: String,
    },
    /// A trial of whether the database of a server can be copied and put back, before anything is stopped. Changes nothing.
    DatabaseTest {
        /// Which database.
        test: Box<DatabaseTest>,
    },
    /// A copy of the database, made while the service is stopped, and opened to see that it is whole.
    DatabaseCopy {
        /// What is copied, and where to.
        copy: Box<DatabaseCopy>,
    },
    /// A database that is put back from a copy.
    DatabaseRestore {
        /// From where, and to where.
        restore: Box<DatabaseRestore>,
    },
    /// The migration of the database to another release. Taking it back puts the copy in its place.
    Migration {
        /// To which release, and how.
        migration: Box<Migration>,
    },
    /// A folder of ours that nobody needs any more: an old release, or a copy of a database. It cannot be had back.
    Discard {
        /// The folder.
        path: PathBuf,
    },
    /// The first account, with administrator rights.
    Account {
        /// Whose.
        account: Account,
    },
    /// A backup: written, or put back.
    Backup {
        /// What becomes of it.
        backup: Box<BackupChange>,
    },
    /// The certificate of a front: placeholder, order, or reload.
    Certificate {
        /// What becomes of it.
        certificate: Box<CertificateChange>,
    },
}

/// Bytes of a file. In the journal only their digest and length appear.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    #[serde(skip)]
    bytes: Vec<u8>,
    sha256: String,
    size: u64,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} bytes, {})", self.size, self.sha256)
    }
}

impl Content {
    /// Takes the bytes and their digest.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { sha256: digest(&bytes), size: bytes.len() as u64, bytes }
    }

    /// The bytes. Empty for a content that was read back from a journal.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256, as 64 hexadecimal digits.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }
}

/// SHA-256 of some bytes, as 64 hexadecimal digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A trial of a configuration: `PROGRAM --config-path CANDIDATE debug config`, as the service user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigTest {
    /// The release's program.
    pub program: PathBuf,
    /// Where the candidate stands while it is tried. Must end in `.yaml`: GoToSocial goes by the ending.
    pub candidate: PathBuf,
    /// The new configuration.
    pub content: Content,
    /// Host name that must come back: the exit status proves nothing.
    pub host: String,
    /// Keys of ours; one that the release does not print back would be ignored in silence.
    pub keys: BTreeSet<String>,
    /// The service user.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
}

/// What a start needs to be proved and waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStart {
    /// rc.d script.
    pub name: String,
    /// The service user.
    pub owner: Owner,
    /// TCP ports that the service user must be able to bind, now.
    pub ports: Vec<u16>,
    /// How to tell when it is ready.
    pub readiness: Readiness,
    /// Whether to wait for as long as the program lives: it migrates the database, and nothing may go on before it has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub migrates: bool,
}

/// How to tell that GoToSocial is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// Its host name.
    pub host: String,
    /// Where it is reached from this host.
    pub address: SocketAddr,
    /// Whether that socket speaks TLS.
    pub tls: bool,
    /// Its log.
    pub log: PathBuf,
    /// The file in the certificate cache that holds its certificate once there is one; asking over TLS before would
    /// have the server order one with every poll.
    pub certificate: Option<PathBuf>,
}

/// The first account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Login name.
    pub username: String,
    /// Mail address.
    pub email: String,
    /// The release's program.
    pub program: PathBuf,
    /// The configuration.
    pub config: PathBuf,
    /// The service user.
    pub owner: Owner,
    /// Working folder.
    pub directory: PathBuf,
    /// Environment of the program, as the rc.d script sets it.
    pub environment: Vec<(String, String)>,
    /// An earlier run began with the account and did not finish: give it a new password if it is there, create it if not, and
    /// promote it.
    pub repair: bool,
    /// How to tell that the server is ready. An account that is created before that can never be used.
    #[serde(default)]
    pub readiness: Option<Box<Readiness>>,
}

impl Change {
    /// The kind, as it appears in `--json` and in the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Directory { .. } => "directory",
            Self::File { .. } => "file",
            Self::Symlink { .. } => "symlink",
            Self::Group { .. } | Self::GroupRemoval { .. } => "group",
            Self::User { .. } | Self::UserRemoval { .. } => "user",
            Self::Module { .. } | Self::ModuleRemoval { .. } => "module",
            Self::Sysctl { .. } => "sysctl",
            Self::RcVariable { .. } => "rc-variable",
            Self::Removal { .. } | Self::TreeRemoval { .. } => "removal",
            Self::Package { .. } | Self::PackageRemoval { .. } => "package",
            Self::FrontInclude { .. } => "front-include",
            Self::FrontTest { .. } => "front-test",
            Self::Release { .. } => "release",
            Self::ConfigTest { .. } => "config-test",
            Self::ServiceStart { .. }
            | Self::ServiceStop { .. }
            | Self::FrontStart { .. }
            | Self::FrontReload { .. } => "service",
            Self::DatabaseTest { .. } => "database-test",
            Self::DatabaseCopy { .. } | Self::DatabaseRestore { .. } => "database",
            Self::Migration { .. } => "migration",
            Self::Discard { .. } => "discard",
            Self::Account { .. } => "account",
            Self::Backup { backup } => backup.kind(),
            Self::Certificate { .. } => "certificate",
        }
    }

    /// Where to read more if such a change fails.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Directory { .. }
            | Self::File { .. }
            | Self::Symlink { .. }
            | Self::Removal { .. }
            | Self::TreeRemoval { .. }
            | Self::Discard { .. } => ErrorCode::File,
            Self::Group { .. } | Self::GroupRemoval { .. } | Self::User { .. } | Self::UserRemoval { .. } => {
                ErrorCode::Account
            }
            Self::Module { .. } | Self::ModuleRemoval { .. } | Self::Sysctl { .. } => ErrorCode::Kernel,
            Self::RcVariable { .. } => ErrorCode::RcConf,
            Self::Package { .. } | Self::PackageRemoval { .. } => ErrorCode::Package,
            Self::FrontInclude { .. } | Self::FrontTest { .. } | Self::FrontStart { .. } | Self::FrontReload { .. } => {
                ErrorCode::Front
            }
            Self::Release { .. } => ErrorCode::Release,
            Self::ConfigTest { .. } => ErrorCode::ConfigTest,
            Self::ServiceStart { .. } | Self::ServiceStop { .. } => ErrorCode::Service,
            Self::DatabaseTest { .. } | Self::DatabaseCopy { .. } | Self::DatabaseRestore { .. } => ErrorCode::Database,
            Self::Migration { .. } => ErrorCode::Migration,
            Self::Account { .. } => ErrorCode::Admin,
            Self::Backup { .. } => ErrorCode::Backup,
            Self::Certificate { .. } => ErrorCode::Acme,
        }
    }

    /// What is changed: a path or a name, as it appears in `--json`.
    #[must_use]
    pub fn target(&self) -> String {
        match self {
            Self::Directory { path, .. }
            | Self::File { path, .. }
            | Self::Symlink { path, .. }
            | Self::Discard { path }
            | Self::Removal { path }
            | Self::TreeRemoval { path } => show(path),
            Self::FrontInclude { front, .. } | Self::FrontTest { front, .. } => show(&front.main_file()),
            Self::FrontStart { front, .. } | Self::FrontReload { front, .. } => front.service.to_owned(),
            Self::Group { group } | Self::GroupRemoval { group } => group.name.clone(),
            Self::User { user } | Self::UserRemoval { user } => user.name.clone(),
            Self::Module { name }
            | Self::ModuleRemoval { name, .. }
            | Self::Sysctl { name, .. }
            | Self::RcVariable { name, .. }
            | Self::Package { name }
            | Self::PackageRemoval { name }
            | Self::ServiceStop { name } => name.clone(),
            Self::ServiceStart { start } => start.name.clone(),
            Self::Release { directory, .. } => show(directory),
            Self::ConfigTest { .. } => "config.yaml".to_owned(),
            Self::DatabaseTest { test } => test.connection.name(),
            Self::DatabaseCopy { copy } => show(&copy.to),
            Self::DatabaseRestore { restore } => restore.to.name(),
            Self::Migration { migration } => migration.database.name(),
            Self::Account { account } => account.username.clone(),
            Self::Backup { backup } => backup.target(),
            Self::Certificate { certificate } => certificate.name().to_string(),
        }
    }

    /// The change in a few words, without its target: what a person reads in the plan.
    #[must_use]
    pub fn detail(&self) -> String {
        match self {
            Self::Directory { mode, owner, .. } => format!("mode {mode:04o}, {}", owned_by(*owner)),
            Self::File { content, mode, owner, .. } => {
                format!("{} bytes, mode {mode:04o}, {}", content.size, owned_by(*owner))
            }
            Self::Symlink { target, .. } => format!("-> {}", target.display()),
            Self::Group { group } => format!("gid {}", group.gid),
            Self::User { user } => {
                format!("uid {}, gid {}, home {}, shell {}", user.uid, user.gid, show(&user.home), show(&user.shell))
            }
            Self::Module { .. } => "into the running kernel".to_owned(),
            Self::Sysctl { value, .. } | Self::RcVariable { value: Some(value), .. } => format!("= {value}"),
            Self::RcVariable { value: None, .. } => "taken out".to_owned(),
            Self::Removal { .. }
            | Self::PackageRemoval { .. }
            | Self::GroupRemoval { .. }
            | Self::UserRemoval { .. } => String::new(),
            Self::TreeRemoval { .. } => "for good".to_owned(),
            Self::ModuleRemoval { reserved, .. } => {
                format!("out of the running kernel, once ports up to {reserved} are root's")
            }
            Self::Package { .. } => "with pkg(8)".to_owned(),
            Self::FrontInclude { present: true, .. } => "one line that includes GoToSocial's site".to_owned(),
            Self::FrontInclude { present: false, .. } => "without the line that includes GoToSocial's site".to_owned(),
            Self::FrontTest { .. } => "with the web server itself".to_owned(),
            Self::FrontStart { ports, .. } => {
                let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
                format!("and see that it listens on {}", ports.join(" and "))
            }
            Self::FrontReload { when_undone: false, .. } => "without dropping a connection".to_owned(),
            Self::FrontReload { when_undone: true, .. } => "only if what follows is taken back".to_owned(),
            Self::Release { release, .. } => format!("{}, SHA-256 {}", release.asset, release.sha256),
            Self::ConfigTest { .. } => "with the release itself, as the service user".to_owned(),
            Self::ServiceStart { start } if start.ports.is_empty() => "and wait until it is ready".to_owned(),
            Self::ServiceStart { start } => {
                let ports: Vec<String> = start.ports.iter().map(u16::to_string).collect();
                format!("once uid {} is seen to bind {}; wait until it is ready", start.owner.uid, ports.join(" and "))
            }
            Self::ServiceStop { .. } => "cleanly".to_owned(),
            Self::DatabaseTest { .. } => "programs, rights and room for a copy, while it is in use".to_owned(),
            Self::DatabaseCopy { copy } => {
                let proved = match copy.from {
                    Database::Sqlite { .. } => "opened",
                    Database::Postgres { .. } => "dumped, and read back",
                };
                format!("of {}, {proved} to see that it is whole", copy.from.name())
            }
            Self::DatabaseRestore { restore } => format!("from {}", show(&restore.from)),
            Self::Migration { migration } => migration.detail(),
            Self::Discard { .. } => "no longer needed".to_owned(),
            Self::Backup { backup } => backup.detail(),
            Self::Certificate { certificate } => certificate.detail(),
            Self::Account { account } if account.repair => "finish it: new password, administrator".to_owned(),
            Self::Account { account } => format!("{}, administrator, with a random password", account.email),
        }
    }
}

/// An owner as ls(1) would show it, as far as it is known before the account is there.
fn owned_by(owner: Owner) -> String {
    let name = |id: u32, root: &str| if id == 0 { root.to_owned() } else { id.to_string() };
    format!("{}:{}", name(owner.uid, "root"), name(owner.gid, "wheel"))
}

/// A path as text for people and for JSON.
fn show(path: &Path) -> String {
    path.display().to_string()
}
