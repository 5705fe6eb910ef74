//! `uninstall`.

use clap::Args;

use super::command::{self, Terms};
use super::global::Global;
use super::screen::Screen;
use crate::run::Exit;
use crate::run::uninstall::{self, COMMAND, Extent};

/// What `uninstall` takes.
#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// How they are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Remove the data, too: database, media, configuration, answers, secrets, log. This cannot be undone
    #[arg(long)]
    pub purge: bool,
    /// The instance whose data are meant: needed with --purge --yes, where nobody can be asked to type it
    #[arg(long, value_name = "NAME", requires = "purge")]
    pub host_name: Option<String>,
    /// Remove the backups in /var/backups/gotosocial, too
    #[arg(long, requires = "purge")]
    pub with_backups: bool,
}

/// Runs `uninstall`.
pub fn run(global: &Global, arguments: &Arguments, screen: &Screen) -> Exit {
    let Arguments { terms, purge, ref host_name, with_backups } = *arguments;
    let extent = Extent { purge, backups: with_backups };
    let name = host_name.as_deref();
    command::changing(global, screen, COMMAND, terms, &|run| uninstall::uninstall(run, extent, name))
}
