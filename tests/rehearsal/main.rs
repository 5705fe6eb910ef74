//! What a rehearsal alone can tell: faults, other machines, a terminal, pictures of what is printed. The stories that a real
//! machine can tell too are in `tests/scenarios/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod admin;
mod certificate;
mod command_line;
mod config;
mod crash;
mod dialogue;
mod filter;
mod machine;
mod pictures;
mod port_access;
mod portacl;
mod preflight;
mod receipts;
mod release;
mod reproducible;
mod screens;
mod service;
mod status;
mod switch;
mod switch_others;
mod terminal;
mod uninstall;
mod uninstall_others;
