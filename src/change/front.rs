//! What changes, plans and checks ask about a web server in front of GoToSocial: its names, its files, the line in its main file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::failure::Failure;
use crate::deployment::PortNumber;
use crate::front::{ConfigFiles, Front, Wanted, httpd_conf, nginx_conf};
use crate::host::{Entry, FrontProgram, Host, HostError, Listener, Observe};

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

/// The front that a program is.
#[must_use]
pub fn of(program: FrontProgram) -> Front {
    match program {
        FrontProgram::Nginx => Front::Nginx,
        FrontProgram::Httpd => Front::Httpd,
    }
}

/// Its script in rc.d, which is also the name of its package.
#[must_use]
pub fn service(program: FrontProgram) -> &'static str {
    match program {
        FrontProgram::Nginx => "nginx",
        FrontProgram::Httpd => "apache24",
    }
}

/// What sockstat(1) calls it.
#[must_use]
pub fn command(program: FrontProgram) -> &'static str {
    match program {
        FrontProgram::Nginx => "nginx",
        FrontProgram::Httpd => "httpd",
    }
}

/// Its main configuration file.
#[must_use]
pub fn main_file(program: FrontProgram) -> PathBuf {
    of(program).folder().join(of(program).main_file())
}

/// Our site in a front's configuration.
#[must_use]
pub fn site_file(program: FrontProgram) -> PathBuf {
    let folder = of(program).folder();
    match program {
        FrontProgram::Nginx => folder.join("gts-bootstrap/gotosocial.conf"),
        FrontProgram::Httpd => folder.join(httpd_conf::OWN_FILE),
    }
}

/// The file that an edit of the main file changes: the main file itself, or what it leads to where it is a symbolic link. The
/// link stays.
///
/// # Errors
/// In words: the links lead nowhere or round in circles, or the host cannot be read.
pub fn edited_file(host: &dyn Observe, program: FrontProgram) -> Result<PathBuf, HostError> {
    let main = main_file(program);
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
/// The file is not there, or cannot be understood.
pub fn edited(host: &dyn Observe, program: FrontProgram, present: bool) -> Result<Vec<u8>, Failure> {
    let path = main_file(program);
    let text = host.read(&path)?.ok_or_else(|| format!("{} is not there", path.display()))?;
    Ok(match (program, present) {
        (FrontProgram::Nginx, true) => nginx_conf::with_include(&path, &text)?,
        (FrontProgram::Nginx, false) => nginx_conf::without_include(&path, &text)?,
        (FrontProgram::Httpd, true) => {
            let own = of(program).folder().join(httpd_conf::OWN_FILE);
            let wanted = Wanted { names: &[], ports: [PortNumber::HTTP, PortNumber::HTTPS] };
            let survey = httpd_conf::survey(&path, &HostFiles(host), &wanted, &own)?;
            if survey.includes_own_file { text } else { httpd_conf::with_include(&path, &text, &own)? }
        }
        (FrontProgram::Httpd, false) => httpd_conf::without_include(&text),
    })
}

/// Waits until no web server in front has any of these ports. Its reload returns before it has let go of what it is not to
/// listen on any more. Nobody else who has a port is waited for.
pub(super) fn wait_for_release(host: &dyn Host, ports: &[u16]) -> Result<(), HostError> {
    let held = || -> Result<bool, HostError> {
        let fronts = [FrontProgram::Nginx, FrontProgram::Httpd].map(command);
        let holds = |there: &Listener| ports.contains(&there.port) && fronts.contains(&there.command.as_str());
        Ok(host.listeners()?.iter().any(holds))
    };
    for _ in 0..RELEASE_LOOKS {
        if !held()? {
            break;
        }
        host.sleep(RELEASE_INTERVAL);
    }
    Ok(())
}
