//! Certificates ordered from Pebble, Let's Encrypt's own small ACME server, and from a stand-in for the answers that Pebble
//! never gives. Pebble and its DNS server are Debian's package `pebble`; without it these tests fail.

pub mod authority;
mod child;
mod front;
mod orders;
mod pebble;
mod real_front;
pub mod refusals;
mod stand_in;
mod webroot;
