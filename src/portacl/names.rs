//! Names for the numbers in rules.

use super::rule::Protocol;

/// The databases of a host: accounts, groups and services.
pub trait Names {
    /// The name of the account with that uid.
    fn user(&self, uid: u32) -> Option<String>;
    /// The uid of the account of that name.
    fn uid(&self, name: &str) -> Option<u32>;
    /// The name of the group with that gid.
    fn group(&self, gid: u32) -> Option<String>;
    /// The gid of the group of that name.
    fn gid(&self, name: &str) -> Option<u32>;
    /// The name of the service on that port, services(5).
    fn service(&self, port: u16, protocol: Protocol) -> Option<String>;
    /// The port of the service of that name.
    fn port(&self, name: &str, protocol: Protocol) -> Option<u16>;
}
