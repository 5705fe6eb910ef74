//! The test of a web server's configuration before anything of it is live.
//!
//! What the web server would read is put together beside what it reads now: a copy of our files with the new ones in it, and
//! a main file that includes that copy. Whoever has the web server reload meanwhile gets what was there before.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Content;
use super::front::{edited, main_file, of, site_file};
use crate::front::{CANDIDATE_FOLDER, OWN_FOLDER, httpd_conf, nginx_conf};
use crate::host::{Entry, FrontProgram, Host, HostError, Observe, Owner};

/// A file of ours as it is going to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFile {
    /// Where.
    pub path: PathBuf,
    /// What will be in it; `None` if it goes.
    pub content: Option<Content>,
}

/// Where a main file stands while it is tried: beside the real one, as includes are relative to its folder.
#[must_use]
pub fn candidate(program: FrontProgram) -> PathBuf {
    of(program).folder().join("gts-bootstrap-candidate.conf")
}

/// The folder in which our files stand meanwhile.
#[must_use]
pub fn candidate_folder(program: FrontProgram) -> PathBuf {
    of(program).folder().join(CANDIDATE_FOLDER)
}

fn own_folder(program: FrontProgram) -> PathBuf {
    of(program).folder().join(OWN_FOLDER)
}

/// Takes away what a test that was cut off has left.
pub(super) fn clear(host: &dyn Host, program: FrontProgram) -> Result<(), HostError> {
    host.remove(&candidate(program))?;
    host.remove_tree(&candidate_folder(program))
}

/// Has the front test the configuration that it is to have, with our site or without.
pub(super) fn test(host: &dyn Host, program: FrontProgram, present: bool, files: &[NewFile]) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    clear(host, program).map_err(said)?;
    let tested = assemble(host, program, present, files)
        .and_then(|()| host.front_test(program, &candidate(program)).map_err(said));
    clear(host, program).map_err(said)?;
    let output = tested?;
    if output.status == Some(0) {
        return Ok(());
    }
    // Told by the places at which the administrator finds it.
    let words = format!("{}\n{}", output.stdout, output.stderr)
        .replace(&candidate(program).display().to_string(), &main_file(program).display().to_string())
        .replace(&candidate_site(program).display().to_string(), &site_file(program).display().to_string())
        .replace(&candidate_folder(program).display().to_string(), &own_folder(program).display().to_string());
    Err(format!(
        "{} refuses the configuration that it would have: {}. What runs now has not been touched; correct what it names and run \
         this again",
        of(program).name(),
        words.trim()
    ))
}

fn candidate_site(program: FrontProgram) -> PathBuf {
    candidate_folder(program).join("gotosocial.conf")
}

/// Puts the candidate together.
fn assemble(host: &dyn Host, program: FrontProgram, present: bool, files: &[NewFile]) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let mut main = edited(host.observe(), program, present)?;
    if present {
        copy_own_files(host, program, files)?;
        let path = main_file(program);
        main = match program {
            FrontProgram::Nginx => {
                nginx_conf::with_candidate(&path, &main, CANDIDATE_FOLDER).map_err(|error| error.to_string())?
            }
            FrontProgram::Httpd => httpd_conf::with_candidate(&main, &candidate_site(program)),
        };
    }
    host.write_file(&candidate(program), &main, 0o644, Owner::ROOT).map_err(said)
}

/// Copies our files as they are going to be: those that are there, and over them those that are new.
fn copy_own_files(host: &dyn Host, program: FrontProgram, files: &[NewFile]) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let (own, site) = (own_folder(program), site_file(program));
    let mut all: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    let mut there = below(host.observe(), &own).map_err(said)?;
    if !there.contains(&site) && host.entry(&site).map_err(said)?.is_some() {
        there.push(site.clone());
    }
    for path in there.into_iter().filter(|path| !files.iter().any(|file| file.path == *path)) {
        let bytes = host.read(&path).map_err(said)?.unwrap_or_default();
        all.push((path, bytes));
    }
    all.extend(files.iter().filter_map(|file| Some((file.path.clone(), file.content.as_ref()?.bytes().to_vec()))));
    let mut made: Vec<PathBuf> = Vec::new();
    let mut make = |folder: &Path| -> Result<(), String> {
        let missing: Vec<&Path> =
            folder.ancestors().take_while(|above| above.starts_with(candidate_folder(program))).collect();
        for above in missing.into_iter().rev() {
            if !made.iter().any(|there| there == above) {
                host.make_directory(above, 0o755, Owner::ROOT).map_err(said)?;
                made.push(above.to_owned());
            }
        }
        Ok(())
    };
    make(&candidate_folder(program))?;
    for (path, bytes) in all {
        let to = if path == site {
            candidate_site(program)
        } else if let Ok(rest) = path.strip_prefix(&own) {
            candidate_folder(program).join(rest)
        } else {
            continue;
        };
        if let Some(folder) = to.parent() {
            make(folder)?;
        }
        let bytes = if path.extension().is_some_and(|ending| ending == "conf" || ending == "inc") {
            moved(&bytes, program)
        } else {
            bytes
        };
        host.write_file(&to, &bytes, 0o644, Owner::ROOT).map_err(said)?;
    }
    Ok(())
}

/// A text of ours that names the candidate's folder where it named the real one.
fn moved(bytes: &[u8], program: FrontProgram) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(bytes) else { return bytes.to_vec() };
    let [from, to] = [own_folder(program), candidate_folder(program)].map(|folder| format!("{}/", folder.display()));
    let text = text.replace(&from, &to);
    match program {
        FrontProgram::Nginx => text,
        FrontProgram::Httpd => httpd_conf::unconditional(&text),
    }
    .into_bytes()
}

/// All files below a folder.
fn below(host: &dyn Observe, folder: &Path) -> Result<Vec<PathBuf>, HostError> {
    let mut found = Vec::new();
    for name in host.list(folder)? {
        let path = folder.join(name);
        match host.entry(&path)? {
            Some(Entry::Directory { .. }) => found.extend(below(host, &path)?),
            Some(_) => found.push(path),
            None => {}
        }
    }
    Ok(found)
}
