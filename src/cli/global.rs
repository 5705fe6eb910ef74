//! What applies to every command.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use crate::change::Interruption;

/// What applies to every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Do everything in the folder DIR, on a model of FreeBSD, without root and without internet
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub rehearse: Option<PathBuf>,
    /// Print one JSON object on standard output; texts for people go to standard error
    #[arg(long, global = true)]
    pub json: bool,
    /// Colours: auto (on a terminal, unless NO_COLOR is set), always or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Say more: what passed, and what a change consists of
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say only what needs attention
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// What becomes of a run that is interrupted: undo takes back what was done, keep leaves it for the next run. Without
    /// this it is asked after Ctrl-C at a terminal, and else undone
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

/// What becomes of a run that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnInterrupt {
    /// Take back what was done.
    Undo,
    /// Keep it; the next run goes on from there.
    Keep,
}

impl From<OnInterrupt> for Interruption {
    fn from(what: OnInterrupt) -> Self {
        match what {
            OnInterrupt::Undo => Self::Undo,
            OnInterrupt::Keep => Self::Keep,
        }
    }
}
