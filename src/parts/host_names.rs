//! The names of a host's users, groups and services.

use std::cell::RefCell;
use std::path::Path;

use crate::host::{HostError, Observe};
use crate::portacl::{Names, Protocol, Services};

/// Where services(5) are.
pub(super) const SERVICES: &str = "/etc/services";

/// Names of a host. An id whose database cannot be read is not thereby nobody's: [`HostNames::finish`] returns the first such
/// failure.
pub struct HostNames<'a> {
    host: &'a dyn Observe,
    services: Services,
    failure: RefCell<Option<HostError>>,
}

impl<'a> HostNames<'a> {
    /// Reads the services; users and groups are asked for one by one.
    ///
    /// # Errors
    /// `/etc/services` exists and cannot be read.
    pub fn new(host: &'a dyn Observe) -> Result<Self, HostError> {
        let text = host.read(Path::new(SERVICES))?.unwrap_or_default();
        Ok(Self { host, services: Services::parse(&text), failure: RefCell::new(None) })
    }

    /// Whether every answer was an answer.
    ///
    /// # Errors
    /// The first database that could not be read.
    pub fn finish(self) -> Result<(), HostError> {
        self.failure.into_inner().map_or(Ok(()), Err)
    }

    fn answer<T>(&self, asked: Result<Option<T>, HostError>) -> Option<T> {
        asked.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }
}

impl Names for HostNames<'_> {
    fn user(&self, uid: u32) -> Option<String> {
        self.answer(self.host.user_by_id(uid)).map(|user| user.name)
    }

    fn uid(&self, name: &str) -> Option<u32> {
        self.answer(self.host.user(name)).map(|user| user.uid)
    }

    fn group(&self, gid: u32) -> Option<String> {
        self.answer(self.host.group_by_id(gid)).map(|group| group.name)
    }

    fn gid(&self, name: &str) -> Option<u32> {
        self.answer(self.host.group(name)).map(|group| group.gid)
    }

    fn service(&self, port: u16, protocol: Protocol) -> Option<String> {
        self.services.name(port, protocol).map(str::to_owned)
    }

    fn port(&self, name: &str, protocol: Protocol) -> Option<u16> {
        self.services.port(name, protocol)
    }
}
