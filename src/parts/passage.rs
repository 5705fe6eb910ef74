//! The way from one release to another, and back: what an installation's plan gets around it so that the database goes along
//! and can be had back.
//!
//! The service is kept from starting at a boot (`gotosocial_enable`) for as long as program and database do not fit together: a
//! power cut then leaves an instance that is down, and not one that a boot breaks.

use std::path::{Path, PathBuf};

use semver::Version;

use super::answers::Lock;
use super::{Refusal, database::connection, release, service};
use crate::change::database::{self, Description};
use crate::change::journal::{self, Line, Outcome};
use crate::change::migration::MigrationCommand;
use crate::change::{
    Action, Change, Content, Database, DatabaseCopy, DatabaseRestore, DatabaseTest, Discard, MakeDirectory, Migration,
    Prior, SetRcVariable, Step, WriteFile, store,
};
use crate::deployment::{Deployment, Layout};
use crate::gotosocial::{SERVICE, Series};
use crate::host::{Entry, Observe, Owner};
use crate::release::LockedRelease;
use crate::sysconf::rc_conf;

/// The rc.conf(5) variable that starts the service at a boot.
pub const ENABLE: &str = "gotosocial_enable";
/// The command that goes to another release.
pub const UPGRADE: &str = "upgrade";
/// The command that goes back.
pub const ROLLBACK: &str = "rollback";
/// The lock of the release that a copy's database is for, within the copy.
const LOCK: &str = "deployment.lock";

/// The changes around a change of release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// While the old release still serves.
    pub prepare: Vec<Step>,
    /// Once the service is stopped.
    pub before: Vec<Step>,
    /// Once `current` points to the other release.
    pub after: Vec<Step>,
    /// Whether the start of the server migrates the database.
    pub start_migrates: bool,
}

impl Passage {
    /// Whether the database changes on the way, for which the service has to stop.
    pub fn moves_database(&self) -> bool {
        let moves = |step: &Step| matches!(step.change, Change::Migration { .. } | Change::DatabaseRestore { .. });
        self.after.iter().any(moves)
    }

    /// Lets the service start at a boot again.
    fn enable_again(&mut self, host: &dyn Observe) -> Result<(), Refusal> {
        if !self.before.is_empty() || !is_enabled(host)? {
            self.after.push(enable(true));
        }
        Ok(())
    }
}

/// A complete copy of a database that was made before a change of release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its folder.
    pub folder: PathBuf,
    /// The release that the database is for.
    pub from: Version,
    /// The release that was changed to.
    pub to: Version,
    /// What the copy says of itself.
    pub description: Description,
}

impl Kept {
    /// Where the lock of then is.
    pub fn lock(&self) -> PathBuf {
        self.folder.join(LOCK)
    }
}

/// A change of release that was cut off, and that a later run has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The command.
    pub command: String,
    /// The release that was in use.
    pub from: Version,
    /// The folder of the database's copy.
    pub folder: PathBuf,
    /// Whether the database was brought to the other release, by a migration or by being put back.
    pub arrived: bool,
}

/// The change of release that was cut off, if the newest one was; whether or not it had got as far as changing `current`.
///
/// # Errors
/// A receipt cannot be read.
pub fn cut_off(host: &dyn Observe) -> Result<Option<Unfinished>, Refusal> {
    let folder = PathBuf::from(store::FOLDER).join("receipts");
    let mut arrived = false;
    for name in host.list(&folder)?.iter().rev() {
        let lines = journal::read(host, &folder.join(name))?.unwrap_or_default();
        let outcome = lines.iter().rev().find_map(|line| match line {
            Line::End { outcome } => Some(*outcome),
            _ => None,
        });
        let stayed = |step: &usize| !lines.contains(&Line::Undone { step: *step });
        let mut copied = None;
        let mut moved = false;
        for line in &lines {
            let Line::Intent { step, change, .. } = line else { continue };
            match change {
                Change::DatabaseCopy { copy } if copy.guards => {
                    moved = true;
                    copied = Some(copy.clone()).filter(|_| stayed(step));
                }
                Change::Migration { .. } | Change::DatabaseRestore { .. } => {
                    moved = true;
                    arrived |= stayed(step) && lines.contains(&Line::Done { step: *step });
                }
                _ => {}
            }
        }
        let begin = lines.iter().find_map(|line| match line {
            Line::Begin { command, .. } => Some(command.clone()),
            _ => None,
        });
        let command = begin.unwrap_or_default();
        // What a later run of the same kind has brought to its end is at its end.
        if outcome == Some(Outcome::Complete) && [UPGRADE, ROLLBACK].contains(&&*command) {
            return Ok(None);
        }
        if !moved {
            continue;
        }
        let goes_on =
            !lines.iter().any(|line| matches!(line, Line::Intent { change: Change::DatabaseCopy { .. }, .. }));
        // One that went on where another was cut off, and could not, leaves it where it was.
        if goes_on && outcome == Some(Outcome::Undone) {
            continue;
        }
        if outcome != Some(Outcome::Interrupted) {
            return Ok(None);
        }
        if let Some(copy) = copied {
            return Ok(Some(Unfinished { command, from: copy.version.clone(), folder: copy.to.clone(), arrived }));
        }
        if !goes_on {
            return Ok(None);
        }
    }
    Ok(None)
}

/// Whether the newest run was a way back that had made all its changes, or took away after it what is not needed any more.
///
/// # Errors
/// A receipt cannot be read.
pub fn is_back(host: &dyn Observe) -> Result<bool, Refusal> {
    let folder = PathBuf::from(store::FOLDER).join("receipts");
    for name in host.list(&folder)?.iter().rev() {
        let lines = journal::read(host, &folder.join(name))?.unwrap_or_default();
        // A run that only takes away touches nothing that runs.
        let tidies = lines.iter().all(|line| match line {
            Line::Begin { command, running, .. } => command == ROLLBACK && running.is_empty(),
            Line::Intent { change, .. } => matches!(change, Change::Discard(_)),
            _ => true,
        });
        if !tidies {
            let is_one = |line: &Line| matches!(line, Line::Begin { command, .. } if command == ROLLBACK);
            return Ok(lines.iter().any(is_one) && lines.contains(&Line::End { outcome: Outcome::Complete }));
        }
    }
    Ok(false)
}

/// The change of release that was cut off after `current` had been changed.
///
/// # Errors
/// A receipt cannot be read.
pub fn switched(host: &dyn Observe, layout: &Layout) -> Result<Option<Unfinished>, Refusal> {
    let current = release::installed(host, layout)?;
    Ok(cut_off(host)?.filter(|unfinished| current.is_some_and(|current| current != unfinished.from)))
}

/// The same, as long as program and database do not fit together: only its own command may go on.
///
/// # Errors
/// A receipt cannot be read.
pub fn unfinished(host: &dyn Observe, layout: &Layout) -> Result<Option<Unfinished>, Refusal> {
    let enabled = is_enabled(host)?;
    Ok(switched(host, layout)?.filter(|unfinished| !(unfinished.arrived && enabled)))
}

/// Whether the service starts at a boot.
fn is_enabled(host: &dyn Observe) -> Result<bool, Refusal> {
    Ok(host.rc_is_yes(ENABLE)?)
}

/// The complete copies that were made before changes of release, the newest first.
///
/// # Errors
/// One cannot be read.
pub fn kept(host: &dyn Observe, layout: &Layout) -> Result<Vec<Kept>, Refusal> {
    let mut kept = Vec::new();
    for name in host.list(&layout.backups)? {
        let Some((from, to)) = named(&name) else { continue };
        let folder = layout.backups.join(&name);
        if let Some(description) = database::describe(host, &folder)?.filter(|it| it.version == from) {
            kept.push(Kept { folder, from, to, description });
        }
    }
    kept.sort_by(|a, b| (b.description.time, &b.folder).cmp(&(a.description.time, &a.folder)));
    Ok(kept)
}

/// The two releases that a copy's folder is named after: `0.19.2-to-0.20.0`, `0.19.2-to-0.20.0_2`.
fn named(name: &str) -> Option<(Version, Version)> {
    let (from, to) = name.split_once("-to-")?;
    let to = to.split_once('_').map_or(to, |(to, _)| to);
    Some((Version::parse(from).ok()?, Version::parse(to).ok()?))
}

/// The folder for the copy before a change of release: that of an attempt that was cut off, or a new one.
fn copy_folder(host: &dyn Observe, layout: &Layout, from: &Version, to: &Version) -> Result<PathBuf, Refusal> {
    if let Some(unfinished) = cut_off(host)? {
        let name = unfinished.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if unfinished.from == *from && named(&name).is_some_and(|(_, other)| other == *to) {
            return Ok(unfinished.folder);
        }
    }
    let name = format!("{from}-to-{to}");
    let mut folder = layout.backups.join(&name);
    let mut number = 1;
    while host.entry(&folder)?.is_some() {
        number += 1;
        folder = layout.backups.join(format!("{name}_{number}"));
    }
    Ok(folder)
}

/// Both ends of a change of release, and the host that it happens on.
#[derive(Debug, Clone, Copy)]
pub struct Ends<'a> {
    /// What is deployed.
    pub deployment: &'a Deployment,
    /// Where everything is.
    pub layout: &'a Layout,
    /// The service user.
    pub owner: Owner,
    /// The release that is in use.
    pub from: &'a Version,
    /// The one that is wanted.
    pub to: &'a LockedRelease,
}

impl Ends<'_> {
    fn database(&self) -> Database {
        match connection(self.deployment, self.layout, self.owner) {
            Some(connection) => Database::Postgres { connection },
            None => Database::Sqlite { path: self.layout.database() },
        }
    }

    /// The changes around an upgrade, or around the rest of one that was cut off.
    ///
    /// # Errors
    /// There is no room for a copy of the database; a receipt cannot be read.
    pub fn upgrade(&self, host: &dyn Observe) -> Result<Passage, Refusal> {
        let mut passage = Passage::default();
        let begun =
            switched(host, self.layout)?.filter(|begun| *self.from != begun.from && self.to.version == *self.from);
        if let Some(other) = begun.as_ref().filter(|unfinished| unfinished.command != UPGRADE) {
            return Err(Refusal::Unfinished { command: other.command.clone() });
        }
        let folder = match &begun {
            Some(unfinished) => unfinished.folder.clone(),
            None => self.copy_first(host, &mut passage)?,
        };
        if begun.is_none_or(|unfinished| !unfinished.arrived) {
            let by_command = Series::of(&self.to.version).migrates_by_command();
            passage.start_migrates = !by_command;
            let command = by_command.then(|| MigrationCommand {
                program: self.layout.release(&self.to.version).join("gotosocial"),
                config: self.layout.config.clone(),
                directory: self.layout.data.clone(),
                environment: service::environment(self.layout),
            });
            let migration = Migration {
                database: self.database(),
                copy: folder,
                service: SERVICE.to_owned(),
                owner: self.owner,
                version: self.to.version.clone(),
                command,
            };
            passage.after.push(Step::new(
                "database",
                Action::Update,
                Change::Migration { migration: Box::new(migration) },
            ));
        }
        passage.enable_again(host)?;
        Ok(passage)
    }

    /// The changes around the way back to the release before, or around the rest of one that was cut off.
    ///
    /// # Errors
    /// As for [`Ends::upgrade`].
    pub fn rollback(&self, host: &dyn Observe, back_to: &Kept) -> Result<Passage, Refusal> {
        let mut passage = Passage::default();
        let begun = switched(host, self.layout)?.filter(|unfinished| unfinished.command == ROLLBACK);
        let now = match &begun {
            Some(unfinished) => unfinished.folder.clone(),
            None => self.copy_first(host, &mut passage)?,
        };
        let before = self.database().of_server().is_some().then_some(now);
        if begun.is_none_or(|unfinished| !unfinished.arrived) {
            let restore = DatabaseRestore {
                from: back_to.folder.clone(),
                to: self.database(),
                service: SERVICE.to_owned(),
                owner: self.owner,
                before,
            };
            passage.after.push(Step::new(
                "database",
                Action::Update,
                Change::DatabaseRestore { restore: Box::new(restore) },
            ));
        }
        passage.enable_again(host)?;
        Ok(passage)
    }

    /// The copy of the database as it is now, before anything changes; its folder.
    fn copy_first(&self, host: &dyn Observe, passage: &mut Passage) -> Result<PathBuf, Refusal> {
        let database = self.database();
        let folder = copy_folder(host, self.layout, self.from, &self.to.version)?;
        let backups = &self.layout.backups;
        if let Some(step) = backups_folder(host, backups)? {
            passage.prepare.push(step);
        }
        match &database {
            Database::Sqlite { path } => {
                database::can_be_copied(host, path, self.owner)?;
                self.room(host, path)?;
            }
            Database::Postgres { connection } => {
                let test = DatabaseTest { connection: connection.clone(), to: backups.clone() };
                let change = Change::DatabaseTest { test: Box::new(test) };
                passage.prepare.push(Step::new("database", Action::Test, change));
            }
        }
        if host.rc_variable(ENABLE)?.is_some_and(|now| !rc_conf::is_no(&now)) {
            passage.before.push(enable(false));
        }
        let copy = DatabaseCopy {
            from: database,
            to: folder.clone(),
            service: SERVICE.to_owned(),
            owner: self.owner,
            thorough: true,
            host: self.deployment.host.to_string(),
            version: self.from.clone(),
            guards: true,
        };
        passage.before.push(Step::new("database", Action::Create, Change::DatabaseCopy { copy: Box::new(copy) }));
        // Which bytes the release of then was, for the way back.
        if let Some(lock) = self.lock_of_now(host)? {
            let change = Change::File(WriteFile {
                path: folder.join(LOCK),
                content: Content::new(lock),
                mode: 0o600,
                owner: Owner::ROOT,
            });
            passage.before.push(Step::new("database", Action::Create, change));
        }
        Ok(folder)
    }

    /// The lock of the release that is in use. Where an attempt was cut off after it had put what is wanted on record, the
    /// receipts have what stood there before.
    fn lock_of_now(&self, host: &dyn Observe) -> Result<Option<Vec<u8>>, Refusal> {
        let path = self.layout.lock();
        let fits = |bytes: &Vec<u8>| {
            Lock::parse(&String::from_utf8_lossy(bytes)).is_ok_and(|lock| lock.release.version == *self.from)
        };
        if let Some(lock) = host.read(&path)?.filter(fits) {
            return Ok(Some(lock));
        }
        let is_lock = |change: &Change| matches!(change, Change::File(WriteFile { path: there, .. }) if *there == path);
        for (_, prior) in journal::stayed(host, is_lock)? {
            let Prior::File { sha256, .. } = prior else { continue };
            if let Some(lock) = store::recall(host, &sha256).ok().filter(fits) {
                return Ok(Some(lock));
            }
        }
        Ok(None)
    }

    /// Whether there is room for the copy and for the one that is opened, and for what a migration writes.
    fn room(&self, host: &dyn Observe, path: &Path) -> Result<(), Refusal> {
        const MARGIN: u64 = 64 << 20;
        let mut size = 0;
        for suffix in ["", "-wal"] {
            let mut name = path.as_os_str().to_os_string();
            name.push(suffix);
            if let Some(Entry::File { size: bytes, .. }) = host.entry(Path::new(&name))? {
                size += bytes;
            }
        }
        let needed = 2 * size + MARGIN;
        for place in [&self.layout.backups, &self.layout.data] {
            let free = host.free_bytes(place)?;
            if free < needed {
                return Err(Refusal::NoRoom {
                    place: place.clone(),
                    free: free >> 20,
                    needed: needed.div_ceil(1 << 20),
                });
            }
        }
        Ok(())
    }
}

/// The folder of backups, root's alone.
fn backups_folder(host: &dyn Observe, path: &Path) -> Result<Option<Step>, Refusal> {
    let change = MakeDirectory { path: path.to_owned(), mode: 0o700, owner: Owner::ROOT };
    let action = match host.entry(path)? {
        None => Action::Create,
        Some(Entry::Directory { mode: 0o700, owner: Owner::ROOT }) => return Ok(None),
        Some(Entry::Directory { .. }) => Action::Update,
        Some(_) => {
            return Err(Refusal::WrongKind {
                path: path.to_owned(),
                found: "no folder",
                wanted: "the folder of backups",
            });
        }
    };
    Ok(Some(Step::new("folders", action, change)))
}

fn enable(yes: bool) -> Step {
    let value = if yes { "YES" } else { "NO" };
    Step::new("service", Action::Set, SetRcVariable { name: ENABLE.to_owned(), value: Some(value.to_owned()) })
}

/// Releases and copies that are not needed any more: all but the release in use, the `keep` before it, and the copies that
/// lead back to these. `done` is a copy that has been put back and so is of no use.
///
/// # Errors
/// A folder cannot be read.
pub fn superfluous(
    host: &dyn Observe,
    layout: &Layout,
    keep: usize,
    done: Option<&Path>,
) -> Result<Vec<Step>, Refusal> {
    let Some(current) = release::installed(host, layout)? else { return Ok(Vec::new()) };
    let kept: Vec<Kept> = kept(host, layout)?.into_iter().filter(|copy| Some(&*copy.folder) != done).collect();
    // In the order in which they were in use, the last first; what never was comes after them, the newest first.
    let mut releases: Vec<Version> = kept.iter().map(|copy| copy.from.clone()).collect();
    let mut others: Vec<Version> =
        host.list(&layout.releases)?.iter().filter_map(|name| Version::parse(name).ok()).collect();
    others.sort_by(|a, b| b.cmp(a));
    releases.extend(others);
    let mut stays: Vec<Version> = vec![current.clone()];
    for version in &releases {
        if !stays.contains(version) && stays.len() <= keep {
            stays.push(version.clone());
        }
    }
    let mut gone: Vec<PathBuf> = Vec::new();
    for version in &releases {
        let folder = layout.release(version);
        if !stays.contains(version) && !gone.contains(&folder) && host.entry(&folder)?.is_some() {
            gone.push(folder);
        }
    }
    let mut seen: Vec<(&Version, &Version)> = Vec::new();
    for copy in &kept {
        let ends = (&copy.from, &copy.to);
        if !stays.contains(&copy.from) || seen.contains(&ends) {
            gone.push(copy.folder.clone());
        }
        seen.push(ends);
    }
    gone.extend(done.map(Path::to_owned));
    Ok(gone.into_iter().map(|path| Step::new("release", Action::Remove, Discard { path })).collect())
}
