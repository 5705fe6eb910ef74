//! What applies to every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// What applies to every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Do everything in the folder DIR, on a model of FreeBSD, without root and without internet
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub rehearse: Option<PathBuf>,
    /// Print one JSON object on standard output; text for people goes to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Print more: the checks that passed, and the details of each change
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print only what needs attention
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What to do with an interrupted run: undo its changes, or keep them for the next run. The default is to ask
    /// after Ctrl-C at a terminal, and to undo otherwise
    #[arg(long, global = true, value_name = "WHAT")]
    pub on_interrupt: Option<OnInterrupt>,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What becomes of an interrupted run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnInterrupt {
    /// Undo the changes.
    Undo,
    /// Keep the changes; the next run continues from there.
    Keep,
}
