//! What each part of the host should look like: pure planning, nothing here changes a host.

pub mod config;
