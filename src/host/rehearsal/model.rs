//! The part of a FreeBSD machine that is not a file: what `state.json` holds.
//!
//! Every field may be edited between two commands. An unknown name is refused, so that a misspelt field does not pass
//! for a setting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::certificate::renewal::Window;
use crate::gotosocial::accounts::Account;
use crate::gotosocial::oauth_server::OauthServer;

use super::super::{Jail, Listener, Owner};
use super::web_servers::Serving;

/// Version of the form of `state.json` and of the model's databases. Another version is refused.
pub const SCHEMA: u32 = 4;

/// The clock of a fresh rehearsal: 2026-01-01 00:00:00 UTC.
pub const FRESH_CLOCK: u64 = 1_767_225_600;

/// After how many milliseconds a GoToSocial that was told to end closes the port for Let's Encrypt, which it does when the
/// requests at the other have ended (`internal/router/router.go`), and after how many it has ended.
pub(super) const REDIRECT_CLOSES: u64 = 50;
pub(super) const ENDS: u64 = 2000;

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// The machine. [`Model::fresh`] is a fresh FreeBSD 14 host on amd64, not jailed, securelevel -1.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default = "Model::fresh", deny_unknown_fields)]
pub struct Model {
    /// Form of this file, [`SCHEMA`].
    pub schema: u32,
    /// Seconds since 1970. Advances by one second per change and by every wait, but not by reading.
    pub clock: u64,
    /// Milliseconds of the second that has begun: what belongs to a handover of ports takes as long as it does.
    #[serde(skip_serializing_if = "is_zero")]
    pub millis: u64,
    /// `kern.osrelease`.
    pub release: String,
    /// `kern.osreldate`.
    pub osreldate: u32,
    /// `hw.machine_arch`.
    pub machine_arch: String,
    /// Whether the CPU has SSE4.1.
    pub sse4_1: bool,
    /// `kern.elf64.allow_wx`: whether memory may be writable and executable at once.
    pub allow_wx: bool,
    /// Effective uid of the user who runs the program.
    pub euid: u32,
    /// `kern.securelevel`, see security(7).
    pub securelevel: i32,
    /// Whether the machine is a jail. A jail has the modules and portacl sysctls of its host.
    pub jail: Jail,
    /// What matters of the environment of the user who runs the program.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// Files that nobody may change, rename or remove: `chflags schg`.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub immutable: BTreeSet<PathBuf>,
    /// `hw.physmem`, bytes.
    pub memory: u64,
    /// Bytes free on the one file system.
    pub free_bytes: u64,
    /// Whether the kernel has IPv6.
    pub ipv6: bool,
    /// The machine's own addresses, without loopback.
    pub addresses: Vec<IpAddr>,
    /// Kernel modules that are loaded (or compiled in).
    pub modules: BTreeSet<String>,
    /// Kernel modules that are compiled into the kernel; at a boot they become [`Model::modules`].
    pub compiled_in: BTreeSet<String>,
    /// Variables that the boot loader set for the kernel, kenv(1): the tunables of `/boot/loader.conf`.
    pub kernel_environment: BTreeMap<String, String>,
    /// Values of sysctls that differ from their value at boot. Those of a module count only while it is loaded.
    pub sysctls: BTreeMap<String, String>,
    /// Installed packages, name to version.
    pub packages: BTreeMap<String, String>,
    /// Whether pkg(8) itself is installed. If not, the first installation of a package installs it.
    pub pkg: bool,
    /// Where packages come from.
    pub repository: Repository,
    /// Running services other than GoToSocial, name to pid.
    pub services: BTreeMap<String, u32>,
    /// GoToSocial under its supervisor, if it was started.
    pub gotosocial: Option<Supervisor>,
    /// The passwords of GoToSocial's users, encrypted, by user name. They are not in its database, which would differ from run to
    /// run by them.
    pub passwords: BTreeMap<String, String>,
    /// Passwords that stood on a command line, where everybody could see them: encrypted, too.
    pub seen_passwords: BTreeSet<String>,
    /// A `migrations run` that outlives the program that started it.
    pub migrating: Option<Migrating>,
    /// A PostgreSQL server that this machine can reach.
    pub postgres: Option<Postgres>,
    /// What running web servers serve, by the name of the service.
    pub web_servers: BTreeMap<String, Serving>,
    /// Web servers with a reload ahead: its time, in milliseconds since 1970, and how often its ports were taken.
    pub reloads: BTreeMap<String, (u64, u32)>,
    /// Sockets that other programs listen on.
    pub listeners: Vec<Listener>,
    /// UDP sockets of other programs.
    pub udp_sockets: Vec<Listener>,
    /// Addresses of names. A name that is not here has the machine's own addresses; an empty list is no such name.
    pub dns: BTreeMap<String, Vec<IpAddr>>,
    /// The answers of the outside world, by URL (`https://example.org/nodeinfo/2.0`). The outside world answers for a
    /// host named here even if its name leads to this machine, unless the request gives an address.
    pub outside: BTreeMap<String, OutsideAnswer>,
    /// The certificate authority.
    pub authority: Authority,
    /// When the certificate authority suggests renewing certificates (ARI); `None` is no suggestion.
    pub renewal_window: Option<Window>,
    /// How many certificates it has issued.
    pub issued: u64,
    /// When challenges failed in the last hour, seconds since 1970. The limit is five.
    pub failed_validations: Vec<u64>,
    /// Pid of the next process.
    pub next_pid: u32,
    /// Owners of files that do not belong to root, by the host's path. Those on disk have no meaning.
    pub owners: BTreeMap<PathBuf, Owner>,
    /// How the machine misbehaves.
    pub faults: Faults,
}

impl Model {
    /// A fresh machine; omitted fields of `state.json` have these values, too.
    pub fn fresh() -> Self {
        Self {
            schema: SCHEMA,
            clock: FRESH_CLOCK,
            release: "14.1-RELEASE".into(),
            osreldate: 1_401_000,
            machine_arch: "amd64".into(),
            sse4_1: true,
            allow_wx: true,
            securelevel: -1,
            memory: 4 << 30,
            free_bytes: 40 << 30,
            ipv6: true,
            addresses: vec![
                IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
            ],
            pkg: true,
            services: [("cron".into(), 440), ("syslogd".into(), 413)].into(),
            next_pid: 500,
            ..Self::default()
        }
    }

    /// The time in milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        self.clock * 1000 + self.millis
    }

    /// The next moment at which something happens on its own in less than a second.
    pub(super) fn next_event(&self) -> Option<u64> {
        let supervisor = self.gotosocial.as_ref();
        let closes = supervisor.and_then(|it| it.program.as_ref()?.closing).map(|at| [at + REDIRECT_CLOSES, at + ENDS]);
        let starts = supervisor.and_then(|supervisor| supervisor.released);
        let reloads = self.reloads.values().map(|(at, _)| *at);
        reloads.chain(closes.into_iter().flatten()).chain(starts).filter(|at| *at > self.now()).min()
    }

    /// A pid for a new process.
    pub fn take_pid(&mut self) -> u32 {
        self.next_pid += 1;
        self.next_pid - 1
    }

    /// GoToSocial, if it runs.
    pub(super) fn program(&self) -> Option<&Program> {
        self.gotosocial.as_ref()?.program.as_ref()
    }

    /// Takes note of the passwords that were set.
    pub(super) fn keep_passwords(&mut self, accounts: Vec<Account>) {
        let set = accounts.into_iter().filter(|account| !account.encrypted_password.is_empty());
        self.passwords.extend(set.map(|account| (account.username, account.encrypted_password)));
    }

    /// Whether an address is one of this machine.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.addresses.contains(&address)
    }

    /// The addresses of a name, as the machine's resolver and the outside world see them.
    pub fn addresses_of(&self, name: &str) -> Vec<IpAddr> {
        if name == "localhost" {
            return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
        }
        self.dns.get(name).unwrap_or(&self.addresses).clone()
    }
}

/// The repository of packages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repository {
    /// Whether the repository answers.
    pub reachable: bool,
    /// Available packages, name to version. A rehearsal knows the files of `nginx`, `apache24` and
    /// `postgresqlNN-client`; it cannot install others.
    pub packages: BTreeMap<String, String>,
}

impl Default for Repository {
    fn default() -> Self {
        let packages = [("apache24", "2.4.62"), ("nginx", "1.26.2,3"), ("postgresql16-client", "16.10")];
        Self { reachable: true, packages: packages.map(|(name, version)| (name.into(), version.into())).into() }
    }
}

/// A PostgreSQL server with one role and one database, whose content is the file `/var/db/postgres/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Postgres {
    /// Whether it runs.
    pub running: bool,
    /// Its address, as clients write it.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// Its `server_version_num`: 160004 is 16.4.
    pub version: u32,
    /// The role of GoToSocial.
    pub role: String,
    /// Its password.
    pub password: String,
    /// The database.
    pub database: String,
    /// Whether the role may create tables in it.
    pub may_create: bool,
    /// Tables of other roles in it: `public.table (role)`.
    pub others: Vec<String>,
    /// Sessions of the role besides GoToSocial's, by the name of their program.
    pub sessions: Vec<String>,
    /// Bytes that its tables take in addition to their content.
    pub bytes: u64,
}

impl Default for Postgres {
    fn default() -> Self {
        Self {
            running: true,
            address: "127.0.0.1".into(),
            port: 5432,
            version: 160_004,
            role: "gotosocial".into(),
            password: "secret".into(),
            database: "gotosocial".into(),
            may_create: true,
            others: Vec::new(),
            sessions: Vec::new(),
            bytes: 0,
        }
    }
}

/// The answer of another server to one URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutsideAnswer {
    /// HTTP status.
    pub status: u16,
    /// `Location` header.
    pub location: Option<String>,
    /// Body.
    pub body: String,
}

impl Default for OutsideAnswer {
    fn default() -> Self {
        Self { status: 200, location: None, body: String::new() }
    }
}

/// How the certificate authority behaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// Issues a certificate if the name leads to this machine and a challenge can be answered.
    #[default]
    Issues,
    /// Refuses with "too many certificates already issued".
    RateLimited,
    /// Does not answer.
    Unreachable,
    /// Issues a certificate to whoever asks, like an authority of one's own, which nobody else trusts.
    Private,
}

/// daemon(8) with GoToSocial beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    /// Pid of daemon(8).
    pub pid: u32,
    /// When daemon(8) restarts the program, if it is down.
    pub restart_at: u64,
    /// Whether daemon(8) was killed (`kill -KILL`), so that the program continues without it.
    #[serde(default)]
    pub killed: bool,
    /// Whether its child waits before it becomes GoToSocial.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// When the child that waited becomes GoToSocial, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<u64>,
    /// The program, while it lives. Without it the service "is not running", although daemon(8) is.
    pub program: Option<Program>,
}

/// A running GoToSocial, with the configuration that it read when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its pid.
    pub pid: u32,
    /// When it was started, seconds since 1970.
    pub started_at: u64,
    /// When it becomes ready. Before that it answers 503.
    pub ready_at: u64,
    /// When its database is up to date, if its log does not say so yet.
    #[serde(default)]
    pub migrated_at: Option<u64>,
    /// Whether its log says that it is ready.
    pub announced: bool,
    /// When it was told to end, in milliseconds since 1970. It lets go of its ports long before it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closing: Option<u64>,
    /// Its version.
    pub version: String,
    /// The account that it runs as.
    pub owner: Owner,
    /// Login name of that account.
    pub user: String,
    /// `host`.
    pub host: String,
    /// `account-domain`, or the host if that is empty.
    pub account_domain: String,
    /// `bind-address`; `None` is the wildcard of both families.
    pub address: Option<IpAddr>,
    /// `port`.
    pub port: u16,
    /// How it serves https.
    pub tls: Tls,
    /// The database file.
    pub database: PathBuf,
    /// The log file that its output goes to.
    pub log: PathBuf,
    /// Who is logged in.
    #[serde(default)]
    pub oauth: OauthServer,
}

/// A process that migrates a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migrating {
    /// Its pid.
    pub pid: u32,
    /// Login name of its owner.
    pub user: String,
    /// The database file.
    pub database: PathBuf,
    /// When it ends.
    pub ends_at: u64,
}

/// The source of GoToSocial's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tls {
    /// Plain http.
    Off,
    /// Files.
    Files {
        /// `tls-certificate-chain`.
        chain: PathBuf,
    },
    /// Let's Encrypt.
    LetsEncrypt {
        /// `letsencrypt-port`.
        port: u16,
        /// `letsencrypt-cert-dir`.
        folder: PathBuf,
    },
}

/// Ways to misbehave. All off by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// A future change fails.
    pub change: Option<ChangeFault>,
    /// Every write fails with ENOSPC.
    pub disk_full: bool,
    /// GoToSocial starts, binds its ports and dies at once.
    pub dies_after_start: bool,
    /// Releases of this version start, bind their ports and die at once.
    pub version_dies: Option<String>,
    /// A migration of the database fails partway.
    pub migration_fails: bool,
    /// A migration of the database is killed partway.
    pub migration_is_killed: bool,
    /// The disk of the PostgreSQL server is full when a dump is loaded.
    pub load_fails: bool,
    /// How many times two seconds a migration of the database takes.
    pub polls_while_migrating: u32,
    /// The program that started a migration is gone while the migration continues.
    pub migration_outlives: bool,
    /// How many times two seconds pass before GoToSocial is ready.
    pub polls_until_ready: u32,
    /// `debug config` prints an empty `host`.
    pub debug_config_without_host: bool,
    /// `admin account create` fails with a database error.
    pub admin_create_fails: bool,
    /// Whether every bind probe succeeds, or fails with EPERM, whatever the rules say: a kernel that differs from the model.
    pub bind_probes: Option<bool>,
    /// Web answers with another status, by scheme and path: `https/nodeinfo/2.0`.
    pub web_status: BTreeMap<String, u16>,
    /// When they have it, from and until, in seconds since 1970; always if not given.
    pub web_status_when: Option<(u64, u64)>,
    /// How many seconds the reload of a web server takes. The command returns before.
    pub reload_takes: u64,
    /// A wait takes real time, too.
    pub waits_last: bool,
    /// Every certificate shown has expired.
    pub shows_expired: bool,
    /// The resolver does not answer.
    pub resolver_fails: bool,
    /// This program hangs for ever: its name, and arguments that it then has.
    pub hangs: Option<String>,
    /// How many rows of sockstat(1) make no sense.
    pub unreadable_rows: usize,
}

/// The failure of a change, counted from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeFault {
    /// How many changes still succeed.
    pub after: u32,
    /// Whether the failing change takes effect, as if the program had died just after it.
    #[serde(default)]
    pub takes_effect: bool,
    /// Whether everything after it fails too, without effect, as if the program had died.
    #[serde(default)]
    pub lasting: bool,
    /// The errno it fails with, for example 5 (EIO).
    pub errno: i32,
}
