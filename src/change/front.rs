//! Changes of a web server in front of GoToSocial: the line in its main file, its test, its start and reload.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Change, journal};
use crate::front::{ConfigFiles, Front};
use crate::host::{Entry, Host, HostError, Observe, Owner, ServiceAction};

/// How long a front may take until it listens, in seconds.
const PATIENCE: u64 = 20;
/// How often it is looked whether a front has let its ports go, and how long is waited between two looks.
const RELEASE_LOOKS: u32 = 50;
const RELEASE_INTERVAL: Duration = Duration::from_millis(200);
/// So many links are followed from a main file, one to the next (MAXSYMLINKS of sys/param.h).
const LINKS: usize = 32;

/// A host's files, as the editors of `front` ask for them.
pub struct HostFiles<'a>(pub &'a dyn Observe);

impl ConfigFiles for HostFiles<'_> {
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        self.0.read(file).ok().flatten()
    }

    fn names(&self, folder: &Path) -> Vec<String> {
        self.0.list(folder).unwrap_or_default()
    }
}

/// The file that an edit of the main file changes: the main file itself, or what it leads to where it is a symbolic link. The
/// link stays.
///
/// # Errors
/// In words: the links lead nowhere or round in circles, or the host cannot be read.
pub fn edited_file(host: &dyn Observe, front: Front) -> Result<PathBuf, HostError> {
    let main = front.main_file();
    let mut path = main.clone();
    for _ in 0..LINKS {
        let Some(Entry::Symlink { target }) = host.entry(&path)? else {
            // Whether links may be followed there is the host's to say.
            if path != main && host.read_from(&main, 0, 0)?.is_none() {
                return Err(astray(&main, format!("it is a symbolic link to {}, which is not there", path.display())));
            }
            return Ok(path);
        };
        path = path.parent().map_or_else(|| target.clone(), |folder| folder.join(&target));
    }
    Err(astray(&main, "it is a symbolic link that leads round in circles".to_owned()))
}

fn astray(main: &Path, what: String) -> HostError {
    HostError::Unreadable {
        what: main.display().to_string(),
        text: format!("{what}. Let it lead to the file that is meant, or put that in its place, and run this again"),
    }
}

/// The main file with, or without, the line that includes our site.
///
/// # Errors
/// In words: the file is not there, or cannot be understood.
pub fn edited(host: &dyn Observe, front: Front, present: bool) -> Result<Vec<u8>, String> {
    let path = front.main_file();
    let text = host.read(&path).map_err(|error| error.to_string())?;
    let text = text.ok_or_else(|| format!("{} is not there", path.display()))?;
    let edited = if present {
        front.server.with_site(&path, &text, &HostFiles(host))
    } else {
        front.server.without_site(&path, &text)
    };
    edited.map_err(|error| error.to_string())
}

/// Whether a web server has started, or read its configuration again, since a run last changed that.
///
/// # Errors
/// A receipt cannot be read.
pub fn has_read(host: &dyn Observe, front: Front) -> Result<bool, HostError> {
    let newest = journal::newest(host, |change| match change {
        Change::FrontStart { front: changed, .. }
        | Change::FrontReload { front: changed, when_undone: false }
        | Change::FrontInclude { front: changed, .. } => *changed == front,
        Change::File { path, .. } | Change::Removal { path } => path.starts_with(front.folder),
        _ => false,
    })?;
    Ok(matches!(newest, None | Some(Change::FrontStart { .. } | Change::FrontReload { .. })))
}

/// Puts the line in, or takes it out.
pub(super) fn include(host: &dyn Host, front: Front, present: bool) -> Result<(), String> {
    let said = |error: HostError| error.to_string();
    let path = edited_file(host.observe(), front).map_err(said)?;
    let new = edited(host.observe(), front, present)?;
    if host.read(&path).map_err(said)?.as_deref() == Some(&new) {
        return Ok(());
    }
    let (mode, owner) = match host.entry(&path).map_err(said)? {
        Some(Entry::File { mode, owner, .. }) => (mode, owner),
        _ => (0o644, Owner::ROOT),
    };
    host.write_file(&path, &new, mode, owner).map_err(said)
}

/// Waits until no web server in front has any of these ports. Its reload returns before it has let go of what it is not to
/// listen on any more. Who else has a port is not waited for.
pub(super) fn wait_for_release(host: &dyn Host, ports: &[u16]) -> Result<(), String> {
    let held = || -> Result<bool, String> {
        let listeners = host.listeners().map_err(|error| error.to_string())?;
        let fronts = Front::ALL.map(|front| front.command);
        Ok(listeners.iter().any(|there| ports.contains(&there.port) && fronts.contains(&there.command.as_str())))
    };
    for _ in 0..RELEASE_LOOKS {
        if !held()? {
            break;
        }
        host.sleep(RELEASE_INTERVAL);
    }
    Ok(())
}

/// Starts the front and waits until it has its ports.
pub(super) fn start(host: &dyn Host, front: Front, ports: &[u16]) -> Result<(), String> {
    wait_for_release(host, ports)?;
    host.service_action(front.service, ServiceAction::Start).map_err(|error| error.to_string())?;
    for _ in 0..PATIENCE {
        if missing(host, front, ports)?.is_none() {
            return Ok(());
        }
        host.sleep(Duration::from_secs(1));
    }
    let port = missing(host, front, ports)?.map_or_else(String::new, |port| format!(" port {port}"));
    Err(format!(
        "{} was started and does not listen on{port}; its log, and `service {} start`, tell more",
        front.name, front.service
    ))
}

/// Has the front read its configuration again.
pub(super) fn reload(host: &dyn Host, front: Front) -> Result<(), String> {
    host.service_action(front.service, ServiceAction::Reload).map_err(|error| error.to_string())
}

/// A port that the front does not listen on.
fn missing(host: &dyn Host, front: Front, ports: &[u16]) -> Result<Option<u16>, String> {
    let listeners = host.listeners().map_err(|error| error.to_string())?;
    let has = |port: &u16| listeners.iter().any(|there| there.port == *port && there.command == front.command);
    Ok(ports.iter().copied().find(|port| !has(port)))
}
