//! `restore`: an instance out of a backup, on this host or on a fresh one.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use serde::de::IgnoredAny;

use super::inputs::{self, Inputs};
use super::report::{bytes, counted};
use super::{Exit, Run, Stop, TypedPath, With, install, lock};
use crate::backup::{self, BackupError, DatabaseKind, Head, Kind, Opened};
use crate::change::backup::Origin;
use crate::change::database::{HEADER, begins_well};
use crate::check::health;
use crate::deployment::{Database, VersionWish};
use crate::error_code::ErrorCode;
use crate::gotosocial::SERVICE;
use crate::host::{DatabaseExamination, NEVER};
use crate::parts::Refusal;
use crate::parts::answers::Lock;
use crate::parts::install::Wanted;
use crate::parts::restore::{self, Restoring};
use crate::parts::restore_files::{self, Small};
use crate::shown::Shown;
use crate::utc::date;

/// The most that is read into memory, in bytes. The longest list of addresses has a few MiB.
const MOST: u64 = 128 * 1024 * 1024;
/// How many of the files that are not restored are named.
const NAMED: usize = 3;
/// How a dump of pg_dump(1) begins, in its custom format.
const DUMP: &[u8] = b"PGDMP";

/// The options of a restoration.
pub struct RestoreOptions {
    /// The backup.
    pub file: TypedPath,
    /// A mirror to take the release from.
    pub mirror: Option<String>,
    /// Leave out the checks on the running system afterwards.
    pub no_check: bool,
}

/// Restores an instance.
///
/// # Errors
/// The command was refused, or failed.
pub fn restore(run: &Run<'_>, options: &RestoreOptions) -> Result<Exit, Stop> {
    run.settle()?;
    let (host, layout) = (run.host, &run.layout);
    let backup = Verified::read(&options.file)?;
    let head = &backup.head;
    describe(run, &backup);

    let earlier = Lock::of_host(host, layout)?;
    let fresh = earlier.is_none() || host.entry(&layout.config)?.is_none();
    if let Some(earlier) = &earlier {
        same_instance(head, &earlier.host, &earlier.account_domain)?;
    }
    let inputs = if fresh { backup.inputs()? } else { Inputs::on_record(run)? };
    let mut inputs = inputs.of_release(&backup.lock)?;
    // The release of the backup, whatever the answers name.
    inputs.deployment.release.version = VersionWish::Exact(head.version.clone());
    let deployment = &inputs.deployment;
    same_instance(head, deployment.host.as_str(), deployment.effective_account_domain().as_str())?;
    let is_sqlite = matches!(deployment.database, Database::Sqlite);
    if is_sqlite != (head.database == DatabaseKind::Sqlite) {
        let why =
            "it holds the other kind of database than this host's answers ask for (SQLite, PostgreSQL)".to_owned();
        return Err(Refusal::BackupUnusable { why }.into());
    }

    // The exact bytes of the backup's release, or on another kind of CPU the same version.
    let known = Some(&backup.lock);
    let source = lock::source(run, options.mirror.as_deref(), deployment, known)?;
    install::preflight(run, deployment, lock::is_over_https(source.as_ref()), !fresh, fresh)?;
    let lock = lock::resolve(run, deployment, known, source.as_ref())?;
    let wanted = inputs.wanted(&lock, layout);
    let restoring =
        Restoring { wanted: &wanted, from: &backup.origin, head, small: &backup.small, fresh, time: run.host.now() };
    let make = || restore::plan(host, &restoring).map_err(Stop::from);
    let mut plan = make()?;
    plan.warnings.push(lost(run, &restoring)?);
    plan.warnings.extend(left_out(&backup.left_out));
    run.show(&plan, &format!("Plan: {} from its backup", head.host), "");
    let port = [deployment.port().get()];
    let with = With { source: source.as_ref(), ..With::watching(&plan, &port) };
    if !run.carry_out(&plan, &EXPLANATION, &make, with)? {
        return Ok(Exit::Done);
    }
    let kept = restoring.kept();
    if host.entry(&kept)?.is_some() {
        run.text(&format!("The previous database is kept in {}; remove it when you no longer need it.", kept.shown()));
        run.report().add("kept", kept);
    }
    install::conclude(run, &wanted, &plan, None, options.no_check)
}

fn same_instance(head: &Head, host: &str, account_domain: &str) -> Result<(), Refusal> {
    for (backup, installed) in [(&head.host, host), (&head.account_domain, account_domain)] {
        if backup != installed {
            return Err(Refusal::BackupOfOther { backup: backup.clone(), installed: installed.to_owned() });
        }
    }
    Ok(())
}

/// How many posts a backup has.
fn posts_in(head: &Head) -> Option<u64> {
    head.state.as_ref()?.posts
}

/// Prints what the backup contains.
fn describe(run: &Run<'_>, backup: &Verified) {
    let head = &backup.head;
    run.heading(&format!("Backup of {}", head.host));
    let posts = posts_in(head).map(|count| format!(", {}", counted(count, "post"))).unwrap_or_default();
    let media = if head.media { "with media" } else { "without media" };
    run.line(&format!(
        "  GoToSocial {}, made on {}, {}, {media}{posts}. All of it was read, and is as it was written.",
        head.version,
        date(head.created),
        bytes(backup.bytes)
    ));
    run.report().add("backup", head);
}

/// The warning: what will be lost, and what to do before.
fn lost(run: &Run<'_>, restoring: &Restoring<'_>) -> Result<String, Stop> {
    let Restoring { head, fresh, .. } = *restoring;
    if fresh {
        return Ok(format!(
            "two servers with the keys of {} must never run at the same time: stop the old machine for good before you say \
             yes, and let the name lead here",
            head.host
        ));
    }
    let counted = match (posts_in(head).map(|then| (then, counted(then, "post"))), posts(run, restoring)?) {
        (Some((then, posts)), Some(now)) if now > then => {
            format!("the backup has {posts} and this instance has {now} now: {} will be lost", now - then)
        }
        (Some((_, posts)), Some(now)) => format!("the backup has {posts}, and this instance has {now} now"),
        _ => "the current number of posts is unknown".to_owned(),
    };
    Ok(format!(
        "everything since {} goes: {counted}, and with them follows, likes and new accounts. The current database is kept in {}",
        date(head.created),
        restoring.kept().shown()
    ))
}

/// How many posts this instance has. A running server is queried, because no other program may open its database.
fn posts(run: &Run<'_>, restoring: &Restoring<'_>) -> Result<Option<u64>, Stop> {
    let Wanted { deployment, layout, .. } = *restoring.wanted;
    let host = run.host;
    if host.service(SERVICE)?.is_running() {
        return Ok(health::posts(host, deployment, layout));
    }
    let path = layout.database();
    if !matches!(deployment.database, Database::Sqlite) || host.entry(&path)?.is_none() {
        return Ok(None);
    }
    let examination = DatabaseExamination { path, owner: run.service_user()?, thorough: false };
    Ok(host.examine_database(&examination, NEVER).ok().and_then(|state| state.posts))
}

/// The text of "explain" at the consent.
const EXPLANATION: [&str; 2] = [
    "The keys in the backup are what other servers know this instance by. With them it continues where it was: accounts, \
     followers and posts are there again, as they were when the backup was made.",
    "Every change is written to a journal before it is made. If one fails, the changes before it are undone, \
     and the current database is in its place again.",
];

/// The warning: which files of the backup are not restored.
fn left_out(files: &[(String, String)]) -> Option<String> {
    let named: Vec<String> =
        files.iter().take(NAMED).map(|(path, why)| format!("{} ({why})", path.escape_debug())).collect();
    let more = if files.len() > NAMED { ", …" } else { "" };
    let count = counted(u64::try_from(files.len()).ok()?, "file");
    (!files.is_empty()).then(|| {
        format!(
            "{count} of the backup will not be restored, and can be taken out of it with tar(1): {}{more}",
            named.join(", ")
        )
    })
}

/// A backup that was read from end to end. Its small files were parsed.
struct Verified {
    origin: Origin,
    head: Head,
    /// The size of its members, in bytes.
    bytes: u64,
    small: Small,
    lock: Lock,
    /// What is not restored, and why.
    left_out: Vec<(String, String)>,
}

impl Verified {
    /// Reads the whole file, and verifies every digest.
    fn read(TypedPath { typed, path }: &TypedPath) -> Result<Self, Stop> {
        let refuse = |why: String| Stop::refused(ErrorCode::BackupUnusable, format!("{}: {why}", typed.shown()));
        Self::examined(path).map_err(refuse)
    }

    /// The same, with the error in words.
    fn examined(path: &Path) -> Result<Self, String> {
        let (file, Opened { manifest, sha256 }, mut small, mut left_out) =
            contents(path).map_err(|error| error.to_string())?;
        let (lock, unusable) = restore_files::parse(&mut small, &manifest)?;
        left_out.extend(unusable);
        let bytes = manifest.entries.iter().map(|entry| entry.size).sum();
        let head = manifest.head;
        let of_lock = (&lock.host, &lock.account_domain, &lock.release.version);
        if of_lock != (&head.host, &head.account_domain, &head.version) {
            return Err("its manifest and its lock file are of different instances or versions".to_owned());
        }
        Ok(Self { origin: Origin { file, manifest: sha256 }, head, bytes, small, lock, left_out })
    }

    /// The answers and secrets in the backup.
    fn inputs(&self) -> Result<Inputs, Stop> {
        let unusable = |why: String| Stop::refused(ErrorCode::BackupUnusable, why);
        let text = |kind| restore_files::text(&self.small, kind).map_err(unusable);
        let answers = text(Kind::Answers)?.ok_or_else(|| unusable("there are no answers in the backup".to_owned()))?;
        let secrets = text(Kind::Secrets)?.unwrap_or_default();
        let answers = inputs::parsed(&answers, Path::new("the answers in the backup"))?;
        Inputs::new(&answers, inputs::secrets_of(&secrets, Path::new("the secrets in the backup"))?)
    }
}

/// Members with names that they should not have, each with the reason.
type Strays = Vec<(String, String)>;

/// Whether a certificate of GoToSocial's is that of this host.
fn is_of(path: &str, host: &str) -> bool {
    let name = path.strip_prefix(backup::CERTIFICATES).unwrap_or(path);
    name.strip_suffix("+rsa").unwrap_or(name) == host
}

/// The whole path of a backup, its manifest, its small members, and which others have names that it should not have.
fn contents(path: &Path) -> Result<(PathBuf, Opened, Small, Strays), BackupError> {
    let absolute = std::fs::canonicalize(path)?;
    let mut file = backup::file(&absolute)?;
    let opened = backup::open(&mut file)?;
    let (mut small, mut strays) = (Small::new(), Vec::new());
    let (mut left, mut wrong) = (MOST, None);
    let mut refuse = |path: &str, why: &str| {
        wrong.get_or_insert(BackupError::Member { path: path.to_owned(), why: why.to_owned() });
    };
    // A signal ends the program at once, as nothing has been begun.
    backup::walk(&mut file, &opened.manifest, &|| Ok(()), &mut |entry, bytes| {
        let mut content = Vec::new();
        match Kind::of(&entry.path) {
            None => strays.push((entry.path.clone(), backup::STRAY.to_owned())),
            // Older versions took every file that the service user had put beside the certificate.
            Some(Kind::Cached) if !is_of(&entry.path, &opened.manifest.head.host) => {
                strays.push((entry.path.clone(), backup::STRAY.to_owned()));
            }
            Some(kind) if kind.is_small() => match left.checked_sub(entry.size) {
                None => refuse(&entry.path, "is one of too many: the small files take more than 128 MiB together"),
                Some(rest) => {
                    left = rest;
                    bytes.read_to_end(&mut content)?;
                    small.insert(entry.path.clone(), content);
                }
            },
            Some(Kind::Sqlite) => {
                bytes.take(HEADER as u64).read_to_end(&mut content)?;
                let suffix = entry.path.strip_prefix(backup::SQLITE).unwrap_or_default();
                if !begins_well(&content, suffix) {
                    refuse(&entry.path, "is not an SQLite database");
                }
            }
            Some(Kind::Postgres) => {
                bytes.take(DUMP.len() as u64).read_to_end(&mut content)?;
                if content != DUMP {
                    refuse(&entry.path, "is not a dump of pg_dump(1)");
                }
            }
            // It is never put in place.
            Some(Kind::Receipt) => {
                let lines = serde_json::Deserializer::from_reader(BufReader::new(bytes)).into_iter::<IgnoredAny>();
                match lines.filter_map(Result::err).next() {
                    Some(error) if error.is_io() => return Err(error.into()),
                    Some(error) => strays.push((entry.path.clone(), format!("it is not a receipt: {error}"))),
                    None => {}
                }
            }
            // Only GoToSocial can say what is a picture. Its name and its size are right by now.
            Some(_) => {}
        }
        Ok(())
    })?;
    wrong.map_or(Ok((absolute, opened, small, strays)), Err)
}
