//! The stories, told through the real binary on the rehearsal host.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod admin;
mod command_line;
mod config;
mod crash;
mod dialogue;
mod install;
mod machine;
mod port_access;
mod preflight;
mod release;
mod screens;
mod service;
