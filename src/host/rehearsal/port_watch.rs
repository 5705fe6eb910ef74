//! A watch on ports, by the model's clock.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::{PortWatch, Refusals, Refused, WatchedPort};
use super::kernel;
use super::model::Model;

/// The watches that go on.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<Weak<Watched>>);

/// What one of them has seen.
#[derive(Debug, Default)]
struct Watched {
    elapsed: Cell<Duration>,
    refusals: RefCell<Refusals>,
}

#[derive(Debug)]
struct Watch(Rc<Watched>);

impl PortWatch for Watch {
    /// It makes no connections.
    fn ease(&self) {}

    fn elapsed(&self) -> Duration {
        self.0.elapsed.get()
    }

    fn finish(self: Box<Self>) -> Refusals {
        self.0.refusals.take()
    }
}

impl Watches {
    /// Begins to watch.
    pub(super) fn begin(&mut self, ports: &[WatchedPort]) -> Box<dyn PortWatch> {
        let refusals = Refusals(ports.iter().map(|watched| (watched.port, Refused::default())).collect());
        let watched = Rc::new(Watched { elapsed: Cell::default(), refusals: RefCell::new(refusals) });
        self.0.push(Rc::downgrade(&watched));
        Box::new(Watch(watched))
    }

    /// Takes note of time that passes while the machine is as it is.
    pub(super) fn pass(&mut self, model: &Model, time: Duration) {
        self.0.retain(|watch| watch.strong_count() > 0);
        for watched in self.0.iter().filter_map(Weak::upgrade) {
            let from = watched.elapsed.get();
            watched.elapsed.set(from + time);
            for (port, refused) in &mut watched.refusals.borrow_mut().0 {
                refused.note(answers(model, *port), from, from + time);
            }
        }
    }
}

fn answers(model: &Model, port: u16) -> bool {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let takes = |address: Option<IpAddr>| address.is_none_or(|address| address == local);
    kernel::listeners(model).iter().any(|there| there.port == port && there.ipv4 && takes(there.address))
}
