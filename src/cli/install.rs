//! `install`.

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::inputs::Given;
use crate::run::install::{self, InstallOptions};
use crate::run::{Agreement, Exit};

/// What `install` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Take the answers from this TOML file instead of asking; see docs/answers.md
    #[arg(long, value_name = "FILE")]
    pub answers: Option<std::path::PathBuf>,
    /// Set one answer, for example --set host=social.example.org (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Ask the questions again, with the current answers as defaults; without a terminal, read one answer per line
    /// from standard input
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
    /// How they are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Install this version (the same as --set release.version=VERSION)
    #[arg(long, value_name = "VERSION")]
    pub release: Option<String>,
    /// Take the release only if its archive has this SHA-256 (the same as --set release.sha256=HEX)
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Leave out the checks on the running system afterwards
    #[arg(long)]
    pub no_check: bool,
}

/// Runs `install`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let Arguments { answers, set, ask, terms: Terms { yes, plan }, mirror, release, sha256, no_check } = arguments;
    let around = screen.around();
    let named = [("release.version", release), ("release.sha256", sha256)];
    let named = named.into_iter().filter_map(|(key, value)| value.as_ref().map(|value| format!("{key}=\"{value}\"")));
    let given = Given {
        file: answers.as_deref().map(|file| around.typed(file)),
        set: set.iter().cloned().chain(named).collect(),
        ask: *ask,
        mode: None,
    };
    let options = InstallOptions {
        given,
        mirror: mirror.as_deref().map(|mirror| around.mirror(mirror)),
        no_check: *no_check,
        trial: None,
    };
    let agreement = Agreement { yes: *yes, plan: *plan };
    command::asking(global, screen, "install", (agreement, *ask), &|run| install::install(run, &options))
}
