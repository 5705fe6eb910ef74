//! A watch on ports, by the model's clock. It connects as the real one does, and leaves in logs what that would leave there.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::{HostError, PortWatch, Refusals, Refused, WatchedPort, WebRequest};
use super::machine::Machine;
use super::model::Model;
use super::{kernel, web};
use crate::gotosocial::readiness::LIVEZ;

/// The watches that go on.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<Weak<Watched>>);

/// What one of them has seen.
#[derive(Debug, Default)]
struct Watched {
    elapsed: Cell<Duration>,
    refusals: RefCell<Refusals>,
    ports: Vec<WatchedPort>,
    /// Whom it has a connection with, by port.
    kept: RefCell<BTreeMap<u16, u32>>,
}

#[derive(Debug)]
struct Watch(Rc<Watched>);

impl PortWatch for Watch {
    /// It ends no sooner: a port that answers adds nothing to the count, and its connection is kept.
    fn ease(&self) {}

    fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    fn finish(self: Box<Self>) -> Refusals {
        self.0.refusals.take()
    }
}

impl Watched {
    /// Connects where the real watch does: again and again without TLS, and with it once to each server.
    fn connect(&self, machine: &mut Machine) -> Result<(), HostError> {
        for WatchedPort { port, tls } in &self.ports {
            let there = listener(&machine.model, *port);
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let (Some(pid), Some(name)) = (there, tls) else {
                self.kept.borrow_mut().remove(port);
                web::closed_at_once(machine, address)?;
                continue;
            };
            let is_kept = self.kept.borrow().get(port) == Some(&pid);
            if !is_kept && web::answer(machine, &WebRequest::to(address, true, name, LIVEZ, Duration::MAX)).is_ok() {
                self.kept.borrow_mut().insert(*port, pid);
            }
        }
        Ok(())
    }
}

impl Watches {
    /// Begins to watch.
    pub(super) fn begin(
        &mut self,
        machine: &mut Machine,
        ports: &[WatchedPort],
    ) -> Result<Box<dyn PortWatch>, HostError> {
        let refusals = Refusals(ports.iter().map(|watched| (watched.port, Refused::default())).collect());
        let watched = Watched { refusals: RefCell::new(refusals), ports: ports.to_vec(), ..Watched::default() };
        watched.connect(machine)?;
        let watched = Rc::new(watched);
        self.0.push(Rc::downgrade(&watched));
        Ok(Box::new(Watch(watched)))
    }

    /// Takes note of time that passes while the machine is as it is.
    pub(super) fn pass(&mut self, machine: &mut Machine, time: Duration) -> Result<(), HostError> {
        self.0.retain(|watch| watch.strong_count() > 0);
        for watched in self.0.iter().filter_map(Weak::upgrade) {
            watched.connect(machine)?;
            let from = watched.elapsed.get();
            watched.elapsed.set(from + time);
            for (port, refused) in &mut watched.refusals.borrow_mut().0 {
                refused.note(listener(&machine.model, *port).is_some(), from, from + time);
            }
        }
        Ok(())
    }
}

/// The pid of whoever is reached on a port through 127.0.0.1; 0 if it has none.
fn listener(model: &Model, port: u16) -> Option<u32> {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let takes = |address: Option<IpAddr>| address.is_none_or(|address| address == local);
    let all = kernel::listeners(model);
    let there = all.iter().find(|there| there.port == port && there.ipv4 && takes(there.address))?;
    Some(there.pid.unwrap_or_default())
}
