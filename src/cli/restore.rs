//! `restore`.

use std::path::PathBuf;

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::Exit;
use crate::run::restore::{self, RestoreOptions};

/// What `restore` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Verify the backup, show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Leave out the checks on the running system afterwards
    #[arg(long)]
    pub no_check: bool,
}

/// Runs `restore`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let Arguments { yes, plan, no_check, .. } = *arguments;
    let around = screen.around();
    let mirror = arguments.mirror.as_deref().map(|mirror| around.mirror(mirror));
    let options = RestoreOptions { file: around.typed(&arguments.file), mirror, no_check };
    command::changing(global, screen, "restore", Terms { yes, plan }, &|run| restore::restore(run, &options))
}
