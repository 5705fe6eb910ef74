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

use crate::check::{Check, posture};
use crate::deployment::{Deployment, Layout, Mode};
use crate::host::{Observe, Owner};
use crate::parts::answers::{self, Lock};
use crate::parts::service as parts_service;
use crate::parts::{account, front, release};

pub use judge::{Concern, Severity};
pub use told::Told;

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
    deployment: Told<Deployment>,
    /// The mode, from the answers, or from what is visible without them.
    mode: Told<Mode>,
    /// The user that GoToSocial runs as.
    owner: Told<Owner>,
}

/// Reads everything. `None`: this program has installed nothing here. `diffs` requests the changes in each file.
pub fn gather(host: &dyn Observe, layout: &Layout, newest: Newest, diffs: bool) -> Told<Option<Status>> {
    let lock = match Lock::of_host(host, layout) {
        Ok(Some(lock)) => lock,
        Ok(None) => return Told::Known(None),
        Err(refusal) => return refusal.into(),
    };
    let known = look(host, layout);
    let service = service::look(&known);
    Told::Known(Some(Status {
        host: lock.host,
        root: known.root,
        version: release::installed(host, layout).into(),
        newest,
        exposure: known.mode.clone(),
        front: service::front(&known),
        ports: ports::look(&known),
        certificate: certificate::look(&known),
        database: storage::database(&known),
        free_bytes: host.free_bytes(&layout.data).into(),
        backup: storage::backup(&known),
        reboot: reboot::look(host).into(),
        port_access: port_access(&known),
        drift: drift::look(host, layout, diffs).into(),
        last: history::last(host).into(),
        now: host.now(),
        service,
    }))
}

fn look<'a>(host: &'a dyn Observe, layout: &'a Layout) -> Known<'a> {
    let root = host.system().is_ok_and(|system| system.euid == 0);
    let deployment = match answers::deployed(host, layout) {
        Ok(Some(deployment)) => Told::Known(deployment),
        Ok(None) => Told::unknown(format!("{} is missing", layout.answers().display())),
        Err(error) => error.into(),
    };
    let mode = match &deployment {
        Told::Known(deployment) => Told::Known(deployment.exposure.mode),
        Told::Unknown { .. } => seen_mode(host),
    };
    let owner = match host.user(account::NAME) {
        Ok(Some(user)) => Told::Known(Owner { uid: user.uid, gid: user.gid }),
        Ok(None) => Told::unknown("the user gotosocial is gone"),
        Err(error) => Err(error).into(),
    };
    Known { host, layout, root, deployment, mode, owner }
}

/// The mode, from what users other than root can see, too.
fn seen_mode(host: &dyn Observe) -> Told<Mode> {
    front::present(host).map(|present| present.map_or(Mode::Direct, Mode::Behind)).into()
}

fn port_access(known: &Known<'_>) -> Told<Vec<Check>> {
    let owner = match &known.owner {
        Told::Known(owner) => *owner,
        Told::Unknown { unknown } => return Told::unknown(unknown.clone()),
    };
    match (&known.deployment, &known.mode) {
        (Told::Known(deployment), _) => {
            posture::checks(known.host, owner, &parts_service::privileged_ports(deployment)).into()
        }
        (_, Told::Known(Mode::Direct)) => posture::checks(known.host, owner, &front::PORTS).into(),
        (_, Told::Known(_)) => posture::checks(known.host, owner, &[]).into(),
        (_, Told::Unknown { unknown }) => Told::unknown(unknown.clone()),
    }
}
