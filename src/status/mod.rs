//! The state of an installation: read from the host, without changing anything and without the lock, and judged.
//!
//! It reads what an administrator would look at, and trusts the records only for what was requested. [`crate::check`]
//! proves by trying; this module shows what can be seen in a moment, also by users other than root. What such a user
//! may not see is [`Told::Unknown`], neither good nor bad.

pub mod certificate;
pub mod diff;
pub mod drift;
pub mod history;
pub mod judge;
pub mod ports;
pub mod reboot;
pub mod service;
pub mod storage;
mod told;

use serde::Serialize;

use crate::check::{Check, hard_links, posture};
use crate::deployment::{Deployment, Layout, Mode};
use crate::host::{Look, Observe, Owner, hides_others};
use crate::parts::answers::{self, Lock};
use crate::parts::service as parts_service;
use crate::parts::{account, front, release};
use crate::shown::Shown;

pub use judge::{Concern, Severity};
pub use told::{Told, Unknown};

/// The newest release, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Newest {
    /// It was not looked up.
    NotAsked,
    /// This version.
    Known(semver::Version),
    /// Why it is not known.
    Unknown(String),
}

/// The state of an installation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// The name of the instance.
    pub host: String,
    /// Whether root runs this. Other users do not see everything.
    pub root: bool,
    /// The version in use: the target of the link `current`.
    pub version: Told<Option<semver::Version>>,
    /// The newest release.
    pub newest: Newest,
    /// Which server listens on ports 80 and 443.
    pub exposure: Told<Mode>,
    /// GoToSocial and its supervisor.
    pub service: service::Service,
    /// The web server in front, and whether it runs.
    pub front: Option<service::FrontService>,
    /// The listeners.
    pub ports: Told<Vec<ports::Port>>,
    /// The certificate that clients see.
    pub certificate: Told<Option<certificate::Certificate>>,
    /// The database.
    pub database: Told<storage::Database>,
    /// Bytes free for the data.
    pub free_bytes: Told<u64>,
    /// The newest backup.
    pub backup: Told<Option<storage::Backup>>,
    /// Settings that only the next boot brings into force.
    pub reboot: Told<Vec<reboot::Pending>>,
    /// Whether anything is open that should not be, now or after the next boot.
    pub port_access: Told<Vec<Check>>,
    /// What to advise about hard links to files of others, see [`hard_links`].
    pub hard_links: Told<Option<String>>,
    /// What differs from what was installed.
    pub drift: Told<Vec<drift::Drift>>,
    /// The last command that changed the host.
    pub last: Told<Option<history::Operation>>,
    /// The host's time, seconds since 1970.
    pub now: u64,
}

/// What is known of an installation before it is read.
struct Known<'a> {
    host: &'a dyn Observe,
    layout: &'a Layout,
    root: bool,
    /// The answers, if they can be read.
    deployment: Result<Deployment, Unknown>,
    /// The mode, from the answers, or from what is visible without them.
    mode: Result<Mode, Unknown>,
    /// The user that GoToSocial runs as.
    owner: Result<Owner, Unknown>,
}

impl Known<'_> {
    fn deployment(&self) -> Result<&Deployment, Unknown> {
        self.deployment.as_ref().map_err(Unknown::clone)
    }

    /// An error if this user is shown neither the processes nor the sockets of others.
    fn sees_others(&self) -> Result<(), Unknown> {
        if !self.root && hides_others(&|name| self.host.sysctl(name))? {
            return Err(Unknown::needs_root());
        }
        Ok(())
    }
}

/// Reads everything. `None`: this program has installed nothing here. `diffs` requests the changes in each file.
///
/// # Errors
/// Whether it has is unknown.
pub fn gather(host: &dyn Observe, layout: &Layout, newest: Newest, diffs: bool) -> Result<Option<Status>, Unknown> {
    let host: &dyn Observe = &Look::at(host);
    let Some(lock) = Lock::of_host(host, layout)? else { return Ok(None) };
    let known = look(host, layout);
    Ok(Some(Status {
        host: lock.host,
        root: known.root,
        version: release::installed(host, layout).into(),
        newest,
        exposure: known.mode.clone().into(),
        service: service::look(&known),
        front: service::front(&known),
        ports: ports::look(&known).into(),
        certificate: certificate::look(&known).into(),
        database: storage::database(&known).into(),
        free_bytes: host.free_bytes(&layout.data).into(),
        backup: storage::newest(host, &layout.backups).into(),
        reboot: reboot::look(host).into(),
        port_access: port_access(&known).into(),
        hard_links: hard_links::advice(host).into(),
        drift: drift::look(host, layout, diffs).into(),
        last: history::last(host).into(),
        now: host.now(),
    }))
}

fn look<'a>(host: &'a dyn Observe, layout: &'a Layout) -> Known<'a> {
    let missing = || Unknown(format!("{} is missing", layout.answers().shown()));
    let deployment = answers::deployed(host, layout).map_err(Unknown::from).and_then(|it| it.ok_or_else(missing));
    let mode = match &deployment {
        Ok(deployment) => Ok(deployment.exposure.mode),
        // Users other than root see this, too.
        Err(_) => front::present(host).map(|front| front.map_or(Mode::Direct, Mode::Behind)).map_err(Unknown::from),
    };
    let gone = || Unknown("the user gotosocial is gone".to_owned());
    let owner = account::owner(host).map_err(Unknown::from).and_then(|owner| owner.ok_or_else(gone));
    Known { host, layout, root: host.system().is_ok_and(|system| system.euid == 0), deployment, mode, owner }
}

fn port_access(known: &Known<'_>) -> Result<Vec<Check>, Unknown> {
    let owner = known.owner.clone()?;
    let ports = match (&known.deployment, known.mode.clone()?) {
        (Ok(deployment), _) => parts_service::privileged_ports(deployment),
        (Err(_), Mode::Direct) => front::PORTS.into(),
        (Err(_), Mode::Behind(_)) => Vec::new(),
    };
    Ok(posture::checks(known.host, owner, &ports)?)
}
