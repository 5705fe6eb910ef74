//! Answers to the challenge HTTP-01 as files that the front serves.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::certificate::acme::Challenge;
use crate::change::store;
use crate::deployment::HostName;
use crate::host::{Entry, Host, Owner, WebFailure, WebRequest};
use crate::shown::Shown;

/// Below the folder that the front serves (RFC 8555, section 8.3).
const CHALLENGES: &str = ".well-known/acme-challenge";
/// For the front of this very host.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the answers are in the folder that a front serves.
pub(super) fn challenges(webroot: &Path) -> PathBuf {
    webroot.join(CHALLENGES)
}

/// Puts answers into a folder, and looks whether the front serves them before the authority does: what this host can see
/// by itself need not count as a failure there.
pub(super) struct Webroot<'a> {
    host: &'a dyn Host,
    name: &'a HostName,
    folder: PathBuf,
    http: SocketAddr,
    /// Folders that were not there before, outermost first.
    made: Vec<PathBuf>,
}

impl<'a> Webroot<'a> {
    /// The folder `webroot`, of which the front at `http` serves the challenges for `name`.
    pub(super) fn new(host: &'a dyn Host, name: &'a HostName, webroot: &Path, http: SocketAddr) -> Self {
        Self { host, name, folder: challenges(webroot), http, made: Vec::new() }
    }

    /// Asks the front as the authority will.
    fn try_out(&self, token: &str, answer: &str) -> Result<(), String> {
        let path = format!("/{CHALLENGES}/{token}");
        let request = WebRequest::to(self.http, false, self.name.as_str(), &path, PATIENCE);
        let url = format!("http://{}{path}", self.name);
        match self.host.web(&request) {
            Ok(got) if got.status == 200 && got.body.trim_ascii_end() == answer.as_bytes() => Ok(()),
            Ok(got) if got.status == 200 => Err(format!(
                "the web server of this host answers {url} with something else; look for another site or location that \
                 takes these requests"
            )),
            Ok(got) => Err(format!(
                "the web server of this host answers {url} with status {}; look for another site or location that takes \
                 these requests, and at the permissions of {}",
                got.status,
                self.folder.shown()
            )),
            // It may listen on other addresses than loopback, which the authority will see.
            Err(WebFailure::Refused) => Ok(()),
            Err(error) => Err(format!("the web server of this host does not answer {url}: {error}")),
        }
    }
}

impl Challenge for Webroot<'_> {
    fn publish(&mut self, token: &str, key_authorization: &str) -> Result<(), Box<dyn Error>> {
        // Readable to the front's workers.
        store::make_missing(self.host, &self.folder, 0o755, &mut self.made)?;
        let file = self.folder.join(token);
        self.host.write_file(&file, key_authorization.as_bytes(), 0o644, Owner::ROOT)?;
        self.try_out(token, key_authorization).map_err(Into::into)
    }

    fn withdraw(&mut self, token: &str) {
        // A file that stays is harmless: a token is good for one challenge.
        let file = self.folder.join(token);
        if matches!(self.host.entry(&file), Ok(Some(Entry::File { .. }))) {
            let _ = self.host.remove(&file);
        }
        // A folder that somebody else has put something into is not empty and stays.
        for folder in self.made.drain(..).rev() {
            let _ = self.host.remove(&folder);
        }
    }
}
