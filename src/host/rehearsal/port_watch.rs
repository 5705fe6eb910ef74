//! A watch on ports, by the model's clock.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use super::super::{PortWatch, Refusals};
use super::kernel;
use super::model::Model;

/// The watches that go on.
#[derive(Debug, Default)]
pub(super) struct Watches(Vec<Weak<RefCell<Refusals>>>);

/// One of them. It counts whole seconds, as the clock does.
#[derive(Debug)]
struct Watch(Rc<RefCell<Refusals>>);

impl PortWatch for Watch {
    /// It makes no connections.
    fn ease(&self) {}

    fn finish(self: Box<Self>) -> Refusals {
        self.0.take()
    }
}

impl Watches {
    /// Begins to watch.
    pub(super) fn begin(&mut self, ports: &[u16]) -> Box<dyn PortWatch> {
        let refusals = Refusals(ports.iter().map(|port| (*port, Duration::ZERO)).collect());
        let watch = Rc::new(RefCell::new(refusals));
        self.0.push(Rc::downgrade(&watch));
        Box::new(Watch(watch))
    }

    /// Counts time that passes while the machine is as it is.
    pub(super) fn pass(&mut self, model: &Model, seconds: u64) {
        self.0.retain(|watch| watch.strong_count() > 0);
        for watch in self.0.iter().filter_map(Weak::upgrade) {
            for (port, refused) in &mut watch.borrow_mut().0 {
                if !answers(model, *port) {
                    *refused += Duration::from_secs(seconds);
                }
            }
        }
    }
}

fn answers(model: &Model, port: u16) -> bool {
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let takes = |address: Option<IpAddr>| address.is_none_or(|address| address == local);
    kernel::listeners(model).iter().any(|there| there.port == port && there.ipv4 && takes(there.address))
}
