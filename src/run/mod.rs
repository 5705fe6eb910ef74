//! Runs: what a command does with a host, and how it ends.

pub mod exit;
pub mod signals;
