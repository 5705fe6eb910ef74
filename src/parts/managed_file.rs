//! A file that we write and that the administrator may edit.
//!
//! What we wrote last is kept beside the journal. If the file still is what we wrote, the new text replaces it; if it was
//! edited, the edits are carried over by a three-way merge (base: what we wrote last); if both touch the same lines,
//! nothing is changed and the conflict is shown. A file that we never wrote is never overwritten.

use std::path::{Path, PathBuf};

use super::{Refusal, secrets};
use crate::change::{Action, Change, Content, Step, WriteFile, journal, store};
use crate::host::{Entry, Observe, Owner};

/// A file that we manage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedFile<'a> {
    /// The part that wants it.
    pub part: &'static str,
    /// Where it belongs.
    pub path: &'a Path,
    /// What we would write.
    pub text: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub owner: Owner,
}

/// What is to become of a managed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The text that will stand there, the administrator's edits included.
    pub text: String,
    /// Whether that text differs from what stands there now.
    pub differs: bool,
    /// The changes.
    pub steps: Vec<Step>,
}

/// Where what we wrote last is kept.
pub fn written(path: &Path) -> PathBuf {
    let name = path.display().to_string().trim_start_matches('/').replace('/', ",");
    PathBuf::from(store::FOLDER).join("written").join(name)
}

/// Plans a managed file.
///
/// # Errors
/// A foreign file stands there, or the edits and the new text conflict.
pub fn plan(host: &dyn Observe, file: &ManagedFile<'_>) -> Result<Planned, Refusal> {
    let entry = kind(host, file.path)?;
    let present = read_text(host, file.path)?;
    let base = read_text(host, &written(file.path))?;
    let text = match (&present, &base) {
        (None, _) => file.text.clone(),
        (Some(present), _) if *present == file.text => file.text.clone(),
        (Some(present), Some(base)) if present == base => file.text.clone(),
        (Some(present), Some(base)) => diffy::merge(base, present, &file.text)
            .map_err(|conflict| Refusal::Conflict { path: file.path.to_owned(), conflict: hunks(&conflict) })?,
        // A crash between the file and the copy of what was written.
        (Some(present), None) if journal::wrote(host, file.path, present.as_bytes())? => file.text.clone(),
        (Some(_), None) => return Err(Refusal::ForeignFile { path: file.path.to_owned() }),
    };
    let differs = present.as_deref() != Some(&text);
    let attributes_differ = matches!(
        entry,
        Some(Entry::File { mode, owner, .. }) if (mode, owner) != (file.mode, file.owner)
    );
    let mut steps = Vec::new();
    if differs || attributes_differ {
        let action = if present.is_some() { Action::Update } else { Action::Create };
        steps.push(Step::new(file.part, action, whole(file.path, &text, file.mode, file.owner)));
    }
    // After the file itself: if a crash comes between the two, the next merge still has the older base and is right.
    if base.as_ref() != Some(&file.text) {
        let action = if base.is_some() { Action::Update } else { Action::Create };
        let change = whole(&written(file.path), &file.text, 0o600, Owner::ROOT);
        steps.push(Step::new(file.part, action, change));
    }
    Ok(Planned { text, differs, steps })
}

/// What stands in the way of a managed file whatever is going to be in it.
///
/// # Errors
/// Something other than a file, or a file that we did not write, stands there.
pub fn obstacle(host: &dyn Observe, path: &Path) -> Result<(), Refusal> {
    kind(host, path)?;
    let (Some(present), None) = (host.read(path)?, host.entry(&written(path))?) else { return Ok(()) };
    if journal::wrote(host, path, &present)? {
        return Ok(());
    }
    Err(Refusal::ForeignFile { path: path.to_owned() })
}

/// What stands at the path, if it is a file or nothing.
fn kind(host: &dyn Observe, path: &Path) -> Result<Option<Entry>, Refusal> {
    let entry = host.entry(path)?;
    match entry {
        None | Some(Entry::File { .. }) => Ok(entry),
        Some(Entry::Directory { .. }) => Err(wrong_kind(path, "a folder")),
        Some(Entry::Symlink { .. }) => Err(wrong_kind(path, "a symbolic link")),
        Some(Entry::Other) => Err(wrong_kind(path, "a device, socket or pipe")),
    }
}

/// A file change.
pub fn whole(path: &Path, text: &str, mode: u32, owner: Owner) -> Change {
    Change::File(WriteFile { path: path.to_owned(), content: Content::new(text), mode, owner })
}

/// The text of a file; `None` if it is not there.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub fn read_text(host: &dyn Observe, path: &Path) -> Result<Option<String>, Refusal> {
    host.read(path)?
        .map(|bytes| String::from_utf8(bytes).map_err(|_| Refusal::NotText { path: path.to_owned() }))
        .transpose()
}

fn wrong_kind(path: &Path, found: &'static str) -> Refusal {
    Refusal::WrongKind { path: path.to_owned(), found, wanted: "a file" }
}

/// The conflicting parts alone, out of a merged text with markers, with the markers in a person's words.
fn hunks(merged: &str) -> String {
    let mut shown = String::new();
    let mut inside = false;
    for line in merged.lines() {
        inside |= line.starts_with("<<<<<<<");
        if inside {
            let words = match line.get(..7) {
                Some("<<<<<<<") => "<<<<<<< the file as it is",
                Some("|||||||") => "||||||| what gts-bootstrap wrote last",
                Some(">>>>>>>") => ">>>>>>> what the answers ask for",
                _ => &secrets::hide_in_line(line),
            };
            shown.push_str(words);
            shown.push('\n');
        }
        if line.starts_with(">>>>>>>") {
            inside = false;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conflict_is_shown_without_passwords() {
        let base = "host: a\nsmtp-password: \"one\"\nport: 1\n";
        let mine = "host: a\nsmtp-password: \"two\"\nport: 2\n";
        let theirs = "host: a\nsmtp-password: \"three\"\nport: 3\n";
        let merged = diffy::merge(base, mine, theirs).err().unwrap_or_default();
        let shown = hunks(&merged);
        for secret in ["one", "two", "three"] {
            assert!(merged.contains(secret) && !shown.contains(secret), "{shown}");
        }
        assert!(shown.contains("smtp-password: (hidden)") && shown.contains("port: 2"), "{shown}");
    }
}
