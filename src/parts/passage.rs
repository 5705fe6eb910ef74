//! The way from one release to another, and back: the changes around those of an installation that take the database along, and
//! keep a copy of it.
//!
//! As long as program and database do not fit together, the service does not start at boot (`gotosocial_enable`): a power cut
//! then leaves an instance that is down, and not one that a boot breaks.

use std::path::{Path, PathBuf};

use semver::Version;

use super::answers::Lock;
use super::database::{connection, size};
use super::service::{self, ENABLE};
use super::{Refusal, backup, release};
use crate::change::database::{self, Description};
use crate::change::journal::{self, Announced, Line, Outcome, announced};
use crate::change::migration::MigrationCommand;
use crate::change::{
    Action, Change, Database, DatabaseCopy, DatabaseRestore, DatabaseTest, Discard, Migration, Prior, Step, WriteFile,
    store,
};
use crate::deployment::{Deployment, Layout};
use crate::gotosocial::{SERVICE, Series};
use crate::host::{HostError, Observe, Owner};
use crate::release::LockedRelease;
use crate::sysconf::rc_conf;

const PART: &str = "database";
/// The command that goes to another release.
pub const UPGRADE: &str = "upgrade";
/// The command that goes back.
pub const ROLLBACK: &str = "rollback";
/// Within a copy, the lock of the release that its database is for.
const LOCK: &str = "deployment.lock";

/// The changes around a change of release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// While the old release still serves.
    pub(super) prepare: Vec<Step>,
    /// Once the service is stopped.
    pub(super) before: Vec<Step>,
    /// Once `current` points to the other release.
    pub(super) after: Vec<Step>,
    /// Whether the start of the server migrates the database.
    pub(super) start_migrates: bool,
}

impl Passage {
    /// Whether the database changes on the way, for which the service has to stop.
    pub(super) fn moves_database(&self) -> bool {
        let moves = |step: &Step| matches!(step.change, Change::Migration { .. } | Change::DatabaseRestore { .. });
        self.after.iter().any(moves)
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
    /// The copy's own description.
    pub description: Description,
}

impl Kept {
    /// The lock of the release that the database is for.
    pub fn lock(&self) -> PathBuf {
        self.folder.join(LOCK)
    }
}

/// A change of release that was interrupted, and that a later run has settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The command.
    pub command: String,
    /// The release that was in use.
    pub from: Version,
    /// The folder of the database's copy.
    pub folder: PathBuf,
    /// Whether the database was brought to the other release, by a migration or from a copy.
    pub arrived: bool,
}

/// The newest change of release, if it was interrupted; whether or not it had changed `current` yet.
fn cut_off(host: &dyn Observe) -> Result<Option<Unfinished>, Refusal> {
    let mut arrived = false;
    for lines in newest_first(host)? {
        let lines = lines?;
        let (mut copied, mut moved, mut copies) = (None, false, false);
        for Announced { change, done, undone, .. } in announced(&lines) {
            copies |= matches!(change, Change::DatabaseCopy { .. });
            match change {
                Change::DatabaseCopy { copy } if copy.guards => {
                    moved = true;
                    copied = Some(copy).filter(|_| !undone);
                }
                Change::Migration { .. } | Change::DatabaseRestore { .. } => {
                    moved = true;
                    arrived |= done && !undone;
                }
                _ => {}
            }
        }
        let command = journal::command(&lines);
        let end = lines.iter().rfind(|line| matches!(line, Line::End { .. }));
        let ended_as = |outcome| end == Some(&Line::End { outcome });
        // A later run of the same kind has completed it.
        if ended_as(Outcome::Complete) && [UPGRADE, ROLLBACK].contains(&command) {
            return Ok(None);
        }
        // A run without a copy of its own continued an earlier one; taken back, it leaves that one as it was.
        if !moved || !copies && ended_as(Outcome::Undone) {
            continue;
        }
        if let Some(copy) = copied.filter(|_| ended_as(Outcome::Interrupted)) {
            let (from, folder) = (copy.version.clone(), copy.to.clone());
            return Ok(Some(Unfinished { command: command.to_owned(), from, folder, arrived }));
        }
        if copies || !ended_as(Outcome::Interrupted) {
            return Ok(None);
        }
    }
    Ok(None)
}

/// The lines of each receipt, the newest first.
fn newest_first(host: &dyn Observe) -> Result<impl Iterator<Item = Result<Vec<Line>, HostError>>, HostError> {
    let folder = Path::new(store::FOLDER).join("receipts");
    let names = host.list(&folder)?.into_iter().rev();
    Ok(names.map(move |name| Ok(journal::read(host, &folder.join(name))?.unwrap_or_default())))
}

/// Whether the newest run was a rollback that had made all its changes, or the cleanup after it.
///
/// # Errors
/// A receipt cannot be read.
pub fn is_back(host: &dyn Observe) -> Result<bool, Refusal> {
    for lines in newest_first(host)? {
        let lines = lines?;
        // A cleanup touches nothing that runs.
        let cleans_up = lines.iter().all(|line| match line {
            Line::Begin { command, running, .. } => command == ROLLBACK && running.is_empty(),
            Line::Intent { change, .. } => matches!(change, Change::Discard(_)),
            _ => true,
        });
        if !cleans_up {
            let complete = Line::End { outcome: Outcome::Complete };
            return Ok(journal::command(&lines) == ROLLBACK && lines.contains(&complete));
        }
    }
    Ok(false)
}

/// A change of release that was interrupted after it had changed `current`.
///
/// # Errors
/// A receipt cannot be read.
pub fn switched(host: &dyn Observe, layout: &Layout) -> Result<Option<Unfinished>, Refusal> {
    let current = release::installed(host, layout)?;
    Ok(cut_off(host)?.filter(|unfinished| current.is_some_and(|current| current != unfinished.from)))
}

/// The same, as long as program and database do not fit together: only its own command may continue.
///
/// # Errors
/// A receipt cannot be read.
pub fn unfinished(host: &dyn Observe, layout: &Layout) -> Result<Option<Unfinished>, Refusal> {
    let enabled = host.rc_is_yes(ENABLE)?;
    Ok(switched(host, layout)?.filter(|unfinished| !(unfinished.arrived && enabled)))
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

/// Both ends of a change of release.
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
    /// The wanted one.
    pub to: &'a LockedRelease,
}

impl Ends<'_> {
    fn database(&self) -> Database {
        match connection(self.deployment, self.layout, self.owner) {
            Some(connection) => Database::Postgres { connection },
            None => Database::Sqlite { path: self.layout.database() },
        }
    }

    /// The changes around an upgrade, or around the rest of one that was interrupted.
    ///
    /// # Errors
    /// There is no room for a copy of the database; a receipt cannot be read.
    pub fn upgrade(&self, host: &dyn Observe) -> Result<Passage, Refusal> {
        let (version, layout) = (&self.to.version, self.layout);
        let begun = switched(host, layout)?.filter(|begun| *self.from != begun.from && *version == *self.from);
        if let Some(other) = begun.as_ref().filter(|unfinished| unfinished.command != UPGRADE) {
            return Err(Refusal::Unfinished { command: other.command.clone() });
        }
        let by_command = Series::of(version).migrates_by_command();
        let mut passage = self.around(host, begun, |copy| {
            let command = by_command.then(|| MigrationCommand {
                program: layout.release(version).join("gotosocial"),
                config: layout.config.clone(),
                directory: layout.data.clone(),
                environment: service::environment(layout),
            });
            let (database, service, version) = (self.database(), SERVICE.to_owned(), version.clone());
            Migration { database, copy, service, owner: self.owner, version, command }.into()
        })?;
        passage.start_migrates = !by_command && passage.moves_database();
        Ok(passage)
    }

    /// The changes around the rollback to the release before, or around the rest of one that was interrupted.
    ///
    /// # Errors
    /// As for [`Ends::upgrade`].
    pub fn rollback(&self, host: &dyn Observe, back_to: &Kept) -> Result<Passage, Refusal> {
        let begun = switched(host, self.layout)?.filter(|unfinished| unfinished.command == ROLLBACK);
        self.around(host, begun, |now| {
            let (from, to, service) = (back_to.folder.clone(), self.database(), SERVICE.to_owned());
            let before = to.of_server().is_some().then_some(now);
            DatabaseRestore { from, to, service, owner: self.owner, before }.into()
        })
    }

    /// A copy of the database first, unless a begun passage has made it, and then the change of the database.
    fn around(
        &self,
        host: &dyn Observe,
        begun: Option<Unfinished>,
        change: impl FnOnce(PathBuf) -> Change,
    ) -> Result<Passage, Refusal> {
        let mut passage = Passage::default();
        let copy = match &begun {
            Some(unfinished) => unfinished.folder.clone(),
            None => self.copy_first(host, &mut passage)?,
        };
        if begun.is_none_or(|unfinished| !unfinished.arrived) {
            passage.after.push(Step::new(PART, Action::Update, change(copy)));
        }
        if !passage.before.is_empty() || !host.rc_is_yes(ENABLE)? {
            passage.after.push(service::enable(true));
        }
        Ok(passage)
    }

    /// The copy of the present database, before anything changes; returns its folder.
    fn copy_first(&self, host: &dyn Observe, passage: &mut Passage) -> Result<PathBuf, Refusal> {
        let database = self.database();
        let to = self.copy_folder(host)?;
        passage.prepare = backup::own_folder(host, self.layout, "folders")?;
        match &database {
            Database::Sqlite { path } => {
                database::can_be_copied(host, path, self.owner)?;
                self.room(host, path)?;
            }
            Database::Postgres { connection } => {
                let test = DatabaseTest { connection: connection.clone(), to: self.layout.backups.clone() };
                passage.prepare.push(Step::new(PART, Action::Test, test));
            }
        }
        if host.rc_variable(ENABLE)?.is_some_and(|now| !rc_conf::is_no(&now)) {
            passage.before.push(service::enable(false));
        }
        let copy = DatabaseCopy {
            from: database,
            to: to.clone(),
            service: SERVICE.to_owned(),
            owner: self.owner,
            thorough: true,
            host: self.deployment.host.to_string(),
            version: self.from.clone(),
            guards: true,
        };
        passage.before.push(Step::new(PART, Action::Create, copy));
        // A rollback needs to know which bytes the present release is.
        if let Some(lock) = self.present_lock(host)? {
            let file = WriteFile::new(to.join(LOCK), lock, 0o600, Owner::ROOT);
            passage.before.push(Step::new(PART, Action::Create, file));
        }
        Ok(to)
    }

    /// The folder for the copy: that of an interrupted attempt, or a new one.
    fn copy_folder(&self, host: &dyn Observe) -> Result<PathBuf, Refusal> {
        let name = format!("{}-to-{}", self.from, self.to.version);
        if let Some(Unfinished { from, folder, .. }) = cut_off(host)? {
            let there = folder.file_name().unwrap_or_default().to_string_lossy();
            if from == *self.from && named(&there).is_some_and(|(_, to)| to == self.to.version) {
                return Ok(folder);
            }
        }
        let mut folder = self.layout.backups.join(&name);
        let mut number = 1;
        while host.entry(&folder)?.is_some() {
            number += 1;
            folder = self.layout.backups.join(format!("{name}_{number}"));
        }
        Ok(folder)
    }

    /// The lock of the present release. If an interrupted attempt has replaced it already, the receipts have the earlier one.
    fn present_lock(&self, host: &dyn Observe) -> Result<Option<Vec<u8>>, Refusal> {
        let path = self.layout.lock();
        let fits = |bytes: &Vec<u8>| {
            Lock::parse(&String::from_utf8_lossy(bytes)).is_ok_and(|lock| lock.release.version == *self.from)
        };
        if let Some(lock) = host.read(&path)?.filter(fits) {
            return Ok(Some(lock));
        }
        let is_lock = |change: &Change| matches!(change, Change::File(file) if file.path == path);
        let stayed = journal::stayed(host, is_lock)?;
        Ok(stayed.iter().find_map(|(_, prior)| match prior {
            Prior::File { sha256, .. } => store::recall(host, sha256).ok().filter(fits),
            _ => None,
        }))
    }

    /// Whether there is room for the copy, for the one that is opened, and for what a migration writes.
    fn room(&self, host: &dyn Observe, path: &Path) -> Result<(), Refusal> {
        const MARGIN: u64 = 64 << 20;
        let needed = 2 * size(host, path)? + MARGIN;
        for place in [&self.layout.backups, &self.layout.data] {
            let free = host.free_bytes(place)?;
            if free < needed {
                let (place, free, needed) = (place.clone(), free >> 20, needed.div_ceil(1 << 20));
                return Err(Refusal::NoRoom { place, free, needed });
            }
        }
        Ok(())
    }
}

/// Plans the removal of releases and copies that are no longer needed: all but the release in use, the `keep` before it, and the
/// copies that lead back to these. `done` is a copy that was put back, and so is of no use.
///
/// # Errors
/// A folder cannot be read.
pub fn surplus(host: &dyn Observe, layout: &Layout, keep: usize, done: Option<&Path>) -> Result<Vec<Step>, Refusal> {
    let Some(current) = release::installed(host, layout)? else { return Ok(Vec::new()) };
    let mut kept = kept(host, layout)?;
    kept.retain(|copy| Some(&*copy.folder) != done);
    // In the order in which they were in use, the last first; then those that never were, the newest first.
    let mut others: Vec<Version> =
        host.list(&layout.releases)?.iter().filter_map(|name| Version::parse(name).ok()).collect();
    others.sort_by(|a, b| b.cmp(a));
    let releases = || kept.iter().map(|copy| &copy.from).chain(&others);
    let mut stays = vec![&current];
    for version in releases() {
        if !stays.contains(&version) && stays.len() <= keep {
            stays.push(version);
        }
    }
    let mut gone: Vec<PathBuf> = Vec::new();
    for folder in releases().filter(|version| !stays.contains(version)).map(|version| layout.release(version)) {
        if !gone.contains(&folder) && host.entry(&folder)?.is_some() {
            gone.push(folder);
        }
    }
    let mut seen = Vec::new();
    for copy in &kept {
        let ends = (&copy.from, &copy.to);
        if !stays.contains(&&copy.from) || seen.contains(&ends) {
            gone.push(copy.folder.clone());
        }
        seen.push(ends);
    }
    gone.extend(done.map(Path::to_owned));
    Ok(gone.into_iter().map(|path| Step::new("release", Action::Remove, Discard { path })).collect())
}
