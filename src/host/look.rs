//! One look at a host, for as long as nothing is changed.
//!
//! A plan, a preflight, a judgement and a round of checks each ask the same things again and again, and on FreeBSD a process
//! answers each of these questions. A [`Look`] asks the host once and remembers. It only reads, so it cannot outlive a change
//! that it makes itself: who changes something drops it, and looks again. The executor has none.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::child::Ids;

use super::{
    Activity, BindOutcome, BindProbe, Entry, Group, HostError, Listeners, Observe, Packages, Processes, ServiceState,
    Supervision, System, User, Visit, WebAnswer, WebFailure, WebRequest, Whose,
};
use crate::portacl::Protocol;

/// Methods of a trait that another value answers.
macro_rules! delegate {
    (to $to:ident; $(fn $name:ident(&self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)+) => {
        $(fn $name(&self $(, $argument: $type)*) $(-> $result)? {
            self.$to.$name($($argument),*)
        })+
    };
}

pub(crate) use delegate;

/// What one look has seen.
#[derive(Debug, Default)]
pub struct Memory {
    /// With the host's time just after it was seen.
    activity: OnceCell<(u64, Activity)>,
    udp: OnceCell<Listeners>,
    packages: OnceCell<Packages>,
    services: RefCell<BTreeMap<String, ServiceState>>,
    supervisions: RefCell<BTreeMap<String, Supervision>>,
    resolved: RefCell<BTreeMap<String, Vec<IpAddr>>>,
}

/// A host that is asked once what a process must be started for: services, listeners, packages and names. Everything else is
/// asked again each time, and so is whatever could not be told.
pub struct Look<'a> {
    host: &'a dyn Observe,
    memory: Rc<Memory>,
}

impl<'a> Look<'a> {
    /// A look at this host. A look at a look sees what that one has seen.
    pub fn at(host: &'a dyn Observe) -> Self {
        Self { host, memory: host.memory().unwrap_or_default() }
    }

    fn activity(&self) -> Result<&Activity, HostError> {
        Ok(&self.seen()?.1)
    }

    fn seen(&self) -> Result<&(u64, Activity), HostError> {
        once(&self.memory.activity, || {
            let activity = self.host.activity()?;
            Ok((self.host.now(), activity))
        })
    }
}

/// The value in the cell, which is asked for first if it is empty.
fn once<T>(cell: &OnceCell<T>, ask: impl FnOnce() -> Result<T, HostError>) -> Result<&T, HostError> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let asked = ask()?;
    Ok(cell.get_or_init(|| asked))
}

/// What is remembered under a name, or is asked for and remembered.
fn named<T: Clone>(
    known: &RefCell<BTreeMap<String, T>>,
    name: &str,
    ask: impl FnOnce() -> Result<T, HostError>,
) -> Result<T, HostError> {
    if let Some(known) = known.borrow().get(name) {
        return Ok(known.clone());
    }
    let asked = ask()?;
    known.borrow_mut().insert(name.to_owned(), asked.clone());
    Ok(asked)
}

impl Observe for Look<'_> {
    delegate! { to host;
        fn system(&self) -> Result<System, HostError>;
        fn entry(&self, path: &Path) -> Result<Option<Entry>, HostError>;
        fn stranger(&self) -> Result<Option<Ids>, HostError>;
        fn read_from(&self, path: &Path, whose: Whose, offset: u64, limit: usize) -> Result<Option<Vec<u8>>, HostError>;
        fn list(&self, path: &Path) -> Result<Vec<String>, HostError>;
        fn tree(&self, top: &Path, visit: Visit<'_>) -> Result<(), HostError>;
        fn user(&self, name: &str) -> Result<Option<User>, HostError>;
        fn user_by_id(&self, uid: u32) -> Result<Option<User>, HostError>;
        fn group(&self, name: &str) -> Result<Option<Group>, HostError>;
        fn group_by_id(&self, gid: u32) -> Result<Option<Group>, HostError>;
        fn groups_of(&self, user: &str) -> Result<Vec<u32>, HostError>;
        fn module_loaded(&self, name: &str) -> Result<bool, HostError>;
        fn sysctl(&self, name: &str) -> Result<Option<String>, HostError>;
        fn rc_variable(&self, name: &str) -> Result<Option<String>, HostError>;
        fn service_of(&self, processes: &Processes, name: &str) -> Result<ServiceState, HostError>;
        fn supervision_of(&self, processes: &Processes, name: &str) -> Result<Supervision, HostError>;
        fn free_bytes(&self, path: &Path) -> Result<u64, HostError>;
        fn addresses(&self) -> Result<Vec<IpAddr>, HostError>;
        fn has_ipv6(&self) -> Result<bool, HostError>;
        fn now(&self) -> u64;
        fn environment(&self, name: &str) -> Option<OsString>;
        fn local_path(&self, path: &Path) -> PathBuf;
        fn binds(&self, probes: &[BindProbe]) -> Result<Vec<BindOutcome>, HostError>;
        fn web(&self, request: &WebRequest) -> Result<WebAnswer, WebFailure>;
    }

    fn memory(&self) -> Option<Rc<Memory>> {
        Some(Rc::clone(&self.memory))
    }

    fn processes(&self) -> Result<Processes, HostError> {
        Ok(Look::activity(self)?.processes.clone())
    }

    fn activity(&self) -> Result<Activity, HostError> {
        Look::activity(self).cloned()
    }

    fn sockets(&self, protocol: Protocol) -> Result<Listeners, HostError> {
        match protocol {
            Protocol::Tcp => Ok(Look::activity(self)?.listeners.clone()),
            Protocol::Udp => once(&self.memory.udp, || self.host.sockets(protocol)).cloned(),
        }
    }

    fn packages(&self) -> Result<Packages, HostError> {
        once(&self.memory.packages, || self.host.packages()).cloned()
    }

    fn service(&self, name: &str) -> Result<ServiceState, HostError> {
        named(&self.memory.services, name, || self.host.service_of(&Look::activity(self)?.processes, name))
    }

    fn supervision(&self, name: &str) -> Result<Supervision, HostError> {
        let (at, activity) = self.seen()?;
        let mut told = named(&self.memory.supervisions, name, || self.host.supervision_of(&activity.processes, name))?;
        // An age is compared with a log that is read now, perhaps minutes later.
        if let Supervision::Running { seconds: Some(seconds), .. } = &mut told {
            *seconds += self.host.now().saturating_sub(*at);
        }
        Ok(told)
    }

    fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, HostError> {
        named(&self.memory.resolved, name, || self.host.resolve(name))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, ServiceAction};

    const NGINX: &str = "nginx";

    #[test]
    fn a_look_remembers_until_it_ends_and_the_host_itself_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path()).unwrap();
        let look = Look::at(&host);
        assert_eq!(look.service(NGINX).unwrap(), ServiceState::Missing);
        assert_eq!(look.package(NGINX).unwrap(), None);
        let sockets = look.listeners().unwrap();
        host.install_package(NGINX).unwrap();
        host.service_action(NGINX, ServiceAction::StartOnce).unwrap();
        // Another look at the same look is the same one.
        for look in [&look, &Look::at(&look)] {
            assert_eq!(look.service(NGINX).unwrap(), ServiceState::Missing);
            assert_eq!(look.package(NGINX).unwrap(), None);
            assert_eq!(look.listeners().unwrap(), sockets);
        }
        let look = Look::at(&host);
        for host in [&host as &dyn Observe, &look] {
            assert!(host.service(NGINX).unwrap().is_running());
            assert!(host.package(NGINX).unwrap().is_some());
            assert_ne!(host.listeners().unwrap(), sockets);
        }
        // Files and variables are never remembered.
        assert!(look.rc_variable("nginx_enable").unwrap().is_none());
        host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
        assert_eq!(look.rc_variable("nginx_enable").unwrap().as_deref(), Some("YES"));
    }
}
