//! `switch-to-proxy` and `switch-to-direct`: who stands at ports 80 and 443, changed with seconds of interruption, proved,
//! and taken back by itself if the proof fails.

use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::deployment::Mode;
use crate::front::Front;
use crate::run::Exit;
use crate::run::inputs::Given;
use crate::run::install::{self, InstallOptions};

/// How a switch is agreed to and tried.
#[derive(Debug, Clone, Copy, Args)]
pub struct OnTrial {
    /// How it is agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// How long the switch is watched; if a check fails meanwhile, everything is undone
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
    pub trial: OnTrial,
}

/// What `switch-to-direct` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ToDirect {
    /// How it is agreed to and tried.
    #[command(flatten)]
    pub trial: OnTrial,
}

/// Runs `switch-to-proxy`.
pub fn to_proxy(global: &Global, arguments: &ToProxy, screen: &Screen) -> Exit {
    switch(global, "switch-to-proxy", Mode::Behind(arguments.front), arguments.trial, screen)
}

/// The web servers that can be put in front, as they are written.
fn fronts() -> impl TypedValueParser<Value = Front> {
    PossibleValuesParser::new(Front::ALL.map(|front| PossibleValue::new(front.key).help(front.full_name)))
        .map(|key| Front::of_key(&key).unwrap_or(Front::NGINX))
}

/// Runs `switch-to-direct`.
pub fn to_direct(global: &Global, arguments: &ToDirect, screen: &Screen) -> Exit {
    switch(global, "switch-to-direct", Mode::Direct, arguments.trial, screen)
}

fn switch(global: &Global, command: &'static str, mode: Mode, on_trial: OnTrial, screen: &Screen) -> Exit {
    let given = Given { mode: Some(mode), ..Given::default() };
    let options =
        InstallOptions { given, trial: Some(Duration::from_secs(on_trial.trial.into())), ..InstallOptions::default() };
    command::changing(global, screen, command, on_trial.terms, &|run| install::install(run, &options))
}
