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
#[allow(dead_code, reason = "shared with tests/crash/")]
mod machine;
mod main_file_link;
mod pictures;
mod port_access;
mod portacl;
mod postgres;
mod preflight;
mod receipts;
mod release;
mod reproducible;
mod restore;
mod screens;
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
mod uninstall_others;
mod upgrade;
