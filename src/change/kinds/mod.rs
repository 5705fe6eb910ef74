//! The kinds of changes, a file each: what a change is called, how it is made, taken back and settled, and what it leaves.

pub mod account;
pub mod backup;
pub mod certificate;
mod config_test;
mod database;
mod directory;
mod file;
mod front;
mod front_candidate;
mod group;
pub mod migration;
mod module;
mod package;
mod rc_variable;
mod release;
mod removal;
pub(super) mod service;
mod symlink;
mod sysctl;
mod user;
mod webroot;

pub use account::Account;
pub use backup::BackupChange;
pub use certificate::{CertificateChange, CertificateOrder, ShownBy};
pub use config_test::ConfigTest;
pub use directory::MakeDirectory;
pub use file::WriteFile;
pub use front::{IncludeSite, ReloadFront, StartFront};
pub use front_candidate::{NewFile, TestFront};
pub use group::{AddGroup, RemoveGroup};
pub use migration::Migration;
pub use module::{LoadModule, UnloadModule};
pub use package::{InstallPackage, RemovePackage};
pub use rc_variable::SetRcVariable;
pub use release::InstallRelease;
pub use removal::{Discard, Remove, RemoveTree};
pub use service::{ServiceStart, StopService};
pub use symlink::MakeSymlink;
pub use sysctl::SetSysctl;
pub use user::{AddUser, RemoveUser};

use crate::host::Owner;

/// An owner as ls(1) would show it, as far as it is known before the account is there.
fn owned_by(owner: Owner) -> String {
    let name = |id: u32, root: &str| if id == 0 { root.to_owned() } else { id.to_string() };
    format!("{}:{}", name(owner.uid, "root"), name(owner.gid, "wheel"))
}
