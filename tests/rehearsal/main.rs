//! What a rehearsal alone can tell: faults, other machines, a terminal, pictures of what is printed. The stories that a real
//! machine can tell too are in `tests/scenarios/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod account_domain;
mod admin;
mod backup;
mod certificate;
mod command_line;
mod config;
mod crash;
mod dialogue;
mod filter;
mod interrupt;
mod interrupt_download;
#[allow(dead_code, reason = "shared with tests/crash/")]
mod machine;
mod main_file_link;
mod pictures;
mod port_access;
mod portacl;
mod postgres;
mod preflight;
mod progress;
mod questions;
mod receipts;
mod release;
mod reproducible;
mod restore;
mod screens;
#[allow(dead_code, reason = "shared with tests/release/")]
#[path = "../release/server.rs"]
mod server;
mod service;
mod status;
mod switch;
mod switch_others;
mod switch_power;
mod terminal;
mod trial;
mod two_runs;
mod uninstall;
mod uninstall_backups;
mod uninstall_interrupted;
mod uninstall_others;
mod upgrade;
mod upgrade_told;
