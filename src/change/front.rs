//! What changes, plans and checks ask about a web server in front of GoToSocial on a host: its files, the line in its main file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use super::listening::Rightful;
use crate::front::{ConfigFiles, Front};
use crate::host::{Entry, Host, HostError, Listener, Observe, Whose};
use crate::shown::Shown;

/// The ports that a front serves.
pub const PORTS: [u16; 2] = [80, 443];
/// How often it is looked whether a front has let its ports go, and how long is waited between two looks.
const RELEASE_LOOKS: u32 = 50;
const RELEASE_INTERVAL: Duration = Duration::from_millis(200);
/// How many seconds a front may take until it listens, and until its state can be believed.
const PATIENCE: u64 = 20;
const STARTS: u64 = 1;
/// So many links are followed from a main file, one to the next (MAXSYMLINKS of sys/param.h).
const LINKS: usize = 32;

/// A host's files, as the editors of `front` ask for them.
pub struct HostFiles<'a>(pub &'a dyn Observe);

impl ConfigFiles for HostFiles<'_> {
    fn read(&self, file: &Path) -> Option<Vec<u8>> {
        self.0.read_of(file, Whose::Folder).ok().flatten()
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
            if path != main && host.read_from(&main, Whose::Folder, 0, 0)?.is_none() {
                return Err(astray(&main, format!("it is a symbolic link to {}, which is not there", path.shown())));
            }
            return Ok(path);
        };
        path = path.with_file_name(target);
    }
    Err(astray(&main, "it is a symbolic link that leads in a circle".to_owned()))
}

fn astray(main: &Path, what: String) -> HostError {
    let advice = "Let it lead to the file that is meant, or put that in its place, and run this again";
    HostError::unreadable(main.shown(), format!("{what}. {advice}"))
}

/// The main file with, or without, the line that includes our site.
///
/// # Errors
/// The file is not there, or cannot be understood.
pub fn edited(host: &dyn Observe, front: Front, present: bool) -> Result<Vec<u8>, Failure> {
    let path = front.main_file();
    let text = host.read_of(&path, Whose::Folder)?.ok_or_else(|| format!("{} is not there", path.shown()))?;
    Ok(if present { (front.with_site)(&path, &text, &HostFiles(host))? } else { (front.without_site)(&path, &text)? })
}

/// Whether our site is there and the main file may have the web server read it, as one may that cannot be understood.
fn may_be_included(host: &dyn Observe, front: Front) -> Result<bool, HostError> {
    let main = host.read_of(&front.main_file(), Whose::Folder)?;
    let with_site = edited(host, front, true).ok();
    Ok(host.entry(&front.site_file())?.is_some() && with_site.is_none_or(|with_site| Some(with_site) == main))
}

/// Proves, before a reload has a web server take ports for our site, that nobody else has a socket there. One that has them all
/// for every address of both families takes none.
pub(super) fn takes_free_ports(host: &dyn Observe, front: Front, ports: &[u16]) -> Result<(), Failure> {
    let (rightful, listeners) = (Rightful::front(host, front)?, host.listeners()?);
    let has = |port: &u16, of_family: fn(&Listener) -> bool| {
        listeners.iter().any(|it| it.port == *port && it.address.is_none() && of_family(it) && rightful.have(it))
    };
    let has_both = |port: &u16| has(port, |it| it.ipv4) && has(port, |it| it.ipv6);
    if ports.iter().all(has_both) || !may_be_included(host, front)? {
        return Ok(());
    }
    rightful.are_alone(host, ports)
}

/// Waits until a web server that was told to listens on all of these ports. Otherwise it is told which one is missing: once it has
/// taken too long, or is gone. Its start returns before its first process has written down which one it is.
pub(super) fn wait_for_ports(
    host: &dyn Host,
    front: Front,
    ports: &[u16],
    pause: Duration,
) -> Result<Option<u16>, HostError> {
    let (rightful, began) = (Rightful::front(host, front)?, host.now());
    loop {
        let listeners = host.listeners()?;
        let has = |port: &u16| listeners.iter().any(|there| there.port == *port && rightful.have(there));
        let Some(missing) = ports.iter().copied().find(|port| !has(port)) else { return Ok(None) };
        let waited = host.now().saturating_sub(began);
        if waited > PATIENCE || (waited > STARTS && !host.service(front.service)?.is_running()) {
            return Ok(Some(missing));
        }
        host.sleep(pause);
    }
}

/// Waits until no web server in front has any of these ports. Its reload returns before it has let go of what it is not to
/// listen on any more. Nobody else who has a port is waited for.
pub(super) fn wait_for_release(host: &dyn Host, ports: &[u16]) -> Result<(), HostError> {
    let fronts = Front::ALL.map(|front| Rightful::front(host, front));
    let fronts = fronts.into_iter().collect::<Result<Vec<_>, _>>()?;
    let is_front = |there: &Listener| fronts.iter().any(|front| front.have(there));
    for _ in 0..RELEASE_LOOKS {
        if !host.listeners()?.iter().any(|there| ports.contains(&there.port) && is_front(there)) {
            break;
        }
        host.sleep(RELEASE_INTERVAL);
    }
    Ok(())
}
