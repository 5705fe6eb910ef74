//! A file that we write and that the administrator may edit.
//!
//! A copy of what we wrote last is kept beside the journal. If the file still equals it, the new text replaces it. If it was
//! edited, a three-way merge with that copy as its base carries the edits over. If both change the same lines, nothing is
//! changed and the conflict is shown. A file that we never wrote is never overwritten.

use std::path::{Path, PathBuf};

use super::{Refusal, secrets};
use crate::change::{Action, Step, WriteFile, journal, store};
use crate::host::{Entry, Observe, Owner};

/// What becomes of a managed file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilePlan {
    /// The new text, the administrator's edits included.
    pub text: String,
    /// Whether that text differs from the present one.
    pub differs: bool,
    /// The changes.
    pub steps: Vec<Step>,
}

/// Where the copy of what we wrote last is kept.
pub fn written(path: &Path) -> PathBuf {
    let name = path.display().to_string().trim_start_matches('/').replace('/', ",");
    PathBuf::from(store::FOLDER).join("written").join(name)
}

/// Plans a managed file.
///
/// # Errors
/// A foreign file stands there, or the edits and the new text conflict.
pub fn plan(
    host: &dyn Observe,
    part: &'static str,
    path: &Path,
    new: impl Into<String>,
    mode: u32,
    owner: Owner,
) -> Result<FilePlan, Refusal> {
    let new = new.into();
    let entry = kind(host, path)?;
    let present = read_text(host, path)?;
    let copy = written(path);
    let base = read_text(host, &copy)?;
    let text = match (&present, &base) {
        (Some(present), Some(base)) if *present != new && present != base => diffy::merge(base, present, &new)
            .map_err(|conflict| Refusal::Conflict { path: path.to_owned(), conflict: hunks(&conflict) })?,
        // A crash between the file and its copy leaves no copy of what we wrote.
        (Some(present), None) if *present != new && !journal::wrote(host, path, present.as_bytes())? => {
            return Err(Refusal::ForeignFile { path: path.to_owned() });
        }
        _ => new.clone(),
    };
    let differs = present.as_ref() != Some(&text);
    let attributes_differ =
        matches!(entry, Some(Entry::File { mode: now, owner: whose, .. }) if (now, whose) != (mode, owner));
    let action = |there: &Option<String>| if there.is_some() { Action::Update } else { Action::Create };
    let mut steps = Vec::new();
    if differs || attributes_differ {
        steps.push(Step::new(part, action(&present), WriteFile::new(path, text.as_str(), mode, owner)));
    }
    // The copy comes after the file: if a crash comes between the two, the next merge still has the older base and is right.
    if base.as_ref() != Some(&new) {
        steps.push(Step::new(part, action(&base), WriteFile::new(copy, new, 0o600, Owner::ROOT)));
    }
    Ok(FilePlan { text, differs, steps })
}

/// Looks for what stands in the way of a managed file, whatever its new text is.
///
/// # Errors
/// Something other than a file, or a file that we did not write, stands there.
pub fn obstacle(host: &dyn Observe, path: &Path) -> Result<(), Refusal> {
    kind(host, path)?;
    match host.read(path)? {
        Some(present) if host.entry(&written(path))?.is_none() && !journal::wrote(host, path, &present)? => {
            Err(Refusal::ForeignFile { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

/// What stands at the path, if it is a file or nothing.
fn kind(host: &dyn Observe, path: &Path) -> Result<Option<Entry>, Refusal> {
    match host.entry(path)? {
        Some(other) if !matches!(other, Entry::File { .. }) => Err(Refusal::wrong_kind(path, &other, "a file")),
        entry => Ok(entry),
    }
}

/// The text of a file; `None` if there is none.
///
/// # Errors
/// It cannot be read, or is not UTF-8.
pub fn read_text(host: &dyn Observe, path: &Path) -> Result<Option<String>, Refusal> {
    let not_text = |_| Refusal::NotText { path: path.to_owned() };
    host.read(path)?.map(|bytes| String::from_utf8(bytes).map_err(not_text)).transpose()
}

/// Only the conflicting parts of a merged text, with its markers in a person's words.
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
        inside &= !line.starts_with(">>>>>>>");
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
