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
    AddUser, Change, IncludeSite, InstallRelease, MakeDirectory, MakeSymlink, SetRcVariable, Thing, WriteFile, digest,
    front, store,
};
use crate::deployment::Layout;
use crate::front::Front;
use crate::host::{Entry, HostError, Observe, Owner, Whose};
use crate::parts::managed_file::written;
use crate::release;
use crate::shown::Shown;
use crate::sysconf::rc_conf;

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The path or the name.
    pub target: String,
    /// The kind of difference.
    #[serde(flatten)]
    pub what: What,
}

/// The kind of a difference. `installed` is the value that was installed, `present` the current one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "difference", rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum What {
    /// The text of a file.
    Content {
        #[serde(skip_serializing_if = "Option::is_none")]
        diff: Option<String>,
    },
    /// It is missing.
    Missing,
    /// It is an object of another kind.
    Kind,
    /// Its permission bits.
    Mode { installed: u32, present: u32 },
    /// Its owner.
    Owner { installed: Owner, present: Owner },
    /// The target of a link.
    Link { installed: PathBuf, present: PathBuf },
    /// The value of a variable in rc.conf.
    Variable { installed: String, present: Option<String> },
    /// The line that includes our site in a web server's main file is missing.
    Include,
    /// Files of the release differ from what was unpacked.
    Release { files: usize, first: String },
}

impl Drift {
    /// The severity. The administrator may edit our files. But a file that other users can newly read or write is a
    /// failure.
    pub fn severity(&self) -> Severity {
        match &self.what {
            What::Content { .. } => Severity::Note,
            What::Mode { installed, present } if present & !installed & 0o007 != 0 => Severity::Failure,
            _ => Severity::Warning,
        }
    }

    /// The difference, in words.
    pub fn words(&self) -> String {
        let target = &self.target;
        let owned = |owner: &Owner| format!("{}:{}", owner.uid, owner.gid);
        match &self.what {
            What::Content { .. } => format!("{target} was edited"),
            What::Missing => format!("{target} is gone"),
            What::Kind => format!("{target} is something else than it was"),
            What::Mode { installed, present } => format!("{target} has mode {present:04o}, not {installed:04o}"),
            What::Owner { installed, present } => {
                format!("{target} belongs to {}, not to {}", owned(present), owned(installed))
            }
            What::Link { installed, present } => {
                format!("{target} points to {}, not to {}", present.shown(), installed.shown())
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
            Change::File(installed) => file(host, layout, installed, diffs)?,
            Change::Directory(installed) if is_ours(&installed.path) => directory(host, layout, installed)?,
            Change::Symlink(installed) => link(host, installed)?.into_iter().collect(),
            Change::RcVariable(SetRcVariable { name, value: Some(value) }) if !name.starts_with("portacl_") => {
                variable(host, name, value)?.into_iter().collect()
            }
            Change::User(AddUser { user }) if host.user(&user.name)?.is_none() => vec![What::Missing],
            Change::FrontInclude(IncludeSite { front, present: true }) => include(host, *front)?.into_iter().collect(),
            Change::Release(installed) => unpacked(host, layout, installed)?.into_iter().collect(),
            _ => Vec::new(),
        };
        found.extend(differences.into_iter().map(|what| Drift { target: target.clone(), what }));
    }
    Ok(found)
}

/// Whether a folder is ours. Those of hier(7) are created where they are missing, and are shared from then on: pkg(8)
/// removes them, too.
fn is_ours(folder: &Path) -> bool {
    folder.iter().any(|part| part == "gotosocial" || part == "gts-bootstrap")
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
        let kind = change.kind();
        let path = if let Some((Thing::Path(path), _)) = kind.effect() { path } else { PathBuf::new() };
        if gone.iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        let (map, target) = match &change {
            Change::File(_) if path.starts_with(store::FOLDER) => continue,
            Change::File(_) | Change::Directory(_) | Change::Symlink(_) | Change::Removal(_) | Change::Release(_) => {
                (&mut newest, kind.target())
            }
            Change::Discard(_) | Change::TreeRemoval(_) => {
                gone.push(path);
                continue;
            }
            Change::RcVariable(SetRcVariable { name, .. }) => (&mut newest, name.clone()),
            Change::User(AddUser { user }) => (&mut newest, format!("the user {}", user.name)),
            Change::FrontInclude(_) => (&mut sites, kind.target()),
            _ => continue,
        };
        map.entry(target).or_insert(change);
    }
    newest.append(&mut sites);
    Ok(newest)
}

fn file(
    host: &dyn Observe,
    layout: &Layout,
    WriteFile { path, content, mode, owner }: &WriteFile,
    diffs: bool,
) -> Result<Vec<What>, HostError> {
    // Other programs write these, too.
    let is_shared = ["/boot", "/etc"].iter().any(|folder| path.starts_with(folder))
        || path.starts_with(layout.storage())
        || Front::ALL.iter().any(|front| front.main_file() == *path);
    if is_shared {
        return Ok(Vec::new());
    }
    let mut found = match host.entry(path)? {
        None if path.starts_with(layout.tls()) => return Ok(Vec::new()),
        None => return Ok(vec![What::Missing]),
        Some(Entry::File { mode: present, owner: whose, .. }) => attributes((*mode, *owner), (present, whose)),
        Some(_) => return Ok(vec![What::Kind]),
    };
    // Of the log, certificates and the files of their renewal we own only mode and owner.
    if path.starts_with(&layout.logs) || path.starts_with(layout.tls()) {
        return Ok(found);
    }
    let present = host.read(path)?.unwrap_or_default();
    match host.read(&written(path))? {
        Some(copy) if copy != present => {
            let (old, new) = (String::from_utf8_lossy(&copy), String::from_utf8_lossy(&present));
            let diff = diffs.then(|| diff::unified(&path.display().to_string(), &old, &new)).flatten();
            found.push(What::Content { diff });
        }
        None if digest(&present) != content.sha256() => found.push(What::Content { diff: None }),
        _ => {}
    }
    Ok(found)
}

fn attributes(installed: (u32, Owner), present: (u32, Owner)) -> Vec<What> {
    let mode = What::Mode { installed: installed.0, present: present.0 };
    let owner = What::Owner { installed: installed.1, present: present.1 };
    [(installed.0 != present.0, mode), (installed.1 != present.1, owner)]
        .into_iter()
        .filter_map(|(differs, what)| differs.then_some(what))
        .collect()
}

fn directory(
    host: &dyn Observe,
    layout: &Layout,
    MakeDirectory { path, mode, owner }: &MakeDirectory,
) -> Result<Vec<What>, HostError> {
    Ok(match host.entry(path)? {
        Some(Entry::Directory { mode: there, owner: whose }) => attributes((*mode, *owner), (there, whose)),
        // An administrator may keep it on another disk behind a link.
        Some(Entry::Symlink { .. }) if host.list(path).is_ok() => Vec::new(),
        Some(_) => vec![What::Kind],
        // GoToSocial and the service create what they need again.
        None if path.starts_with(layout.storage()) => Vec::new(),
        None => vec![What::Missing],
    })
}

fn link(host: &dyn Observe, MakeSymlink { path, target }: &MakeSymlink) -> Result<Option<What>, HostError> {
    Ok(match host.entry(path)? {
        None => Some(What::Missing),
        Some(Entry::Symlink { target: present }) => {
            (present != *target).then(|| What::Link { installed: target.clone(), present })
        }
        Some(_) => Some(What::Kind),
    })
}

fn variable(host: &dyn Observe, name: &str, installed: &str) -> Result<Option<What>, HostError> {
    let present = host.rc_variable(name)?;
    let differs = present.as_deref().is_none_or(|present| !rc_conf::means_the_same(present, installed));
    Ok(differs.then(|| What::Variable { installed: installed.to_owned(), present }))
}

fn include(host: &dyn Observe, front: Front) -> Result<Option<What>, HostError> {
    // If the site itself is missing, that is the finding.
    if host.entry(&front.site_file())?.is_none() {
        return Ok(None);
    }
    let now = host.read_of(&front.main_file(), Whose::Folder)?;
    Ok(match (now, front::edited(host, front, true)) {
        (None, _) => Some(What::Missing),
        (Some(now), Ok(with)) => (now != with).then_some(What::Include),
        // A file that does not parse is reported by the web server's own test.
        (Some(_), Err(_)) => None,
    })
}

fn unpacked(
    host: &dyn Observe,
    layout: &Layout,
    InstallRelease { directory, .. }: &InstallRelease,
) -> Result<Option<What>, HostError> {
    let in_use = matches!(host.entry(&layout.current())?, Some(Entry::Symlink { target })
        if target.file_name() == directory.file_name());
    // Older releases are kept, but removing one removes nothing that is needed.
    if !in_use {
        return Ok(None);
    }
    let Ok(found) = release::verify(&host.local_path(directory)) else { return Ok(Some(What::Missing)) };
    let names: Vec<String> = [found.missing, found.changed, found.extra].concat();
    Ok(names.first().map(|first| What::Release { files: names.len(), first: first.clone() }))
}
