//! The part of a FreeBSD machine that is not a file: what `state.json` holds.
//!
//! Every field may be edited between two commands. A name that is not known here is refused when the file is
//! read, so that a misspelt field does not pass for a setting.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::certificate::renewal::Window;

use super::super::{Jail, Listener, Owner};
use super::web_servers::Serving;

/// Version of the form of `state.json`. Another version is refused.
pub const SCHEMA: u32 = 2;

/// The instant at which a fresh rehearsal's clock stands: 2026-01-01 00:00:00 UTC.
pub const FRESH_CLOCK: u64 = 1_767_225_600;

/// The machine. The default is a fresh amd64 FreeBSD 14 host, not jailed, securelevel -1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// Form of this file, [`SCHEMA`].
    pub schema: u32,
    /// Seconds since 1970. Moves by one second a change and by every wait; looking does not move it.
    pub clock: u64,
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
    /// Effective uid of whoever runs the program.
    pub euid: u32,
    /// `kern.securelevel`, see security(7).
    pub securelevel: i32,
    /// Whether the machine is a jail. In a jail, modules and portacl sysctls are those of its host.
    pub jail: Jail,
    /// `hw.physmem`, bytes.
    pub memory: u64,
    /// Bytes free on the one file system.
    pub free_bytes: u64,
    /// Whether the kernel speaks IPv6.
    pub ipv6: bool,
    /// The machine's own addresses, loopback left out.
    pub addresses: Vec<IpAddr>,
    /// Kernel modules that are loaded (or compiled in).
    pub modules: BTreeSet<String>,
    /// Kernel modules that are compiled into the kernel; at a boot they become [`Model::modules`].
    pub compiled_in: BTreeSet<String>,
    /// Kernel modules that lie in `/boot/kernel` and can be loaded.
    pub modules_available: BTreeSet<String>,
    /// Variables that the boot loader left for the kernel, kenv(1): the tunables of `/boot/loader.conf`.
    pub kernel_environment: BTreeMap<String, String>,
    /// Values of sysctls that differ from their value at boot. Those of a module count only while it is loaded.
    pub sysctls: BTreeMap<String, String>,
    /// Installed packages, name to version.
    pub packages: BTreeMap<String, String>,
    /// Whether pkg(8) itself is installed. Where it is not, the first installation brings it.
    pub pkg: bool,
    /// Where packages come from.
    pub repository: Repository,
    /// Running services other than GoToSocial, name to pid.
    pub services: BTreeMap<String, u32>,
    /// GoToSocial under its supervisor, if that was started.
    pub gotosocial: Option<Supervisor>,
    /// A `migrations run` that goes on without the program that started it.
    pub migrating: Option<Migrating>,
    /// A PostgreSQL server that this machine can reach.
    pub postgres: Option<Postgres>,
    /// What running web servers serve, by the name of the service.
    pub web_servers: BTreeMap<String, Serving>,
    /// Web servers that were told to reload, and when they do.
    pub reloads: BTreeMap<String, u64>,
    /// Sockets that other programs listen on.
    pub listeners: Vec<Listener>,
    /// Addresses of names. A name that is not here has the machine's own addresses; an empty list is no such name.
    pub dns: BTreeMap<String, Vec<IpAddr>>,
    /// What the outside world answers, by URL (`https://example.org/nodeinfo/2.0`). A host named here is answered
    /// by the outside world even if its name leads to this machine, unless an address is given in the request.
    pub outside: BTreeMap<String, OutsideAnswer>,
    /// The certificate authority.
    pub authority: Authority,
    /// When the certificate authority would like certificates renewed (ARI); `None` where it has no opinion.
    pub renewal_window: Option<Window>,
    /// How many certificates it has issued.
    pub issued: u64,
    /// When it did not get the right answer to a challenge, of the last hour, seconds since 1970. It takes five.
    pub failed_validations: Vec<u64>,
    /// Pid of the next process.
    pub next_pid: u32,
    /// Owners of what is not root's, by the host's path. The owner of the files in the folder itself means nothing.
    pub owners: BTreeMap<PathBuf, Owner>,
    /// How the machine misbehaves.
    pub faults: Faults,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            clock: FRESH_CLOCK,
            release: "14.1-RELEASE".into(),
            osreldate: 1_401_000,
            machine_arch: "amd64".into(),
            sse4_1: true,
            allow_wx: true,
            euid: 0,
            securelevel: -1,
            jail: Jail::No,
            memory: 4 << 30,
            free_bytes: 40 << 30,
            ipv6: true,
            addresses: vec![
                IpAddr::V4(Ipv4Addr::new(203, 0, 113, 10)),
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)),
            ],
            modules: BTreeSet::new(),
            compiled_in: BTreeSet::new(),
            modules_available: ["mac_bsdextended", "mac_portacl"].map(String::from).into(),
            kernel_environment: BTreeMap::new(),
            sysctls: BTreeMap::new(),
            packages: BTreeMap::new(),
            pkg: true,
            repository: Repository::default(),
            services: [("cron".into(), 440), ("syslogd".into(), 413)].into(),
            gotosocial: None,
            migrating: None,
            postgres: None,
            web_servers: BTreeMap::new(),
            reloads: BTreeMap::new(),
            listeners: Vec::new(),
            dns: BTreeMap::new(),
            outside: BTreeMap::new(),
            authority: Authority::Issues,
            renewal_window: None,
            issued: 0,
            failed_validations: Vec::new(),
            next_pid: 500,
            owners: BTreeMap::new(),
            faults: Faults::default(),
        }
    }
}

impl Model {
    /// A pid for a new process.
    pub fn take_pid(&mut self) -> u32 {
        let pid = self.next_pid;
        self.next_pid = pid.saturating_add(1);
        pid
    }

    /// The addresses of a name, as the resolver of the machine and the outside world see them.
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
    /// Whether there is a network, and somebody who answers.
    pub reachable: bool,
    /// Packages that can be had, name to version. Of others than `nginx`, `apache24` and `postgresqlNN-client` a
    /// rehearsal does not know the files, so they are as good as missing.
    pub packages: BTreeMap<String, String>,
}

impl Default for Repository {
    fn default() -> Self {
        let packages = [("apache24", "2.4.62"), ("nginx", "1.26.2,3"), ("postgresql16-client", "16.4")];
        Self { reachable: true, packages: packages.map(|(name, version)| (name.into(), version.into())).into() }
    }
}

/// A PostgreSQL server with one role and one database. What is in that is the file `/var/db/postgres/NAME`.
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
    /// Bytes that its tables take, on top of what is in them.
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

/// What a web server out there answers to one URL.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Authority {
    /// Issues a certificate where the name leads to this machine and a challenge can be answered.
    Issues,
    /// Refuses with "too many certificates already issued".
    RateLimited,
    /// Does not answer.
    Unreachable,
}

/// daemon(8) with GoToSocial beneath it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Supervisor {
    /// Pid of daemon(8).
    pub pid: u32,
    /// When daemon(8) starts the program again, if it is down.
    pub restart_at: u64,
    /// Whether daemon(8) was killed (`kill -KILL`), so that the program runs on without it.
    #[serde(default)]
    pub killed: bool,
    /// The program, while it lives. Without it the service "is not running", although daemon(8) lives on.
    pub program: Option<Program>,
}

/// A running GoToSocial, with what it read of its configuration when it started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its pid.
    pub pid: u32,
    /// When it was started, seconds since 1970.
    #[serde(default)]
    pub started_at: Option<u64>,
    /// From when on it is ready. Before that it answers 503.
    pub ready_at: u64,
    /// Whether its log says that it is ready.
    pub announced: bool,
    /// Its version.
    pub version: String,
    /// Whom it runs as.
    pub owner: Owner,
    /// Login name of that account.
    pub user: String,
    /// `host`.
    pub host: String,
    /// `account-domain`, or the host where that is empty.
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
    /// `web-asset-base-dir`.
    pub assets: PathBuf,
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
    /// When it will have ended.
    pub ends_at: u64,
}

/// Where GoToSocial's certificate comes from.
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
    /// A change to come fails.
    pub change: Option<ChangeFault>,
    /// Every write fails with ENOSPC.
    pub disk_full: bool,
    /// GoToSocial starts, binds its ports and dies at once.
    pub dies_after_start: bool,
    /// Releases of this version start, bind their ports and die at once.
    pub version_dies: Option<String>,
    /// A migration of the database fails half-way.
    pub migration_fails: bool,
    /// A migration of the database is killed half-way.
    pub migration_is_killed: bool,
    /// The disk of the PostgreSQL server is full when a dump is read in.
    pub load_fails: bool,
    /// So many times two seconds a migration of the database takes.
    pub polls_while_migrating: u32,
    /// The program that started a migration is gone while it goes on.
    pub migration_outlives: bool,
    /// So many times two seconds pass between the start of GoToSocial and its being ready.
    pub polls_until_ready: u32,
    /// `debug config` prints an empty `host`.
    pub debug_config_without_host: bool,
    /// `admin account create` fails with a database error.
    pub admin_create_fails: bool,
    /// Every bind probe is refused with EPERM, whatever the rules say: a kernel that differs from the model.
    pub bind_probes_refused: bool,
    /// Every bind probe succeeds, whatever the rules say.
    pub bind_probes_allowed: bool,
    /// Answers over the web that have another status, by scheme and path: `https/nodeinfo/2.0`.
    pub web_status: BTreeMap<String, u16>,
    /// From when on they have it and until when, in seconds since 1970; always, if not given.
    pub web_status_when: Option<(u64, u64)>,
    /// So many seconds pass until a web server that was told to reload has done so. The command returns before.
    pub reload_takes: u64,
    /// A wait lasts as long as it says, by the clock on the wall too.
    pub waits_last: bool,
    /// Whoever speaks TLS shows a certificate that has expired.
    pub shows_expired: bool,
}

/// The failure of a change, counted from now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeFault {
    /// So many changes still succeed.
    pub after: u32,
    /// Whether the failing change takes effect all the same, as if the program had died just after it.
    #[serde(default)]
    pub takes_effect: bool,
    /// Whether everything after it fails too, without effect, as if the program had died.
    #[serde(default)]
    pub lasting: bool,
    /// The errno it fails with, for example 5 (EIO).
    pub errno: i32,
}
