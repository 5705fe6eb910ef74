//! The data of the instance: kept, or purged by name. What is not known by its name in GoToSocial's folders is never removed.

use std::path::{Path, PathBuf};

use super::Extent;
use super::ledger::Ledger;
use crate::change::database::{self, OPENED};
use crate::change::{Action, Change, Left, Prior, RemoveTree, Step, WriteFile};
use crate::deployment::Layout;
use crate::filter;
use crate::host::{HostError, Observe};

const PART: &str = "data";

/// What is told of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Own {
    /// What stays: a path, and what it is.
    pub(super) kept: Vec<(PathBuf, &'static str)>,
    pub(super) by_hand: Vec<String>,
    /// Data that are not on this host.
    pub(super) elsewhere: Vec<String>,
}

/// Whether a path belongs to the data, and so to this module.
pub(super) fn is_data(path: &Path, layout: &Layout) -> bool {
    let records = path.starts_with(&layout.records) && !path.starts_with(layout.tls());
    records || [&layout.data, &layout.logs, &layout.config_folder()].iter().any(|folder| path.starts_with(folder))
}

/// Everything that is known by name, and what it is called.
fn named(layout: &Layout) -> Vec<(PathBuf, &'static str)> {
    let beside = |ending: &str| {
        let mut path = layout.database().into_os_string();
        path.push(ending);
        PathBuf::from(path)
    };
    // Where a restoration could not be taken back, two databases may be there.
    let aside = database::aside(&layout.database());
    let mut named = vec![
        (layout.database(), "the database, with the keys that other servers know this one by"),
        (beside("-wal"), "the database"),
        (beside("-shm"), "the database"),
        (beside("-journal"), "the database"),
        (layout.storage(), "media and certificates"),
        (layout.tmp(), "temporary files"),
        (layout.wazero(), "a cache"),
        (layout.config.clone(), "GoToSocial's configuration"),
        (layout.answers(), "the answers"),
        (layout.lock(), "the lock"),
        (layout.secrets(), "the secrets"),
        (layout.records.join(filter::FILE), "the filters"),
        (layout.records.join(filter::LISTS), "lists of filters"),
        (layout.logs.clone(), "GoToSocial's log"),
    ];
    named.extend(aside.into_iter().map(|path| (path, "a database that was put aside")));
    named
}

/// Plans what becomes of the data.
///
/// # Errors
/// The host cannot be read.
pub(super) fn plan(
    host: &dyn Observe,
    layout: &Layout,
    ledger: &Ledger,
    extent: Extent,
) -> Result<(Vec<Step>, Own), HostError> {
    let mut steps = Vec::new();
    let mut own = Own::default();
    // What a proof has left that could not even be taken back: a copy of a copy, of use to nobody.
    if host.entry(Path::new(OPENED))?.is_some() {
        steps.push(remove(Change::TreeRemoval(RemoveTree { path: OPENED.into() })));
    }
    let backups = layout.backups.clone();
    // An empty one is nobody's data: it goes if we made it.
    if host.entry(&backups)?.is_some() && !host.list(&backups).is_ok_and(|names| names.is_empty()) {
        if extent.purge && extent.backups {
            steps.push(remove(Change::TreeRemoval(RemoveTree { path: backups })));
        } else {
            own.kept.push((backups, "backups, and copies of the database from before upgrades"));
        }
    }
    // Where nothing was installed there is nothing of ours by these names.
    let installed = |path: &PathBuf| ledger.path(path).is_some();
    if ledger.served.is_none() && ![&layout.data, &layout.config, &layout.answers()].into_iter().any(installed) {
        return Ok((steps, own));
    }
    for (path, what) in named(layout) {
        if host.entry(&path)?.is_none() {
            continue;
        }
        if !extent.purge {
            own.kept.push((path, what));
            continue;
        }
        if let Some(before) = before(host, ledger, &path)? {
            steps.push(before);
            continue;
        }
        // A file, too: nothing of it is to be kept among what was replaced, a database least of all.
        steps.push(remove(Change::TreeRemoval(RemoveTree { path })));
    }
    if extent.purge {
        let config = host.read(&layout.config)?.unwrap_or_default();
        if String::from_utf8_lossy(&config).lines().any(|line| line.starts_with("db-type: \"postgres\"")) {
            own.elsewhere.push(
                "the database is in PostgreSQL and stays there; dropdb(1) on its server removes it, with the keys of the instance"
                    .to_owned(),
            );
        }
        for folder in [&layout.data, &layout.config_folder(), &layout.records] {
            let unknown: Vec<String> = host
                .list(folder)
                .unwrap_or_default()
                .into_iter()
                .filter(|name| {
                    let path = folder.join(name);
                    let known = path == layout.tls() || named(layout).iter().any(|(named, _)| *named == path);
                    // What stood there before us is no leftover of ours.
                    let theirs = ledger.path(folder).is_some_and(|trace| trace.origin != Prior::Absent);
                    !known && !theirs
                })
                .collect();
            if !unknown.is_empty() {
                own.by_hand.push(format!(
                    "{} holds what GoToSocial and gts-bootstrap do not know ({}), so it stays. If it is not needed: rm -r {0}",
                    folder.display(),
                    unknown.join(", ")
                ));
            }
        }
    } else {
        own.kept.retain(|(path, _)| *path != layout.tmp());
    }
    Ok((steps, own))
}

/// The step that brings back a file that stood there before us; `None` where there was nothing, or nothing is left of it.
fn before(host: &dyn Observe, ledger: &Ledger, path: &Path) -> Result<Option<Step>, HostError> {
    let Some(trace) = ledger.path(path) else { return Ok(None) };
    let (Prior::File { sha256, mode, owner }, Left::File { .. }) = (&trace.origin, &trace.left) else {
        return Ok(None);
    };
    if host.read(path)?.is_some_and(|now| crate::change::digest(&now) == *sha256) {
        return Ok(None);
    }
    let Ok(bytes) = crate::change::store::recall(host, sha256) else { return Ok(None) };
    let (path, content) = (path.to_owned(), crate::change::Content::new(bytes));
    let change = WriteFile { path, content, mode: *mode, owner: *owner };
    Ok(Some(Step::new(PART, Action::Update, change)))
}

fn remove(change: Change) -> Step {
    Step::new(PART, Action::Remove, change)
}
