//! The small files of a backup: each is parsed before a plan may put it in place, and here is where each goes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::answers::Lock;
use super::restore::{PART, Restoring};
use super::{Refusal, managed_file, put};
use crate::backup::{self, Kind, Manifest};
use crate::certificate::acme::Account;
use crate::certificate::record::Records;
use crate::certificate::{Bundle, bundle};
use crate::change::database::Description;
use crate::change::{Action, MakeDirectory, Step, WriteFile};
use crate::deployment::HostName;
use crate::filter::{Filters, List};
use crate::gotosocial::loading;
use crate::host::{Observe, Owner};

/// The contents of small members, by their paths in the backup.
pub type Small = BTreeMap<String, Vec<u8>>;

/// Parses every file, and takes out of `small` what cannot be parsed: each path, and why. The answers and secrets are parsed where
/// they are needed.
///
/// # Errors
/// In words: what nothing can be restored without, the lock or what is said of the database, is not there or cannot be parsed.
pub fn parse(small: &mut Small, manifest: &Manifest) -> Result<(Lock, Vec<(String, String)>), String> {
    let lock = text(small, Kind::Lock)?.ok_or("it has no lock file")?;
    let lock = Lock::parse(&lock).map_err(|why| format!("its lock file: {why}"))?;
    for name in [&lock.host, &lock.account_domain] {
        name.parse::<HostName>().map_err(|why| format!("its lock file: {why}"))?;
    }
    describes(small, manifest)?;
    let mut unusable = Vec::new();
    for (path, bytes) in &*small {
        let parsed = Kind::of(path).map_or(Ok(()), |kind| parse_one(small, kind, path, bytes));
        unusable.extend(parsed.err().map(|why| (path.clone(), why)));
    }
    for (path, _) in &unusable {
        small.remove(path);
    }
    // What was written last is the base for merging the edits in the other: neither is of use alone.
    if [backup::CONFIG, backup::CONFIG_WRITTEN].iter().any(|path| !small.contains_key(*path)) {
        for path in [backup::CONFIG, backup::CONFIG_WRITTEN] {
            let alone = small.remove(path).map(|_| (path.to_owned(), "its other version is missing".to_owned()));
            unusable.extend(alone);
        }
    }
    Ok((lock, unusable))
}

/// The text of the one file of a kind.
///
/// # Errors
/// In words: it is not text.
pub fn text(small: &Small, kind: Kind) -> Result<Option<String>, String> {
    let Some((path, bytes)) = small.iter().find(|(path, _)| Kind::of(path) == Some(kind)) else { return Ok(None) };
    plain(bytes).map(|text| Some(text.to_owned())).map_err(|why| format!("{path}: {why}"))
}

fn plain(bytes: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())?;
    match text.chars().find(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t')) {
        None => Ok(text),
        Some(letter) => Err(format!("it holds the control character {}", letter.escape_unicode())),
    }
}

/// Whether what is said of an SQLite database fits the files that there are.
fn describes(small: &Small, manifest: &Manifest) -> Result<(), String> {
    let described = small.iter().find(|(path, _)| Kind::of(path) == Some(Kind::Description));
    let described = described.map(|(path, bytes)| Description::parse(bytes).map_err(|why| format!("{path}: {why}")));
    let described = described.transpose()?.filter(|description| description.content.is_none());
    let files = described.map(|description| description.files).unwrap_or_default();
    if files.iter().any(|part| part.mode & !0o777 != 0) {
        return Err("a file of its database has a special mode (setuid, setgid or sticky)".to_owned());
    }
    let mut said: Vec<_> =
        files.iter().map(|part| (format!("database/{}", part.name), part.size, part.sha256.as_str())).collect();
    let there =
        manifest.entries.iter().filter(|entry| matches!(Kind::of(&entry.path), Some(Kind::Sqlite | Kind::Postgres)));
    let mut there: Vec<_> = there.map(|entry| (entry.path.clone(), entry.size, entry.sha256.as_str())).collect();
    said.sort_unstable();
    there.sort_unstable();
    match manifest.head.database {
        // A dump says itself what it is.
        backup::DatabaseKind::Postgres if there.len() == 1 && said.is_empty() => Ok(()),
        backup::DatabaseKind::Sqlite if said == there => Ok(()),
        _ => Err("the files of its database are not those that it tells of".to_owned()),
    }
}

/// The first of the mistakes in a file.
fn first(mistakes: Vec<String>) -> String {
    mistakes.into_iter().next().unwrap_or_default()
}

/// Parses one file.
fn parse_one(small: &Small, kind: Kind, path: &str, bytes: &[u8]) -> Result<(), String> {
    let of_pair = |ending: &str| {
        let (stem, _) = path.rsplit_once('.').unwrap_or((path, ""));
        small.get(&format!("{stem}.{ending}")).ok_or_else(|| "its certificate or its key is missing".to_owned())
    };
    match kind {
        Kind::Config | Kind::ConfigWritten => loading::check_form(plain(bytes)?),
        Kind::Filters => Filters::parse(plain(bytes)?).map(drop).map_err(first),
        Kind::List => List::parse(plain(bytes)?).map(drop).map_err(first),
        Kind::Chain | Kind::Key => {
            Bundle::from_files(of_pair("key")?, of_pair("pem")?).map(drop).map_err(|why| why.to_string())
        }
        Kind::Account => {
            Account::from_json(plain(bytes)?).and_then(|account| account.check()).map_err(|why| why.to_string())
        }
        Kind::Renewals => Records::parse(bytes).map(drop).ok_or_else(|| "it is not a record of renewals".to_owned()),
        Kind::Cached => Bundle::from_pem(bytes).map(drop).map_err(|why| why.to_string()),
        Kind::CachedAccount => bundle::check_key(bytes).map_err(|why| why.to_string()),
        // These are parsed elsewhere, or go nowhere.
        Kind::Answers | Kind::Secrets | Kind::Lock | Kind::Description => Ok(()),
        Kind::Sqlite | Kind::Postgres | Kind::Receipt | Kind::Medium => Ok(()),
    }
}

/// Plans the files that are missing. On the host of the instance itself the settings stay as they are.
///
/// # Errors
/// The host cannot be read.
pub(super) fn plan(host: &dyn Observe, restoring: &Restoring<'_>, owner: Owner) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    for (member, bytes) in restoring.small {
        let Some((folder, path, mode, owner)) = place(restoring, owner, member) else { continue };
        if host.entry(&path)?.is_some() {
            continue;
        }
        if let Some(folder) = folder {
            let step = put::missing_folder(host, PART, folder)?;
            steps.extend(step.filter(|step| !steps.contains(step)));
        }
        steps.push(Step::new(PART, Action::Create, WriteFile::new(path, bytes.as_slice(), mode, owner)));
    }
    Ok(steps)
}

/// Where a file goes: a folder of its own, where it needs one, its path, mode and owner.
fn place(
    restoring: &Restoring<'_>,
    owner: Owner,
    member: &str,
) -> Option<(Option<MakeDirectory>, PathBuf, u32, Owner)> {
    let layout = restoring.wanted.layout;
    let below = |folder: &str| member.strip_prefix(folder).unwrap_or(member);
    let (records, tls) = (layout.records.join(below(backup::RECORDS)), layout.tls().join(below(backup::TLS)));
    let of_tls = || Some(put::root_folder(layout.tls(), 0o700));
    Some(match Kind::of(member)? {
        Kind::Config if restoring.fresh => (None, layout.config.clone(), 0o640, Owner { uid: 0, gid: owner.gid }),
        Kind::ConfigWritten if restoring.fresh => (None, managed_file::written(&layout.config), 0o600, Owner::ROOT),
        Kind::Filters if restoring.fresh => (None, records, 0o644, Owner::ROOT),
        Kind::List if restoring.fresh => {
            let folder = records.parent().map(|folder| put::root_folder(folder, 0o755));
            (folder, records, 0o644, Owner::ROOT)
        }
        Kind::Chain => (of_tls(), tls, 0o644, Owner::ROOT),
        Kind::Key | Kind::Account | Kind::Renewals => (of_tls(), tls, 0o600, Owner::ROOT),
        Kind::Cached | Kind::CachedAccount => (None, layout.certs().join(below(backup::CERTIFICATES)), 0o600, owner),
        // The installation writes answers, secrets and lock; the rest is no small file, or is never restored.
        _ => return None,
    })
}
