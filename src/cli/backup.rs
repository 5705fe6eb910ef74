//! `backup`.

use std::path::PathBuf;

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::Exit;
use crate::run::backup::{self, BackupOptions};

/// What `backup` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Put the backup into this folder, an absolute path; default: /var/backups/gotosocial
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
    /// Leave the media out; the backup then has no uploads of users
    #[arg(long)]
    pub without_media: bool,
    /// Remove the oldest backups of this instance in that folder, once the new one is verified, until N are left
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: Option<u32>,
    /// Make the backup without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs `backup`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let Arguments { yes, plan, keep, .. } = *arguments;
    let options = BackupOptions { to: arguments.to.clone(), media: !arguments.without_media, keep };
    command::changing(global, screen, "backup", Terms { yes, plan }, &|run| backup::backup(run, &options))
}
