//! Drift: what differs from what was installed, whoever changed it.
//!
//! The receipts record what was installed: the newest change of each path and name that was not undone. The text of a
//! file is compared with the copy of what we wrote last, because the receipt of a merged file has the administrator's
//! edits in its digest. Shared files are not drift (loader.conf, sysctl.conf, rc.conf as a whole, a web server's main
//! file). For these, and for the variables of portacl-rc, the checks of port access and of the include verify that our
//! part is in force. What GoToSocial and renewals write themselves is not drift either.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Severity, diff};
use crate::change::journal;
use crate::change::{
    AddUser, Change, Discard, IncludeSite, InstallRelease, MakeDirectory, MakeSymlink, RemoveTree, SetRcVariable,
    WriteFile, digest, front, store,
};
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{Entry, HostError, Observe, Owner};
use crate::parts::managed_file::written;
use crate::release;
use crate::sysconf::rc_conf;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The path or the name.
    pub target: String,
    /// The kind of difference.
    #[serde(flatten)]
    pub what: What,
    /// The changed lines, if they were requested and can be shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// The kind of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
pub enum What {
    /// The text of a file.
    Content,
    /// It is missing.
    Missing,
    /// It is an object of another kind.
    Kind,
    /// Its permission bits.
    Mode {
        /// The installed value.
        installed: u32,
        /// The current value.
        present: u32,
    },
    /// Its owner.
    Owner {
        /// The installed value.
        installed: Owner,
        /// The current value.
        present: Owner,
    },
    /// The target of a link.
    Link {
        /// The installed value.
        installed: PathBuf,
        /// The current value.
        present: PathBuf,
    },
    /// The value of a variable in rc.conf.
    Variable {
        /// The installed value.
        installed: String,
        /// The current value; `None` if it is not set anywhere.
        present: Option<String>,
    },
    /// The line that includes our site in a web server's main file is missing.
    Include,
    /// Files of the release differ from what was unpacked.
    Release {
        /// How many differ, are missing, or were added.
        files: usize,
        /// The first of them.
        first: String,
    },
}

impl Drift {
    /// The severity. The administrator may edit our files. But a file that other users can newly read or write is a
    /// failure.
    pub fn severity(&self) -> Severity {
        match &self.what {
            What::Content => Severity::Note,
            What::Mode { installed, present } if present & !installed & 0o007 != 0 => Severity::Failure,
            _ => Severity::Warning,
        }
    }

    /// The difference, in words.
    pub fn words(&self) -> String {
        let target = &self.target;
        let owned = |owner: &Owner| format!("{}:{}", owner.uid, owner.gid);
        match &self.what {
            What::Content => format!("{target} was edited"),
            What::Missing => format!("{target} is gone"),
            What::Kind => format!("{target} is something else than it was"),
            What::Mode { installed, present } => format!("{target} has mode {present:04o}, not {installed:04o}"),
            What::Owner { installed, present } => {
                format!("{target} belongs to {}, not to {}", owned(present), owned(installed))
            }
            What::Link { installed, present } => {
                format!("{target} points to {}, not to {}", present.display(), installed.display())
            }
            What::Variable { installed, present: Some(present) } => {
                format!("{target} is {present} in rc.conf, not {installed}")
            }
            What::Variable { installed, present: None } => format!("{target} is not in rc.conf; it was {installed}"),
            What::Include => format!("{target} does not include GoToSocial's site any more"),
            What::Release { files: 1, first } => format!("{target}: {first} is not as it was unpacked"),
            What::Release { files, first } => {
                format!("{target}: {first} and {} more are not as they were unpacked", files - 1)
            }
        }
    }
}

/// Looks for drift. `diffs` requests the changed lines.
///
/// # Errors
/// The receipts or the host cannot be read.
pub fn look(host: &dyn Observe, layout: &Layout, diffs: bool) -> Result<Vec<Drift>, HostError> {
    let mut found = Vec::new();
    for (target, change) in installed(host)? {
        let differences = match &change {
            Change::File(WriteFile { path, content, mode, owner }) => {
                let expected = Expected { layout, path, sha256: content.sha256(), mode: *mode, owner: *owner };
                file(host, &expected, diffs)?
            }
            Change::Directory(MakeDirectory { path, mode, owner }) if is_ours(path) => {
                directory(host, layout, path, *mode, *owner)?
            }
            Change::Symlink(MakeSymlink { path, target }) => link(host, path, target)?,
            Change::RcVariable(SetRcVariable { name, value: Some(value) }) if !name.starts_with("portacl_") => {
                variable(host, name, value)?
            }
            Change::User(AddUser { user }) => missing(host.user(&user.name)?.is_none()),
            Change::FrontInclude(IncludeSite { front, present: true }) => include(host, *front)?,
            Change::Release(InstallRelease { directory, .. }) => unpacked(host, layout, directory)?,
            _ => Vec::new(),
        };
        found.extend(differences.into_iter().map(|(what, diff)| Drift { target: target.clone(), what, diff }));
    }
    Ok(found)
}

/// Whether a folder is ours. Those of hier(7) are created where they are missing, and are shared from then on: pkg(8)
/// removes them, too.
fn is_ours(folder: &Path) -> bool {
    folder
        .components()
        .any(|part| ["gotosocial", "gts-bootstrap"].map(std::ffi::OsStr::new).contains(&part.as_os_str()))
}

type Differences = Vec<(What, Option<String>)>;

fn missing(is: bool) -> Differences {
    if is { vec![(What::Missing, None)] } else { Vec::new() }
}

/// The path of a change, if it is checked for drift.
fn path(change: &Change) -> Option<&Path> {
    match change {
        Change::File(WriteFile { path, .. })
        | Change::Directory(MakeDirectory { path, .. })
        | Change::Symlink(MakeSymlink { path, .. })
        | Change::Release(InstallRelease { directory: path, .. }) => Some(path),
        _ => None,
    }
}

/// The newest change of each target that was not undone, by target. What was removed since is not included.
fn installed(host: &dyn Observe) -> Result<BTreeMap<String, Change>, HostError> {
    let mut newest: BTreeMap<String, Change> = BTreeMap::new();
    // The completed part of a run that was interrupted, or is active.
    let lines = journal::read(host, &journal::path())?.unwrap_or_default();
    let done = journal::announced(&lines).rev().filter(|announced| announced.done && !announced.undone);
    let done = done.map(|announced| announced.change.clone());
    let finished = journal::stayed(host, |_| true)?.into_iter().map(|(change, _)| change);
    let mut sites = BTreeMap::new();
    // Folders that were removed since with their content, such as old copies of the database.
    let mut gone: Vec<PathBuf> = Vec::new();
    for change in done.chain(finished) {
        if let Some(path) = path(&change)
            && gone.iter().any(|folder| path.starts_with(folder))
        {
            continue;
        }
        let target = match &change {
            Change::File(WriteFile { path, .. }) if path.starts_with(store::FOLDER) => continue,
            Change::File(_) | Change::Directory(_) | Change::Symlink(_) | Change::Removal(_) | Change::Release(_) => {
                change.kind().target()
            }
            Change::Discard(Discard { path }) | Change::TreeRemoval(RemoveTree { path }) => {
                gone.push(path.clone());
                continue;
            }
            Change::RcVariable(SetRcVariable { name, .. }) => name.clone(),
            Change::User(AddUser { user }) => format!("the user {}", user.name),
            Change::FrontInclude(IncludeSite { front, .. }) => {
                sites.entry(front.service).or_insert(change);
                continue;
            }
            _ => continue,
        };
        newest.entry(target).or_insert(change);
    }
    newest.extend(sites.into_values().map(|change| (change.kind().target(), change)));
    Ok(newest)
}

struct Expected<'a> {
    layout: &'a Layout,
    path: &'a Path,
    sha256: &'a str,
    mode: u32,
    owner: Owner,
}

impl Expected<'_> {
    /// Whether other programs write the file, too.
    fn is_shared(&self) -> bool {
        ["/boot", "/etc"].iter().any(|folder| self.path.starts_with(folder))
            || self.path.starts_with(self.layout.storage())
            || Front::ALL.iter().any(|front| front.main_file() == self.path)
    }

    /// Files of which we own only mode and owner: the log, certificates and the files of their renewal.
    fn has_text_of_its_own(&self) -> bool {
        self.path.starts_with(&self.layout.logs) || self.path.starts_with(self.layout.tls())
    }
}

fn file(host: &dyn Observe, expected: &Expected<'_>, diffs: bool) -> Result<Differences, HostError> {
    if expected.is_shared() {
        return Ok(Vec::new());
    }
    let (mode, owner) = match host.entry(expected.path)? {
        None => return Ok(missing(!expected.path.starts_with(expected.layout.tls()))),
        Some(Entry::File { mode, owner, .. }) => (mode, owner),
        Some(_) => return Ok(vec![(What::Kind, None)]),
    };
    let mut found = attributes((expected.mode, expected.owner), (mode, owner));
    if expected.has_text_of_its_own() {
        return Ok(found);
    }
    let present = host.read(expected.path)?.unwrap_or_default();
    match host.read(&written(expected.path))? {
        Some(copy) if copy != present => {
            let (old, new) = (String::from_utf8_lossy(&copy), String::from_utf8_lossy(&present));
            let path = expected.path.display().to_string();
            found.push((What::Content, diffs.then(|| diff::unified(&path, &old, &new)).flatten()));
        }
        None if digest(&present) != expected.sha256 => found.push((What::Content, None)),
        _ => {}
    }
    Ok(found)
}

fn attributes(installed: (u32, Owner), present: (u32, Owner)) -> Differences {
    let mut found = Vec::new();
    if installed.0 != present.0 {
        found.push((What::Mode { installed: installed.0, present: present.0 }, None));
    }
    if installed.1 != present.1 {
        found.push((What::Owner { installed: installed.1, present: present.1 }, None));
    }
    found
}

fn directory(
    host: &dyn Observe,
    layout: &Layout,
    path: &Path,
    mode: u32,
    owner: Owner,
) -> Result<Differences, HostError> {
    Ok(match host.entry(path)? {
        Some(Entry::Directory { mode: there, owner: whose }) => attributes((mode, owner), (there, whose)),
        // An administrator may keep it on another disk behind a link.
        Some(Entry::Symlink { .. }) if host.list(path).is_ok() => Vec::new(),
        Some(_) => vec![(What::Kind, None)],
        // GoToSocial and the service create what they need again.
        None => missing(!path.starts_with(layout.storage())),
    })
}

fn link(host: &dyn Observe, path: &Path, target: &Path) -> Result<Differences, HostError> {
    Ok(match host.entry(path)? {
        None => missing(true),
        Some(Entry::Symlink { target: present }) if present == target => Vec::new(),
        Some(Entry::Symlink { target: present }) => {
            vec![(What::Link { installed: target.to_owned(), present }, None)]
        }
        Some(_) => vec![(What::Kind, None)],
    })
}

fn variable(host: &dyn Observe, name: &str, installed: &str) -> Result<Differences, HostError> {
    let present = host.rc_variable(name)?;
    if present.as_deref().is_some_and(|present| rc_conf::means_the_same(present, installed)) {
        return Ok(Vec::new());
    }
    Ok(vec![(What::Variable { installed: installed.to_owned(), present }, None)])
}

fn include(host: &dyn Observe, front: Front) -> Result<Differences, HostError> {
    // If the site itself is missing, that is the finding.
    if host.entry(&front.site_file())?.is_none() {
        return Ok(Vec::new());
    }
    let now = host.read(&front.main_file())?;
    Ok(match (now, front::edited(host, front, true)) {
        (None, _) => missing(true),
        (Some(now), Ok(with)) if now != with => vec![(What::Include, None)],
        // A file that does not parse is reported by the web server's own test.
        _ => Vec::new(),
    })
}

fn unpacked(host: &dyn Observe, layout: &Layout, directory: &Path) -> Result<Differences, HostError> {
    let in_use = matches!(host.entry(&layout.current())?, Some(Entry::Symlink { target })
        if target.file_name() == directory.file_name());
    // Older releases are kept, but removing one removes nothing that is needed.
    if !in_use {
        return Ok(Vec::new());
    }
    let Ok(found) = release::verify(&host.local_path(directory)) else { return Ok(missing(true)) };
    let names: Vec<String> = [found.missing, found.changed, found.extra].concat();
    Ok(match names.first() {
        None => Vec::new(),
        Some(first) => vec![(What::Release { files: names.len(), first: first.clone() }, None)],
    })
}
