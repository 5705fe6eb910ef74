//! Backups as changes: one is written, one too many goes, and what is in one is put back.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::backup::{self, BackupError, DatabaseKind, Entry, Head, Manifest, Member, Skipped};
use crate::change::database::description::DUMP;
use crate::change::database::{self, DESCRIPTION, Description, OPENED};
use crate::change::kind::prelude::*;
use crate::change::{postgres, store};
use crate::error_code::ErrorCode;
use crate::host::{self, Observe, is_temporary};

/// How many of the files that were left out are named.
const NAMED: usize = 3;
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
    /// Folders that were made, outermost first.
    folders: Vec<PathBuf>,
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
            Self::Database { from, .. } => format!("the database out of {}", from.file.display()),
            Self::Media { from, .. } => format!("what is missing of the media in {}", from.file.display()),
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

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        let host = context.host;
        match self {
            Self::Write { .. } => self.write(context),
            Self::Prune { path } => Ok(host.remove(path)?),
            Self::Database { from, to, owner } => unpack_database(host, from, to, *owner),
            Self::Media { from, storage, owner } => place_media(context, from, storage, *owner),
            Self::Dump { dump } => Ok(postgres::dump(host, dump)?),
            Self::Load { load } => Ok(postgres::load(host, load)?),
        }
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match self {
            Self::Write { target, .. } => {
                host.remove_tree(Path::new(OPENED))?;
                if *prior == Prior::Absent {
                    host.remove(target)?;
                }
                target.parent().map_or(Ok(()), |folder| sweep(host, folder))
            }
            Self::Prune { .. } => Ok(()),
            Self::Database { to, .. } => {
                host.remove_tree(Path::new(OPENED))?;
                host.remove_tree(to)
            }
            Self::Media { .. } => take_back_media(host),
            Self::Dump { dump } => postgres::take_back_dump(host, dump),
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
    fn write(&self, context: &Context<'_>) -> Result<(), Failure> {
        let Self::Write { target, head, database, owner, files, storage } = self else { return Ok(()) };
        let host = context.host;
        let mut head = head.clone();
        let mut members = match head.database {
            DatabaseKind::Sqlite => {
                let description = database::describe(host, database)?
                    .ok_or_else(|| format!("there is no complete copy of the database in {}", database.display()))?;
                // All of it is read for damage only now, when nobody waits for the service any more.
                let state = database::opened(host, database, &description.files, *owner, true)?;
                head.state = Some(state);
                copied(&description, database)
            }
            DatabaseKind::Postgres => {
                head.state = Some(postgres::opened(host, database, *owner, None)?.state);
                vec![Member { path: backup::POSTGRES.to_owned(), from: database.clone(), mode: 0o600, needed: true }]
            }
        };
        members.extend(files.iter().cloned());
        let mut skipped = Vec::new();
        if let Some([storage, certificates]) = storage {
            gather(host, storage, certificates, "", &mut members, &mut skipped)?;
        }
        let missed = RefCell::new(skipped);
        let open = |path: &Path| host.open_file(path).map_err(io::Error::other);
        host.build_file(target, 0o600, Owner::ROOT, &mut |file| {
            let (manifest, skipped) = backup::write(file, &head, &members, &open)?;
            missed.borrow_mut().extend(skipped);
            file.sync_all()?;
            verify(file, &manifest).map_err(io::Error::other)
        })?;
        left_out(&missed.into_inner()).into_iter().for_each(|text| context.note(text));
        Ok(())
    }
}

/// Members for the files of a copy, and for what the copy says of itself.
fn copied(description: &Description, folder: &Path) -> Vec<Member> {
    let names = description.files.iter().map(|part| part.name.as_str()).chain([DESCRIPTION]);
    names
        .map(|name| Member { path: format!("{DATABASE}{name}"), from: folder.join(name), mode: 0o600, needed: true })
        .collect()
}

/// Every regular file below a folder of media. What else there is, links above all, is left out and told.
fn gather(
    host: &dyn Host,
    folder: &Path,
    leave: &Path,
    below: &str,
    members: &mut Vec<Member>,
    skipped: &mut Vec<Skipped>,
) -> Result<(), HostError> {
    for name in host.list(folder)? {
        let from = folder.join(&name);
        let relative = format!("{below}{name}");
        if from == leave || is_temporary(&name) {
            continue;
        }
        match host.entry(&from)? {
            Some(host::Entry::File { mode, .. }) => members.push(Member {
                path: format!("{}{relative}", backup::STORAGE),
                from,
                mode: mode & 0o777,
                needed: false,
            }),
            Some(host::Entry::Directory { .. }) => {
                gather(host, &from, leave, &format!("{relative}/"), members, skipped)?;
            }
            Some(host::Entry::Symlink { .. }) => skipped.push(Skipped { from, why: "it is a symbolic link" }),
            Some(host::Entry::Other) => skipped.push(Skipped { from, why: "it is no file" }),
            None => skipped.push(Skipped { from, why: "it was deleted meanwhile" }),
        }
    }
    Ok(())
}

/// Reads all of a backup back.
fn verify(file: &mut File, written: &Manifest) -> Result<(), String> {
    let failed = |error: BackupError| format!("what was written does not read back: {error}");
    let opened = backup::open(file).map_err(failed)?;
    if opened.manifest != *written {
        return Err("what was written does not read back: its manifest differs".to_owned());
    }
    backup::walk(file, &opened.manifest, &mut |_, _| Ok(())).map_err(failed)
}

/// What there is to say of files that are not in a backup.
fn left_out(skipped: &[Skipped]) -> Option<String> {
    if skipped.is_empty() {
        return None;
    }
    let named: Vec<String> =
        skipped.iter().take(NAMED).map(|file| format!("{} ({})", file.from.display(), file.why)).collect();
    let more = if skipped.len() > NAMED { ", …" } else { "" };
    let files = if skipped.len() == 1 { "1 file is".to_owned() } else { format!("{} files are", skipped.len()) };
    Some(format!("{files} not in the backup: {}{more}", named.join(", ")))
}

/// Takes away what a run that was cut off has left half written.
fn sweep(host: &dyn Host, folder: &Path) -> Result<(), HostError> {
    for name in host.list(folder)?.iter().filter(|name| is_temporary(name)) {
        host.remove(&folder.join(name))?;
    }
    Ok(())
}

/// Opens a backup again, and makes sure that it is the one that was verified.
fn reopened(from: &Origin) -> Result<(File, Manifest), Failure> {
    let mut file = File::open(&from.file).map_err(|error| from.unusable(error.into()))?;
    let opened = backup::open(&mut file).map_err(|error| from.unusable(error))?;
    if opened.sha256 != from.manifest {
        return Err(format!("{} is another file now than the one that was verified", from.file.display()).into());
    }
    Ok((file, opened.manifest))
}

fn unpack_database(host: &dyn Host, from: &Origin, to: &Path, owner: Owner) -> Result<(), Failure> {
    let (mut file, manifest) = reopened(from)?;
    host.remove_tree(to)?;
    host.make_directory(to, 0o700, Owner::ROOT)?;
    backup::walk(&mut file, &manifest, &mut |entry, bytes| {
        let Some(name) = entry.path.strip_prefix(DATABASE).filter(|name| !name.contains('/')) else { return Ok(()) };
        host.build_file(&to.join(name), 0o600, Owner::ROOT, &mut |file| io::copy(bytes, file).map(drop))
            .map_err(io::Error::other)
    })
    .map_err(|error| from.unusable(error))?;
    if manifest.head.database == DatabaseKind::Postgres {
        return Ok(postgres::opened(host, &to.join(DUMP), owner, None).map(drop)?);
    }
    let description = database::describe(host, to)?
        .ok_or_else(|| format!("{}: it says nothing about the database in it", from.file.display()))?;
    if description.files.iter().any(|part| part.mode & !0o777 != 0) {
        return Err(format!("{}: a file of its database has a special mode", from.file.display()).into());
    }
    Ok(database::opened(host, to, &description.files, owner, false).map(drop)?)
}

fn list_of_placed() -> PathBuf {
    PathBuf::from(store::FOLDER).join("restored-media.json")
}

/// Where a file is set aside that differs from the one in the backup.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".before-restore");
    PathBuf::from(name)
}

fn place_media(context: &Context<'_>, from: &Origin, storage: &Path, owner: Owner) -> Result<(), Failure> {
    let host = context.host;
    let (mut file, manifest) = reopened(from)?;
    let (placed, wanted) = missing(host, &manifest, storage)?;
    // Before anything is put in place, so that it can be taken back.
    let list = serde_json::to_vec(&placed).map_err(|error| error.to_string())?;
    store::folder(host, "receipts")?;
    host.write_file(&list_of_placed(), &list, 0o600, Owner::ROOT)?;
    for folder in &placed.folders {
        host.make_directory(folder, 0o750, owner)?;
    }
    for (path, _) in placed.files.iter().filter(|(_, differs)| *differs) {
        host.rename(path, &aside(path))?;
    }
    backup::walk(&mut file, &manifest, &mut |entry, bytes| {
        let Some(relative) = entry.path.strip_prefix(backup::STORAGE).filter(|_| wanted.contains(&entry.path)) else {
            return Ok(());
        };
        host.build_file(&storage.join(relative), entry.mode, owner, &mut |file| io::copy(bytes, file).map(drop))
            .map_err(io::Error::other)
    })
    .map_err(|error| from.unusable(error))?;
    let differed: Vec<&PathBuf> = placed.files.iter().filter(|(_, differs)| *differs).map(|(path, _)| path).collect();
    for path in differed.iter().take(NAMED) {
        context.note(format!("{} differs from the backup; it is kept as {}", path.display(), aside(path).display()));
    }
    Ok(())
}

/// What has to be put in place: what is not there, and what is there and differs.
fn missing(host: &dyn Observe, manifest: &Manifest, storage: &Path) -> Result<(Placed, BTreeSet<String>), HostError> {
    let (mut placed, mut wanted, mut folders) = (Placed::default(), BTreeSet::new(), BTreeSet::new());
    let media = |entry: &&Entry| entry.path.starts_with(backup::STORAGE);
    for entry in manifest.entries.iter().filter(media) {
        let relative = entry.path.trim_start_matches(backup::STORAGE);
        let path = storage.join(relative);
        let differs = match host.entry(&path)? {
            None => false,
            Some(host::Entry::File { size, .. }) if size == entry.size => {
                if database::file_digest(host, &path)?.as_ref() == Some(&entry.sha256) {
                    continue;
                }
                true
            }
            Some(_) => true,
        };
        let above = path.ancestors().skip(1).take_while(|folder| *folder != storage).map(Path::to_path_buf);
        let mut above: Vec<PathBuf> = above.collect();
        above.reverse();
        for folder in above {
            if host.entry(&folder)?.is_none() && folders.insert(folder.clone()) {
                placed.folders.push(folder);
            }
        }
        placed.files.push((path, differs));
        wanted.insert(entry.path.clone());
    }
    Ok((placed, wanted))
}

fn take_back_media(host: &dyn Host) -> Result<(), HostError> {
    let list = list_of_placed();
    let Some(bytes) = host.read(&list)? else { return Ok(()) };
    let placed: Placed = serde_json::from_slice(&bytes)
        .map_err(|error| HostError::Unreadable { what: list.display().to_string(), text: error.to_string() })?;
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
            sweep(host, folder)?;
        }
    }
    for folder in placed.folders.iter().rev() {
        if host.list(folder)?.is_empty() {
            host.remove(folder)?;
        }
    }
    host.remove(&list)
}
