//! Backups as changes: one is written, one too many goes, and what is in one is put back.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::backup::{self, BackupError, DatabaseKind, Entry, Head, LeftOut, Manifest, Member};
use crate::change::database::description::DUMP;
use crate::change::database::{self, DESCRIPTION, OPENED};
use crate::change::kind::prelude::*;
use crate::change::{postgres, store};
use crate::error_code::ErrorCode;
use crate::host::{self, Ask, Onward, Whose, go_on, is_temporary};
use crate::shown::Shown;

/// How many of the files that differ from a backup are named.
const NAMED: usize = 3;
/// How many of those that are not in one.
const TOLD: usize = 20;
/// No longer path below the media fits into a tar file, in bytes.
const LONGEST_PATH: usize = 256;
/// After so many objects it is asked again whether to stop.
const ASKED_EVERY: u32 = 256;
/// Above members that hold the database.
const DATABASE: &str = "database/";

/// A change to do with backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum BackupChange {
    /// A backup is written, read back and compared, and only then given its name.
    Write {
        /// What it is called. Its folder is root's, and nobody else may write to it.
        target: PathBuf,
        /// Whose it is. What is found in the database is added.
        head: Head,
        /// The folder with the copy of the database; of PostgreSQL the file with the dump.
        database: PathBuf,
        /// Whom the database belongs to, and who opens it for proof.
        owner: Owner,
        /// The small files.
        files: Vec<Member>,
        /// The folder with the media, if they are wanted, and the folder in it that is none of them.
        storage: Option<[PathBuf; 2]>,
    },
    /// A backup that is one too many goes. Nothing brings it back.
    Prune {
        /// Which.
        path: PathBuf,
    },
    /// The database of a backup becomes a copy that can be put in place, or a dump that can be read in.
    Database {
        /// Where from.
        from: Origin,
        /// The folder that becomes the copy.
        to: PathBuf,
        /// Who opens it for proof.
        owner: Owner,
    },
    /// The media of a backup that are missing, or differ, are put in place. Others stay.
    Media {
        /// Where from.
        from: Origin,
        /// The folder with the media.
        storage: PathBuf,
        /// Whose they are.
        owner: Owner,
    },
    /// A PostgreSQL database is dumped while it is in use, see [`postgres`].
    Dump {
        /// How.
        dump: postgres::Dump,
    },
    /// A PostgreSQL database is made what a dump says, see [`postgres`].
    Load {
        /// How.
        load: postgres::Load,
    },
}

/// A backup that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The file, as the system that this program runs on names it.
    pub file: PathBuf,
    /// SHA-256 of its manifest, by which it is known again.
    pub manifest: String,
}

impl Origin {
    fn unusable(&self, cause: BackupError) -> Failure {
        Failure::Backup { file: self.file.clone(), cause }
    }
}

/// What [`BackupChange::Media`] has put in place, for taking it back.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Placed {
    /// Folders that were made. In this order each stands before those in it.
    folders: BTreeSet<PathBuf>,
    /// Files, and whether another stood there, which is set aside.
    files: Vec<(PathBuf, bool)>,
}

impl Kind for BackupChange {
    fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } | Self::Prune { .. } => "backup",
            Self::Database { .. } | Self::Dump { .. } | Self::Load { .. } => "database",
            Self::Media { .. } => "media",
        }
    }

    fn code(&self) -> ErrorCode {
        ErrorCode::Backup
    }

    fn target(&self) -> String {
        match self {
            Self::Write { target: path, .. }
            | Self::Prune { path }
            | Self::Database { to: path, .. }
            | Self::Media { storage: path, .. } => path.display().to_string(),
            Self::Dump { dump } => dump.connection.name(),
            Self::Load { load } => load.connection.name(),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Write { storage: Some(_), .. } => "with media; read back and compared".to_owned(),
            Self::Write { storage: None, .. } => "without media; read back and compared".to_owned(),
            Self::Prune { .. } => "one more than are to be kept".to_owned(),
            Self::Database { from, .. } => format!("the database out of {}", from.file.shown()),
            Self::Media { from, .. } => format!("what is missing of the media in {}", from.file.shown()),
            Self::Dump { .. } => "dumped with pg_dump, while it is in use".to_owned(),
            Self::Load { .. } => "replaced by what is in the backup, in one transaction".to_owned(),
        }
    }

    fn prior(&self, host: &dyn Host) -> Result<Prior, HostError> {
        match self {
            Self::Write { target: path, .. } | Self::Prune { path } => Prior::at(host, path),
            Self::Media { .. } => {
                // The list of an earlier run must not be taken for what this one has done.
                host.remove(&list_of_placed())?;
                Ok(Prior::Absent)
            }
            Self::Database { .. } | Self::Dump { .. } | Self::Load { .. } => Ok(Prior::Absent),
        }
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let host = executor.host;
        let mut left_out = LeftOut::default();
        executor.unless_broken_off(|stop| -> Result<(), Failure> {
            match self {
                Self::Write { .. } => self.write(host, &mut left_out, stop),
                Self::Prune { path } => Ok(host.remove(path)?),
                Self::Database { from, to, owner } => unpack_database(host, from, to, *owner, stop),
                Self::Media { from, storage, owner } => place_media(executor, from, storage, *owner, stop),
                Self::Dump { dump } => Ok(dump.connection.dump(host, &dump.to, stop).map(drop)?),
                Self::Load { load } => Ok(postgres::load(host, load, stop)?),
            }
        })?;
        if left_out.count > 0 {
            executor.operator.note(&told(&left_out));
            executor.operator.left_out(&left_out);
        }
        Ok(())
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match self {
            Self::Write { target, .. } => {
                host.remove_tree(Path::new(OPENED))?;
                if *prior == Prior::Absent {
                    host.remove(target)?;
                }
                target.parent().map_or(Ok(()), |folder| store::sweep(host, folder))
            }
            Self::Prune { .. } => Ok(()),
            Self::Database { to, .. } => {
                host.remove_tree(Path::new(OPENED))?;
                host.remove_tree(to)
            }
            Self::Dump { dump } => {
                host.remove_tree(Path::new(OPENED))?;
                host.remove(&dump.to)
            }
            Self::Media { .. } => take_back_media(host),
            Self::Load { load } => postgres::take_back_load(host, load),
        }
    }

    fn folders(&self) -> Vec<PathBuf> {
        match self {
            Self::Write { target: path, .. } | Self::Prune { path } => above(path),
            Self::Database { to, .. } => vec![to.clone()],
            Self::Media { storage, .. } => vec![storage.clone()],
            Self::Dump { dump } => above(&dump.to),
            Self::Load { load } => above(&load.before),
        }
    }
}

impl BackupChange {
    fn write(&self, host: &dyn Host, left_out: &mut LeftOut, stop: Ask<'_>) -> Result<(), Failure> {
        let Self::Write { target, head, database, owner, files, storage } = self else { return Ok(()) };
        let mut head = head.clone();
        let member = |path: String, from: PathBuf| Member { path, from, mode: 0o600, needed: true };
        let mut members: Vec<Member> = match head.database {
            DatabaseKind::Sqlite => {
                let description = database::describe(host, database)?
                    .ok_or_else(|| format!("there is no complete copy of the database in {}", database.shown()))?;
                // All of it is read for damage only now, when nobody waits for the service any more.
                head.state = Some(database::opened(host, database, &description.files, *owner, true, stop)?);
                let names = description.files.iter().map(|part| part.name.as_str()).chain([DESCRIPTION]);
                names.map(|name| member(format!("{DATABASE}{name}"), database.join(name))).collect()
            }
            DatabaseKind::Postgres => {
                head.state = Some(postgres::opened(host, database, *owner, None, stop)?.state);
                vec![member(backup::POSTGRES.to_owned(), database.clone())]
            }
        };
        members.extend(files.iter().cloned());
        if let Some(wanted) = storage {
            gather(host, wanted, stop, &mut members, left_out)?;
        }
        let whose = |kind: backup::Kind| if kind.is_services() { Whose::of(*owner) } else { Whose::ROOT };
        let open = |member: &Member| {
            let whose = backup::Kind::of(&member.path).map_or(Whose::ROOT, whose);
            match host.open_file(&member.from, whose) {
                Ok(Some(file)) => Ok(Ok(file)),
                Ok(None) => Ok(Err("it was deleted meanwhile".to_owned())),
                Err(error) => error.refusal().map(Err).ok_or_else(|| io::Error::other(error)),
            }
        };
        let may_go_on = || go_on(stop);
        may_go_on().map_err(HostError::file("write", target))?;
        Ok(host.build_file(target, 0o600, Owner::ROOT, &mut |file| {
            let manifest = backup::write(file, &head, &members, &open, &may_go_on, left_out)?;
            file.sync_all()?;
            verify(file, &manifest, &may_go_on).map_err(io::Error::other)
        })?)
    }
}

/// Every regular file below the folder of media. What else there is, links above all, is left out and named.
fn gather(
    host: &dyn Host,
    [storage, leave]: &[PathBuf; 2],
    stop: Ask<'_>,
    members: &mut Vec<Member>,
    left_out: &mut LeftOut,
) -> Result<(), HostError> {
    let mut seen: u32 = 0;
    let taken: BTreeSet<PathBuf> = members.iter().map(|member| member.from.clone()).collect();
    host.tree(storage, &mut |from, entry| {
        seen = seen.wrapping_add(1);
        if seen.is_multiple_of(ASKED_EVERY) && stop().is_some() {
            return Onward::End;
        }
        let is_ours = |name: &OsStr| name.to_str().is_some_and(is_temporary);
        if taken.contains(from) || from.file_name().is_some_and(is_ours) {
            return Onward::Past;
        }
        match entry {
            host::Entry::File { .. } if from.starts_with(leave) => left_out.add(from, backup::STRAY),
            host::Entry::File { mode, .. } => {
                let below = from.strip_prefix(storage).unwrap_or(from);
                // A path that does not fit is not even made text: there can be many, and each can be long.
                let path = match below.as_os_str().len() {
                    ..=LONGEST_PATH => format!("{}{}", backup::STORAGE, below.display()),
                    _ => String::new(),
                };
                match backup::fits(&path) {
                    Ok(()) => {
                        members.push(Member { path, from: from.to_owned(), mode: mode & 0o777, needed: false });
                    }
                    Err(_) if path.is_empty() => left_out.add(from, "its path does not fit into a tar file"),
                    Err(why) => left_out.add(from, why),
                }
            }
            host::Entry::Directory { .. } => return Onward::In,
            host::Entry::Symlink { .. } => left_out.add(from, "it is a symbolic link"),
            host::Entry::Other => left_out.add(from, "it is not a regular file"),
        }
        Onward::Past
    })
}

/// Reads all of a backup back.
fn verify(file: &mut File, written: &Manifest, may_go_on: &dyn Fn() -> io::Result<()>) -> Result<(), String> {
    let failed = |error: BackupError| format!("what was written does not read back: {error}");
    let opened = backup::open(file).map_err(failed)?;
    if opened.manifest != *written {
        return Err("what was written does not read back: its manifest differs".to_owned());
    }
    backup::walk(file, &opened.manifest, may_go_on, &mut |_, _| Ok(())).map_err(failed)
}

/// What there is to say of files that are not in a backup.
fn told(left_out: &LeftOut) -> String {
    let LeftOut { count, files } = left_out;
    let named: Vec<String> =
        files.iter().take(TOLD).map(|file| format!("{} ({})", file.path.shown(), file.why)).collect();
    let more = if *count > TOLD as u64 { ", … (--json names more)" } else { "" };
    let files = if *count == 1 { "1 file is".to_owned() } else { format!("{count} files are") };
    format!("{files} not in the backup: {}{more}", named.join(", "))
}

/// Opens a backup again, and makes sure that it is the one that was verified.
fn reopened(from: &Origin) -> Result<(File, Manifest), Failure> {
    let mut file = backup::file(&from.file).map_err(|error| from.unusable(error))?;
    let opened = backup::open(&mut file).map_err(|error| from.unusable(error))?;
    if opened.sha256 != from.manifest {
        refuse!("{} is another file now than the one that was verified", from.file.shown());
    }
    Ok((file, opened.manifest))
}

/// Puts those members of a backup in place for which `place` has a path and a mode.
fn unpack(
    host: &dyn Host,
    from: &Origin,
    (mut file, manifest): (File, &Manifest),
    owner: Owner,
    stop: Ask<'_>,
    place: impl Fn(&Entry) -> Option<(PathBuf, u32)>,
) -> Result<(), Failure> {
    backup::walk(&mut file, manifest, &|| go_on(stop), &mut |entry, bytes| {
        let Some((path, mode)) = place(entry) else { return Ok(()) };
        host.build_file(&path, mode, owner, &mut |file| io::copy(bytes, file).map(drop)).map_err(io::Error::other)
    })
    .map_err(|error| from.unusable(error))
}

fn unpack_database(host: &dyn Host, from: &Origin, to: &Path, owner: Owner, stop: Ask<'_>) -> Result<(), Failure> {
    let (file, manifest) = reopened(from)?;
    host.remove_tree(to)?;
    host.make_directory(to, 0o700, Owner::ROOT)?;
    unpack(host, from, (file, &manifest), Owner::ROOT, stop, |entry| match backup::Kind::of(&entry.path)? {
        backup::Kind::Sqlite | backup::Kind::Description | backup::Kind::Postgres => {
            Some((to.join(entry.path.strip_prefix(DATABASE)?), 0o600))
        }
        _ => None,
    })?;
    if manifest.head.database == DatabaseKind::Postgres {
        if !postgres::opened(host, &to.join(DUMP), owner, None, stop)?.is_fenced {
            refuse!(
                "a dump is commands, and pg_restore(1) of this version does not fence in those of psql(1): update the package \
                 postgresqlNN-client (13.22, 14.19, 15.14, 16.10, 17.6 and later ones do)"
            );
        }
        return Ok(());
    }
    let description = database::describe(host, to)?
        .ok_or_else(|| format!("{}: it says nothing about the database in it", from.file.shown()))?;
    if description.files.iter().any(|part| part.mode & !0o777 != 0) {
        refuse!("{}: a file of its database has a special mode", from.file.shown());
    }
    Ok(database::opened(host, to, &description.files, owner, false, stop).map(drop)?)
}

fn list_of_placed() -> PathBuf {
    PathBuf::from(store::FOLDER).join("restored-media.json")
}

/// Where a file is set aside that differs from the one in the backup.
fn aside(path: &Path) -> PathBuf {
    database::with(path, ".before-restore")
}

fn place_media(
    executor: &Executor<'_>,
    from: &Origin,
    storage: &Path,
    owner: Owner,
    stop: Ask<'_>,
) -> Result<(), Failure> {
    let host = executor.host;
    let may_go_on = || go_on(stop).map_err(HostError::file("unpack into", storage));
    let (file, manifest) = reopened(from)?;
    let (placed, wanted) = missing(host, &manifest, storage, owner, stop)?;
    let differing = || placed.files.iter().filter(|(_, differs)| *differs).map(|(path, _)| path);
    // What an earlier restoration kept gives way, or taking this one back would put it in place.
    for path in differing() {
        may_go_on()?;
        host.remove_tree(&aside(path))?;
    }
    // Before anything is put in place, so that it can be taken back.
    let list = serde_json::to_vec(&placed).map_err(|error| error.to_string())?;
    store::folder(host, "receipts")?;
    host.write_file(&list_of_placed(), &list, 0o600, Owner::ROOT)?;
    for folder in &placed.folders {
        may_go_on()?;
        host.make_directory(folder, 0o750, owner)?;
    }
    for path in differing() {
        may_go_on()?;
        host.rename(path, &aside(path))?;
    }
    unpack(host, from, (file, &manifest), owner, stop, |entry| {
        let relative = medium(entry).filter(|_| wanted.contains(&entry.path))?;
        Some((storage.join(relative), entry.mode & 0o666))
    })?;
    for path in differing().take(NAMED) {
        executor.operator.note(&format!(
            "{} differs from the backup; it is kept as {}",
            path.shown(),
            aside(path).shown()
        ));
    }
    Ok(())
}

/// Where a medium belongs, below the folder with the media.
fn medium(entry: &Entry) -> Option<&str> {
    (backup::Kind::of(&entry.path)? == backup::Kind::Medium).then(|| entry.path.strip_prefix(backup::STORAGE))?
}

/// What has to be put in place: what is not there, and what is there and differs.
fn missing(
    host: &dyn Host,
    manifest: &Manifest,
    storage: &Path,
    owner: Owner,
    stop: Ask<'_>,
) -> Result<(Placed, BTreeSet<String>), HostError> {
    let (mut placed, mut wanted) = (Placed::default(), BTreeSet::new());
    for entry in &manifest.entries {
        go_on(stop).map_err(HostError::file("read", storage))?;
        let Some(relative) = medium(entry) else { continue };
        let path = storage.join(relative);
        let differs = match host.entry(&path)? {
            None => false,
            Some(host::Entry::File { size, .. })
                if size == entry.size && is_same(host, &path, &entry.sha256, owner, stop)? =>
            {
                continue;
            }
            Some(_) => true,
        };
        for folder in path.ancestors().skip(1).take_while(|folder| *folder != storage) {
            if host.entry(folder)?.is_none() {
                placed.folders.insert(folder.to_owned());
            }
        }
        placed.files.push((path, differs));
        wanted.insert(entry.path.clone());
    }
    Ok((placed, wanted))
}

/// Whether a medium is the one in the backup. One that is refused differs, such as one that `cp -al` gave a second name.
fn is_same(host: &dyn Host, path: &Path, sha256: &str, owner: Owner, stop: Ask<'_>) -> Result<bool, HostError> {
    match database::file_digest(host, path, Whose::of(owner), stop) {
        Err(error) if error.refusal().is_some() => Ok(false),
        digest => Ok(digest?.as_deref() == Some(sha256)),
    }
}

fn take_back_media(host: &dyn Host) -> Result<(), HostError> {
    let list = list_of_placed();
    // It has a line for each medium, so it can be larger than what `read` takes.
    let Some(file) = host.open_file(&list, Whose::ROOT)? else { return Ok(()) };
    let placed: Placed = serde_json::from_reader(BufReader::new(file))
        .map_err(|error| HostError::unreadable(list.shown(), error.to_string()))?;
    let mut swept = BTreeSet::new();
    for (path, differed) in &placed.files {
        if *differed && host.entry(&aside(path))?.is_none() {
            // Not set aside yet, or put back already.
            continue;
        }
        host.remove(path)?;
        if *differed {
            host.rename(&aside(path), path)?;
        }
        if let Some(folder) = path.parent().filter(|folder| swept.insert(folder.to_path_buf())) {
            store::sweep(host, folder)?;
        }
    }
    for folder in placed.folders.iter().rev() {
        if host.list(folder)?.is_empty() {
            host.remove(folder)?;
        }
    }
    host.remove(&list)
}
