//! `switch-to-proxy` and `switch-to-direct`: who stands at ports 80 and 443, changed with seconds of interruption, proved,
//! and taken back by itself if the proof fails.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::Global;
use super::exit::Exit;
use super::install::{self, Run};
use super::screen::Screen;
use crate::deployment::Mode;
use crate::front::Front;

/// How a switch is agreed to and tried.
#[derive(Debug, Clone, Copy, Args)]
pub struct Terms {
    /// Make the changes without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// How long the switch is watched; if a check fails meanwhile everything goes back to how it was
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub trial: u32,
}

/// What `switch-to-proxy` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ToProxy {
    /// The web server
    #[arg(default_value = Front::NGINX.key, value_parser = fronts())]
    pub front: Front,
    /// How it is agreed to and tried.
    #[command(flatten)]
    pub terms: Terms,
}

/// What `switch-to-direct` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ToDirect {
    /// How it is agreed to and tried.
    #[command(flatten)]
    pub terms: Terms,
}

/// Runs `switch-to-proxy`.
#[must_use]
pub fn to_proxy(global: &Global, arguments: &ToProxy, screen: &Screen) -> Exit {
    switch(global, "switch-to-proxy", Mode::Behind(arguments.front), arguments.terms, screen)
}

/// The web servers that can be put in front, as they are written.
fn fronts() -> impl TypedValueParser<Value = Front> {
    PossibleValuesParser::new(Front::ALL.map(|front| PossibleValue::new(front.key).help(front.full_name)))
        .map(|key| Front::of_key(&key).unwrap_or(Front::NGINX))
}

/// Runs `switch-to-direct`.
#[must_use]
pub fn to_direct(global: &Global, arguments: &ToDirect, screen: &Screen) -> Exit {
    switch(global, "switch-to-direct", Mode::Direct, arguments.terms, screen)
}

fn switch(global: &Global, command: &'static str, mode: Mode, terms: Terms, screen: &Screen) -> Exit {
    let run = Run { command, trial: Some(Duration::from_secs(terms.trial.into())), mode: Some(mode) };
    let arguments = install::Arguments {
        answers: None,
        ask: false,
        set: Vec::new(),
        yes: terms.yes,
        plan: terms.plan,
        mirror: None,
        release: None,
        sha256: None,
        no_check: false,
    };
    install::deploy(global, &run, &arguments, screen)
}
