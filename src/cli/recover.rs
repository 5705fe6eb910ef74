//! `recover`.

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::Exit;
use crate::run::recover;

/// What `recover` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct Arguments {
    /// Undo everything that the interrupted run did
    #[arg(long)]
    pub undo: bool,
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
}

/// Runs `recover`.
pub fn run(global: &Global, Arguments { undo, yes, plan }: Arguments, screen: &Screen) -> Exit {
    command::changing(global, screen, "recover", Terms { yes, plan }, &|run| recover::recover(run, undo))
}
