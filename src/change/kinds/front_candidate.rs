//! The test of a web server's configuration before anything of it is live.
//!
//! What the web server would read is put together beside what it reads now: a copy of our files with the new ones in it, and
//! a main file that includes that copy. Whoever has the web server reload meanwhile gets what was there before.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::change::front::edited;
use crate::change::kind::prelude::*;
use crate::change::{Change, Step, store};
use crate::front::Front;
use crate::host::{Entry, Observe, Onward};

/// Tests a front's configuration with the front itself, before it goes live. Changes nothing that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFront {
    /// Which front.
    pub front: Front,
    /// Whether our site is to be part of it.
    pub present: bool,
    /// Files of ours that will be other than they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<NewFile>,
}

/// A file of ours as it is going to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What will be in it; `None` if it goes.
    pub content: Option<Content>,
}

impl TestFront {
    /// The test of the configuration as it will be after these steps.
    pub fn after(front: Front, present: bool, steps: &[Step]) -> Self {
        let own = front.own_folder();
        let new = |step: &Step| {
            let (path, content) = match &step.change {
                Change::File(file) => (file.path.clone(), Some(file.content.clone())),
                Change::Removal(removal) => (removal.path.clone(), None),
                _ => return None,
            };
            (path.starts_with(&own) || path == front.site_file()).then_some(NewFile { path, content })
        };
        Self { front, present, files: steps.iter().filter_map(new).collect() }
    }
}

impl Kind for TestFront {
    named!(ErrorCode::Front, "front-test", "configuration", "config"; "with the web server itself");

    fn target(&self) -> String {
        self.front.main_file().display().to_string()
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, front) = (executor.host, self.front);
        clear(host, front)?;
        let tested = assemble(host, front, self.present, &self.files)
            .and_then(|()| Ok(host.front_test(front, &front.candidate_file())?));
        clear(host, front)?;
        let output = tested?;
        if output.status == Some(0) {
            return Ok(());
        }
        // With the names of the files that the administrator finds.
        let words = format!("{}\n{}", output.stdout, output.stderr)
            .replace(&front.candidate_file().display().to_string(), &front.main_file().display().to_string())
            .replace(&front.candidate_site().display().to_string(), &front.site_file().display().to_string())
            .replace(&front.candidate_folder().display().to_string(), &front.own_folder().display().to_string());
        refuse!(
            "{} refuses the configuration that it would have: {}. What runs now has not been touched; correct what it names and \
             run this again",
            front.name,
            words.trim()
        )
    }

    fn undo(&self, host: &dyn Host, _prior: &Prior) -> Result<(), HostError> {
        clear(host, self.front)
    }

    fn folders(&self) -> Vec<PathBuf> {
        vec![self.front.folder.into()]
    }
}

/// Takes away the candidate.
fn clear(host: &dyn Host, front: Front) -> Result<(), HostError> {
    host.remove(&front.candidate_file())?;
    host.remove_tree(&front.candidate_folder())
}

/// Puts the candidate together.
fn assemble(host: &dyn Host, front: Front, present: bool, files: &[NewFile]) -> Result<(), Failure> {
    let mut main = edited(host, front, present)?;
    if present {
        copy_own_files(host, front, files)?;
        main = (front.with_candidate)(&front.main_file(), &main)?;
    }
    Ok(host.write_file(&front.candidate_file(), &main, 0o644, Owner::ROOT)?)
}

/// Copies our files as they are going to be: those that are there, and over them those that are new.
fn copy_own_files(host: &dyn Host, front: Front, files: &[NewFile]) -> Result<(), Failure> {
    let (own, site, folder) = (front.own_folder(), front.site_file(), front.candidate_folder());
    let mut all: BTreeMap<PathBuf, Vec<u8>> = BTreeMap::new();
    for path in below(host, &own)?.into_iter().chain([site.clone()]) {
        if let Some(bytes) = host.read(&path)? {
            all.insert(path, bytes);
        }
    }
    for NewFile { path, content } in files {
        match content {
            Some(content) => all.insert(path.clone(), content.bytes().to_vec()),
            None => all.remove(path),
        };
    }
    store::make_missing(host, &folder, 0o755, &mut Vec::new())?;
    for (path, bytes) in all {
        let to = match path.strip_prefix(&own) {
            _ if path == site => front.candidate_site(),
            Ok(rest) => folder.join(rest),
            Err(_) => continue,
        };
        for above in above(&to) {
            store::make_missing(host, &above, 0o755, &mut Vec::new())?;
        }
        let names_paths = path.extension().is_some_and(|ending| ending == "conf" || ending == "inc");
        let bytes = if names_paths { moved(&bytes, front) } else { bytes };
        host.write_file(&to, &bytes, 0o644, Owner::ROOT)?;
    }
    Ok(())
}

/// A text of ours that names the candidate's folder where it named the real one.
fn moved(bytes: &[u8], front: Front) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let [from, to] = [front.own_folder(), front.candidate_folder()].map(|folder| format!("{}/", folder.display()));
    (front.as_candidate)(text.replace(&from, &to)).into_bytes()
}

/// All files below a folder.
fn below(host: &dyn Observe, folder: &Path) -> Result<Vec<PathBuf>, HostError> {
    let mut found = Vec::new();
    host.tree(folder, &mut |path, entry| {
        if !matches!(entry, Entry::Directory { .. }) {
            found.push(path.to_owned());
        }
        Onward::In
    })?;
    Ok(found)
}
