//! `upgrade` and `rollback`: another release, with the database that fits it.

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::deployment::VersionWish;
use crate::parts::passage::{ROLLBACK, UPGRADE};
use crate::run::Exit;
use crate::run::rollback;
use crate::run::upgrade::{self, KEEP, UpgradeOptions};

/// What `upgrade` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Go to this version instead of the newest; a release candidate only if it is named
    #[arg(long, value_name = "VERSION")]
    pub release: Option<VersionWish>,
    /// How they are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Take the release only if its archive has this SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// How many old releases to keep, with the copies of their databases
    #[arg(long, value_name = "N", default_value_t = KEEP, value_parser = clap::value_parser!(u8).range(1..))]
    pub keep: u8,
}

/// What `rollback` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Back {
    /// How they are agreed to.
    #[command(flatten)]
    pub terms: Terms,
}

/// Runs `upgrade`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let options = UpgradeOptions {
        version: match &arguments.release {
            Some(VersionWish::Exact(version)) => Some(version.clone()),
            Some(VersionWish::Latest) | None => None,
        },
        mirror: arguments.mirror.as_deref().map(|mirror| screen.around().mirror(mirror)),
        sha256: arguments.sha256.clone(),
        keep: arguments.keep,
    };
    command::changing(global, screen, UPGRADE, arguments.terms, &|run| upgrade::upgrade(run, &options))
}

/// Runs `rollback`.
pub fn rollback(global: &Global, arguments: Back, screen: &Screen) -> Exit {
    command::changing(global, screen, ROLLBACK, arguments.terms, &rollback::rollback)
}
