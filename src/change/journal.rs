//! The journal: what is about to be done, written and synced before it is done.
//!
//! One JSON object a line, in [`path`]. A finished journal is moved to the receipts, from which an installation can be
//! undone later. A journal that is still there when the program starts belongs to a run that was cut off: see
//! [`settle`](super::settle).
//!
//! The lines hold digests of file contents, never the contents; values that are secret never get into a [`Change`].

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::any::Change;
use super::content::digest;
use super::kinds::{IncludeSite, LetGo, ReloadFront, Remove, StartFront, TakeOver, WriteFile};
use super::plan::Step;
use super::prior::Prior;
use super::{database, store};
use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::{FileUser, Host, HostError, Observe, Owner};
use crate::shown::Shown;

/// Version of the line format. Readers take this one and every older one.
pub const SCHEMA: u32 = 1;

/// The command of which a service runs again in any case.
pub(super) const BACKUP: &str = "backup";

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The first line.
    Begin {
        /// [`SCHEMA`].
        schema: u32,
        /// The subcommand.
        command: String,
        /// Version of this program.
        program: String,
        /// Seconds since 1970.
        time: u64,
        /// What ran before, of all that the plan touches.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        running: Vec<Running>,
    },
    /// A change is about to be made.
    Intent {
        /// Its number in the plan, from 0.
        step: usize,
        /// The part that wants it.
        part: String,
        /// The change.
        change: Change,
        /// What stands there now.
        prior: Prior,
    },
    /// The change was made.
    Done {
        /// Its number.
        step: usize,
    },
    /// The change was not made, and the run goes on with the next one.
    Failed {
        /// Its number.
        step: usize,
        /// Why.
        reason: String,
    },
    /// A change failed, and those before it are about to be taken back.
    Undoing {
        /// Why.
        reason: String,
    },
    /// The change was taken back.
    Undone {
        /// Its number.
        step: usize,
    },
    /// The last line.
    End {
        /// How it ended.
        outcome: Outcome,
    },
}

/// A module, a variable of the kernel or a service that the plan touches, as it was before the first change. A boot in the midst
/// of a run starts what the files say by then, so taking the run back has to know this also of changes that were not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The change that the plan has for it.
    pub change: Change,
    /// What was there.
    pub prior: Prior,
    /// The process of a service: another one has read its configuration anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Everything was done.
    Complete,
    /// A change failed, and everything before it was taken back.
    Undone,
    /// A change failed, and not everything could be taken back.
    NotUndone,
    /// Changes failed, and what else could be made was made.
    Incomplete,
    /// The run was cut off, and a later one settled it.
    Interrupted,
}

/// Where the journal of a run is while it lasts.
pub fn path() -> PathBuf {
    PathBuf::from(store::FOLDER).join("journal")
}

/// A journal that is being written.
pub struct Journal<'a> {
    pub(super) host: &'a dyn Host,
    /// The subcommand.
    pub(super) command: String,
}

impl<'a> Journal<'a> {
    /// Begins a journal, with what runs before the first change.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn begin(host: &'a dyn Host, command: &str, running: Vec<Running>) -> Result<Self, HostError> {
        store::folder(host, "receipts")?;
        let (command, program) = (command.to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let journal = Self { host, command: command.clone() };
        journal.write(&Line::Begin { schema: SCHEMA, command, program, time: host.now(), running })?;
        Ok(journal)
    }

    /// Writes that a change is about to be made.
    ///
    /// # Errors
    /// It cannot be written: the change must not be made.
    pub fn intent(&self, number: usize, step: &Step, prior: &Prior) -> Result<(), HostError> {
        let (part, change) = (step.part.to_owned(), step.change.clone());
        self.write(&Line::Intent { step: number, part, change, prior: prior.clone() })
    }

    /// Writes any other line.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, line: &Line) -> Result<(), HostError> {
        let mut text =
            serde_json::to_string(line).map_err(|error| HostError::unreadable("a journal line", error.to_string()))?;
        text.push('\n');
        drop_torn_line(self.host)?;
        self.host.append_file(&path(), text.as_bytes())
    }

    /// Writes the last line and puts the journal among the receipts.
    ///
    /// # Errors
    /// It cannot be written or renamed.
    pub fn end(self, outcome: Outcome) -> Result<(), HostError> {
        self.write(&Line::End { outcome })?;
        self.put_away(outcome != Outcome::NotUndone)
    }

    /// Puts a journal that has its last line among the receipts.
    ///
    /// # Errors
    /// A private key cannot be taken out of the store, or the journal cannot be renamed.
    pub(super) fn put_away(self, without_keys: bool) -> Result<(), HostError> {
        // Not before the last line is written: until then they are needed to take the run back.
        if without_keys {
            forget_keys(self.host)?;
        }
        let folder = store::folder(self.host, "receipts")?;
        let names = self.host.list(&folder)?;
        // A power cut between the syncs of the two folders may show it in both.
        if let Some(last) = names.last()
            && self.host.read(&folder.join(last))? == self.host.read(&path())?
        {
            return self.host.remove(&path());
        }
        let last =
            names.iter().filter_map(|name| name.split('-').next()?.parse::<u32>().ok()).max().unwrap_or_default();
        let receipt = folder.join(format!("{:04}-{}.jsonl", last + 1, self.command.replace(' ', "-")));
        self.host.rename(&path(), &receipt)
    }
}

/// Takes private keys out of the store again, and what restorations have put aside: both were there for the run to be taken
/// back, and nobody needs them after it.
fn forget_keys(host: &dyn Host) -> Result<(), HostError> {
    let lines = read(host, &path())?.unwrap_or_default();
    for announced in announced(&lines) {
        if let Prior::File { sha256, .. } = announced.prior {
            let kept = store::kept(sha256);
            if host.read(&kept)?.is_some_and(|bytes| holds_key(&bytes)) {
                host.remove(&kept)?;
            }
        }
        if let Change::DatabaseRestore { restore } = announced.change {
            database::forget_displaced(host, restore)?;
        }
    }
    Ok(())
}

/// Whether this is a key in PEM (RFC 7468), or an account at a certificate authority, whose key is a member of its JSON.
fn holds_key(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    text.contains("PRIVATE KEY-----") || text.contains("\"key_pkcs8\"")
}

/// Takes away the last line if a crash or a full disk cut it off: the next line would be appended to it, and neither could
/// be read ever after.
fn drop_torn_line(host: &dyn Host) -> Result<(), HostError> {
    let Some(bytes) = host.read(&path())? else { return Ok(()) };
    if bytes.last().is_none_or(|last| *last == b'\n') {
        return Ok(());
    }
    let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    host.write_file(&path(), &bytes[..complete], 0o600, Owner::ROOT)
}

/// Reads a journal or a receipt. A last line that was cut off by a crash is left out: what it announced was not begun.
///
/// # Errors
/// The file cannot be read, a line before the last makes no sense, or the file is of a newer schema than [`SCHEMA`].
pub fn read(host: &dyn Observe, file: &Path) -> Result<Option<Vec<Line>>, HostError> {
    let Some(bytes) = host.read(file)? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let unreadable = |why: String| HostError::unreadable(file.shown(), why);
    let mut lines = Vec::new();
    for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let line = serde_json::from_str(line).map_err(|error| unreadable(format!("{error} in the line {line}")))?;
        if let Line::Begin { schema, .. } = line
            && schema > SCHEMA
        {
            return Err(unreadable(format!("it was written by a newer gts-bootstrap (schema {schema}); use that one")));
        }
        lines.push(line);
    }
    Ok(Some(lines))
}

/// Every receipt, the oldest first, with its file name.
///
/// # Errors
/// One cannot be read, or is of a newer schema than [`SCHEMA`].
pub fn receipts(host: &dyn Observe) -> Result<Vec<(String, Vec<Line>)>, HostError> {
    let folder = Path::new(store::FOLDER).join("receipts");
    let read = |name: String| Ok((name.clone(), read(host, &folder.join(name))?.unwrap_or_default()));
    host.list(&folder)?.into_iter().map(read).collect()
}

/// The command that a journal begins with.
pub fn command(lines: &[Line]) -> &str {
    match lines.iter().find(|line| matches!(line, Line::Begin { .. })) {
        Some(Line::Begin { command, .. }) => command,
        _ => "",
    }
}

/// A change that a journal announces, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    /// Its number.
    pub step: usize,
    /// The change.
    pub change: &'a Change,
    /// What stood there before.
    pub prior: &'a Prior,
    /// Whether it was made.
    pub done: bool,
    /// Whether it was not made, in a run that went on.
    pub failed: bool,
    /// Whether it was taken back.
    pub undone: bool,
}

/// Every change that a journal announces, in order.
pub fn announced(lines: &[Line]) -> impl DoubleEndedIterator<Item = Announced<'_>> {
    lines.iter().filter_map(|line| match line {
        Line::Intent { step, change, prior, .. } => Some(Announced {
            step: *step,
            change,
            prior,
            done: lines.contains(&Line::Done { step: *step }),
            failed: lines.iter().any(|line| matches!(line, Line::Failed { step: failed, .. } if failed == step)),
            undone: lines.contains(&Line::Undone { step: *step }),
        }),
        _ => None,
    })
}

/// The process that migrates the database for a run that was cut off: it goes on without that run, and settling waits for it.
///
/// # Errors
/// The journal cannot be read, or the host not be asked.
pub fn still_migrating(host: &dyn Host) -> Result<Option<FileUser>, HostError> {
    for announced in announced(&read(host, &path())?.unwrap_or_default()) {
        if let Change::Migration { migration } = announced.change
            && !announced.done
            && !announced.change.kind().is_left_to_run(host)?
        {
            return database::user(host, &migration.database);
        }
    }
    Ok(None)
}

/// Whether an earlier run has written, or was about to write, these bytes to this file: then it is ours to replace.
///
/// # Errors
/// A receipt cannot be read.
pub fn wrote(host: &dyn Observe, file: &Path, bytes: &[u8]) -> Result<bool, HostError> {
    let sha256 = digest(bytes);
    let is_it = |change: &Change| matches!(change, Change::File(WriteFile { path, content, .. }) if path == file && content.sha256() == sha256);
    Ok(receipts(host)?.iter().any(|(_, lines)| announced(lines).any(|announced| is_it(announced.change))))
}

/// The recorded changes for which `is_it` holds, of those that stayed, each with what stood there before; the newest first.
///
/// # Errors
/// A receipt cannot be read.
pub fn stayed(host: &dyn Observe, is_it: impl Fn(&Change) -> bool) -> Result<Vec<(Change, Prior)>, HostError> {
    let mut stayed = Vec::new();
    for (_, lines) in receipts(host)?.iter().rev() {
        let those = announced(lines).rev().filter(|it| !it.undone && !it.failed && is_it(it.change));
        stayed.extend(those.map(|announced| (announced.change.clone(), announced.prior.clone())));
    }
    Ok(stayed)
}

/// What stood there before the newest of those that [`stayed`].
///
/// # Errors
/// A receipt cannot be read.
pub fn newest_prior(host: &dyn Observe, is_it: impl Fn(&Change) -> bool) -> Result<Option<Prior>, HostError> {
    Ok(stayed(host, is_it)?.into_iter().next().map(|(_, prior)| prior))
}

/// Whether a web server has started, or read its configuration again, since a run last changed that.
///
/// # Errors
/// A receipt cannot be read.
pub fn has_read(host: &dyn Observe, server: Front) -> Result<bool, HostError> {
    let stayed = stayed(host, |change| match change {
        Change::FrontTakeover(TakeOver { front, from }) => *front == server || *from == LetGo::Reload(server),
        Change::ServiceStart { start } => start.from == Some(LetGo::Reload(server)),
        Change::FrontStart(StartFront { front, .. })
        | Change::FrontReload(ReloadFront { front, when_undone: false })
        | Change::FrontInclude(IncludeSite { front, .. }) => *front == server,
        Change::File(WriteFile { path, .. }) | Change::Removal(Remove { path }) => path.starts_with(server.folder),
        _ => false,
    })?;
    let writes = |change: &Change| matches!(change, Change::FrontInclude(_) | Change::File(_) | Change::Removal(_));
    Ok(stayed.first().is_none_or(|(change, _)| !writes(change)))
}

/// Whether GoToSocial was started, or stopped, since an interrupted run changed its configuration.
///
/// # Errors
/// A receipt cannot be read.
pub fn server_has_read(host: &dyn Observe, config: &Path) -> Result<bool, HostError> {
    let is_it = |change: &Change| match change {
        Change::ServiceStart { .. } => true,
        Change::ServiceStop(stop) => stop.name == SERVICE && !stop.when_undone,
        Change::FrontTakeover(taken) => matches!(&taken.from, LetGo::Stop(name) if name == SERVICE),
        Change::File(file) => file.path == config,
        _ => false,
    };
    for (_, lines) in receipts(host)?.iter().rev() {
        let stayed = |it: &Announced<'_>| !it.undone && !it.failed && is_it(it.change);
        if let Some(newest) = announced(lines).rev().find(stayed) {
            // A run that came to its end has started it, or left that to a boot.
            let ended = lines.iter().any(|line| matches!(line, Line::End { outcome: Outcome::Complete }));
            return Ok(ended || !matches!(newest.change, Change::File(_)));
        }
    }
    Ok(true)
}

/// Whether the newest run that began with the first account created it and gave it its rights; `None` if no run did.
///
/// # Errors
/// A receipt cannot be read.
pub fn account_done(host: &dyn Observe, username: &str) -> Result<Option<bool>, HostError> {
    let is_it = |change: &Change| matches!(change, Change::Account { account } if account.username == username);
    let receipts = receipts(host)?;
    let mut newest = receipts.iter().rev().flat_map(|(_, lines)| announced(lines).rev());
    Ok(newest.find(|announced| is_it(announced.change)).map(|announced| announced.done))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::change::MakeDirectory;
    use crate::host::rehearsal::Rehearsal;

    #[test]
    fn a_line_that_a_crash_cut_off_does_not_spoil_the_receipt() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        Journal::begin(&host, "install", Vec::new()).unwrap();
        let intent = Line::Intent {
            step: 0,
            part: "folders".to_owned(),
            change: MakeDirectory { path: "/var/db/x".into(), mode: 0o750, owner: Owner::ROOT }.into(),
            prior: Prior::Absent,
        };
        host.append_file(&path(), format!("{}\n{{\"done\":{{\"st", serde_json::to_string(&intent).unwrap()).as_bytes())
            .unwrap();
        let settled = crate::change::settle::settle(&host).unwrap().unwrap();
        assert_eq!((settled.undone.len(), settled.failed.len()), (1, 0), "{settled:?}");
        let folder = store::folder(&host, "receipts").unwrap();
        let receipt = folder.join("0001-install.jsonl");
        let lines = read(&host, &receipt).unwrap().unwrap();
        assert!(lines.contains(&Line::Undone { step: 0 }), "{lines:?}");
        assert_eq!(account_done(&host, "alice").unwrap(), None);
    }
}
