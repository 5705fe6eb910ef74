//! The data of the instance: kept, or purged by name. A name in GoToSocial's folders that is not known is never removed.

use std::path::{Path, PathBuf};

use super::{Record, UninstallPlan};
use crate::change::database::{self, OPENED};
use crate::change::{Action, Change, Left, Prior, RemoveTree, Step, digest};
use crate::deployment::Layout;
use crate::filter;
use crate::host::{HostError, Whose};
use crate::parts::database::beside;
use crate::shown::Shown;

const PART: &str = "data";

/// Whether a path belongs to the data, and so to this module.
pub(super) fn is_data(path: &Path, layout: &Layout) -> bool {
    let records = path.starts_with(&layout.records) && !path.starts_with(layout.tls());
    records || [&layout.data, &layout.logs, &layout.config_folder()].iter().any(|folder| path.starts_with(folder))
}

/// Everything that is known by name, with its description.
fn named(layout: &Layout) -> Vec<(PathBuf, &'static str)> {
    let database = layout.database();
    let mut named = vec![
        (database.clone(), "the database, with the keys that other servers know this one by"),
        (beside(&database, "-wal"), "the database"),
        (beside(&database, "-shm"), "the database"),
        (beside(&database, "-journal"), "the database"),
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
    // A restoration that could not be taken back may leave two databases.
    named.extend(database::aside(&database).into_iter().map(|path| (path, "a database that was put aside")));
    named
}

impl Record<'_> {
    /// Plans what becomes of the data.
    ///
    /// # Errors
    /// The host cannot be read.
    pub(super) fn data(self) -> Result<UninstallPlan, HostError> {
        let Self { host, layout, ledger, extent, .. } = self;
        let mut planned = UninstallPlan::default();
        // What is left of a proof that could not even be taken back: a copy of a copy, useless to anybody.
        if host.entry(Path::new(OPENED))?.is_some() {
            planned.step(remove_tree(OPENED.into()));
        }
        let backups = layout.backups.clone();
        // An empty folder is nobody's data: it goes if we made it.
        if host.entry(&backups)?.is_some() && !host.list(&backups).is_ok_and(|names| names.is_empty()) {
            if extent.purge && extent.backups {
                planned.step(remove_tree(backups));
            } else {
                planned.kept.push((backups, "backups, and copies of the database from before upgrades"));
            }
        }
        // Where nothing was installed, nothing by these names is ours.
        let installed = |path: &PathBuf| ledger.path(path).is_some();
        if ledger.served.is_none() && ![&layout.data, &layout.config, &layout.answers()].into_iter().any(installed) {
            return Ok(planned);
        }
        let named = named(layout);
        for (path, what) in &named {
            if host.entry(path)?.is_none() {
                continue;
            }
            if extent.purge {
                // A single file, too: nothing of it is kept among what was replaced, a database least of all.
                planned.step(self.former_data(path)?.unwrap_or_else(|| remove_tree(path.clone())));
            } else if *path != layout.tmp() {
                planned.kept.push((path.clone(), what));
            }
        }
        if !extent.purge {
            return Ok(planned);
        }
        let config = host.read(&layout.config)?.unwrap_or_default();
        if String::from_utf8_lossy(&config).lines().any(|line| line.starts_with("db-type: \"postgres\"")) {
            planned.plan.warnings.push(
                "the database is in PostgreSQL and stays there; dropdb(1) on its server removes it, with the keys of the instance"
                    .to_owned(),
            );
        }
        for folder in [&layout.data, &layout.config_folder(), &layout.records] {
            // What stood there before us is no leftover of ours.
            if ledger.path(folder).is_some_and(|trace| trace.origin != Prior::Absent) {
                continue;
            }
            let is_known = |path: PathBuf| path == layout.tls() || named.iter().any(|(named, _)| *named == path);
            let mut unknown = host.list(folder).unwrap_or_default();
            unknown.retain(|name| !is_known(folder.join(name)));
            if !unknown.is_empty() {
                planned.by_hand.push(format!(
                    "{} holds what GoToSocial and gts-bootstrap do not know ({}), so it stays. If it is not needed: rm -r {0}",
                    folder.shown(),
                    unknown.iter().map(|name| name.shown()).collect::<Vec<_>>().join(", ")
                ));
            }
        }
        Ok(planned)
    }

    /// The step that brings back a file that stood there before us; `None` if there was none, or nothing is left of it.
    fn former_data(self, path: &Path) -> Result<Option<Step>, HostError> {
        let Some(trace) = self.ledger.path(path).filter(|trace| matches!(trace.left, Left::File { .. })) else {
            return Ok(None);
        };
        let Some(Change::File(file)) = self.former_file(path, trace) else { return Ok(None) };
        let now = self.host.read_of(path, Whose::Folder)?.map(|now| digest(&now));
        let differs = now.as_deref() != Some(file.content.sha256());
        Ok(differs.then(|| Step::new(PART, Action::Update, file)))
    }
}

fn remove_tree(path: PathBuf) -> Step {
    Step::new(PART, Action::Remove, RemoveTree { path })
}
