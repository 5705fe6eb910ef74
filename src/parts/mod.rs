//! Parts: what each part of the host should look like.
//!
//! A part is handed a read-only host and returns changes only for what differs. It never changes anything itself.

pub mod account;
mod acme_clients;
pub mod admin;
pub mod answers;
pub mod backup;
pub mod config;
mod config_file;
pub mod database;
pub mod filter;
pub mod folders;
pub mod front;
pub mod host_names;
pub mod install;
mod jail;
pub mod log_rotation;
pub mod managed_file;
pub mod passage;
pub mod periodic;
pub mod port_access;
pub mod port_settings;
pub mod portacl_boot;
pub mod portacl_rc;
mod portacl_rc_list;
mod put;
pub mod rc_script;
mod refusal;
pub mod release;
pub mod restore;
pub mod restore_files;
pub mod rule_change;
pub mod rule_edit;
pub mod secrets;
pub mod service;
mod sysctl_files;
pub mod tls;
pub mod uninstall;

use crate::deployment::{Deployment, Layout};
use crate::host::Observe;

pub use refusal::Refusal;

/// An instance as it is wanted, and the host that it is on.
#[derive(Clone, Copy)]
pub struct Instance<'a> {
    /// The host.
    pub host: &'a dyn Observe,
    /// Where everything goes.
    pub layout: &'a Layout,
    /// What is wanted.
    pub deployment: &'a Deployment,
}
