//! The commands that change a host: what each takes, and the run that it starts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::command::{Terms, changing};
use super::screen::Screen;
use crate::deployment::{AcmeDirectory, Mode, VersionWish};
use crate::front::Front;
use crate::parts::passage::{ROLLBACK, UPGRADE};
use crate::run::inputs::Given;
use crate::run::install::InstallOptions;
use crate::run::{Exit, Stop, backup, install, recover, renew, restore, rollback, uninstall, upgrade};

/// What `install` takes.
#[derive(Debug, Clone, Args)]
pub struct Install {
    /// Take the answers from this TOML file instead of asking; see docs/answers.md
    #[arg(long, value_name = "FILE")]
    pub answers: Option<PathBuf>,
    /// Set one answer, for example --set host=social.example.org (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Ask the questions again, with the current answers as defaults; without a terminal, read one answer per line
    /// from standard input
    #[arg(long, conflicts_with = "yes")]
    pub ask: bool,
    /// How the changes are agreed to.
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
pub(super) fn install(arguments: Install, screen: &Screen) -> Exit {
    let Install { answers, mut set, ask, terms, mirror, release, sha256, no_check } = arguments;
    for (key, value) in [("release.version", release), ("release.sha256", sha256)] {
        set.extend(value.map(|value| format!("{key}=\"{value}\"")));
    }
    let file = answers.map(|file| screen.around.typed(&file));
    let mirror = mirror.map(|mirror| screen.around.mirror(&mirror));
    let options = InstallOptions { given: Given { file, set, ask, mode: None }, mirror, no_check, trial: None };
    changing(screen, "install", Terms { asks: ask, ..terms }, &|run| install::install(run, &options))
}

/// What `switch-to-proxy` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct ToProxy {
    /// The web server
    #[arg(default_value = Front::NGINX.key, value_parser = fronts())]
    pub front: Front,
    /// How the switch is agreed to and watched.
    #[command(flatten)]
    pub on_trial: OnTrial,
}

/// What `switch-to-direct` takes.
#[derive(Debug, Clone, Copy, Args)]
pub struct OnTrial {
    /// How the changes are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// How long the switch is watched; if a check fails meanwhile, everything is undone
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub trial: u32,
}

/// The web servers that can be put in front.
fn fronts() -> impl TypedValueParser<Value = Front> {
    PossibleValuesParser::new(Front::ALL.map(|front| PossibleValue::new(front.key).help(front.full_name)))
        .map(|key| Front::of_key(&key).unwrap_or(Front::NGINX))
}

/// Runs `switch-to-proxy` or `switch-to-direct`: hands over ports 80 and 443 with seconds of interruption, checks the result,
/// and undoes it if a check fails.
pub(super) fn switch(command: &'static str, mode: Mode, OnTrial { terms, trial }: OnTrial, screen: &Screen) -> Exit {
    let given = Given { mode: Some(mode), ..Given::default() };
    let trial = Some(Duration::from_secs(trial.into()));
    let options = InstallOptions { given, trial, ..InstallOptions::default() };
    changing(screen, command, terms, &|run| install::install(run, &options))
}

/// What `upgrade` takes.
#[derive(Debug, Clone, Args)]
pub struct Upgrade {
    /// Go to this version instead of the newest; a release candidate only if it is named
    #[arg(long, value_name = "VERSION")]
    pub release: Option<VersionWish>,
    /// How the changes are agreed to.
    #[command(flatten)]
    pub terms: Terms,
    /// Take the release from a mirror laid out as upstream's: an https address or a folder
    #[arg(long, value_name = "URL|DIR")]
    pub mirror: Option<String>,
    /// Take the release only if its archive has this SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// How many old releases to keep, with the copies of their databases
    #[arg(long, value_name = "N", default_value_t = upgrade::KEEP, value_parser = clap::value_parser!(u8).range(1..))]
    pub keep: u8,
}

/// Runs `upgrade`.
pub(super) fn upgrade(Upgrade { release, terms, mirror, sha256, keep }: Upgrade, screen: &Screen) -> Exit {
    let version = if let Some(VersionWish::Exact(version)) = release { Some(version) } else { None };
    let mirror = mirror.map(|mirror| screen.around.mirror(&mirror));
    let options = upgrade::UpgradeOptions { version, mirror, sha256, keep };
    changing(screen, UPGRADE, terms, &|run| upgrade::upgrade(run, &options))
}

/// Runs `rollback`.
pub(super) fn rollback(terms: Terms, screen: &Screen) -> Exit {
    changing(screen, ROLLBACK, terms, &rollback::rollback)
}

/// What `backup` takes.
#[derive(Debug, Clone, Args)]
pub struct Backup {
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
pub(super) fn backup(Backup { to, without_media, keep, yes, plan }: Backup, screen: &Screen) -> Exit {
    let options = backup::BackupOptions { to, media: !without_media, keep };
    changing(screen, "backup", Terms { yes, plan, asks: false }, &|run| backup::backup(run, &options))
}

/// What `restore` takes.
#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The backup
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
pub(super) fn restore(Restore { file, yes, plan, mirror, no_check }: Restore, screen: &Screen) -> Exit {
    let mirror = mirror.map(|mirror| screen.around.mirror(&mirror));
    let options = restore::RestoreOptions { file: screen.around.typed(&file), mirror, no_check };
    changing(screen, "restore", Terms { yes, plan, asks: false }, &|run| restore::restore(run, &options))
}

/// What `certificate renew` takes.
#[derive(Debug, Clone, Args)]
pub struct Renewal {
    /// Renew now, whether due or not; waits only if the authority has requested it
    #[arg(long)]
    pub force: bool,
    /// Renew without asking
    #[arg(long, conflicts_with = "plan")]
    pub yes: bool,
    /// Show what would be done, and touch nothing
    #[arg(long)]
    pub plan: bool,
    /// Use this authority for this renewal, such as Let's Encrypt's staging environment
    #[arg(long, value_name = "URL")]
    pub acme_directory: Option<String>,
}

/// Runs `certificate renew`.
pub(super) fn renew(Renewal { force, yes, plan, acme_directory }: Renewal, screen: &Screen) -> Exit {
    changing(screen, "certificate renew", Terms { yes, plan, asks: false }, &|run| {
        let usage = |error| Stop::usage(format!("--acme-directory: {error}"));
        let directory = acme_directory.as_deref().map(AcmeDirectory::from_str).transpose().map_err(usage)?;
        renew::renew(run, force, directory.as_ref())
    })
}

/// What `uninstall` takes.
#[derive(Debug, Clone, Args)]
pub struct Uninstall {
    /// How the changes are agreed to.
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
pub(super) fn uninstall(Uninstall { terms, purge, host_name, with_backups }: Uninstall, screen: &Screen) -> Exit {
    let extent = uninstall::Extent { purge, backups: with_backups };
    let name = host_name.as_deref();
    changing(screen, uninstall::COMMAND, terms, &|run| uninstall::uninstall(run, extent, name))
}

/// Runs `recover`.
pub(super) fn recover(undo: bool, terms: Terms, screen: &Screen) -> Exit {
    changing(screen, "recover", terms, &|run| recover::recover(run, undo))
}
