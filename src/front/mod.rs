//! The web server in front of `GoToSocial`: what is known of each, its configuration as text, and edits of what the
//! administrator has there.
//!
//! A [`Front`] is one of the web servers of [`Front::ALL`]. What they differ in stands in a folder each: [`Facts`], which are
//! data, and a [`WebServer`], which reads, edits and renders. Nothing outside these folders asks which one it is. Nothing
//! here touches a file: texts go in and come out, and files are read by way of [`ConfigFiles`]. `docs/fronts.md` says what
//! the configuration does and why.

mod config_files;
mod filters;
mod httpd;
mod nginx;
mod render;
mod settings;
mod site;
mod version;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use config_files::{ConfigError, ConfigFiles, ConfigPlace};
pub use filters::{FilterFile, FilterFileError};
pub use render::{RenderError, RenderedFile};
pub use settings::{AccountDomain, Certificate, FrontSettings, Logs};
pub use site::{Conflict, Listen, Served, Site, Socket, Survey, Wanted};
pub use version::{FrontVersion, FrontVersionError};

use crate::filter::{Filters, Lists};
use crate::templates::Template;

/// The folder below which the answers to ACME challenges lie.
pub const ACME_WEBROOT: &str = "/usr/local/www/gts-bootstrap";

/// The folder of our own files below the web server's configuration folder.
const OWN_FOLDER: &str = "gts-bootstrap";

/// The folder in which our files stand beside [`OWN_FOLDER`] while they are tested.
const CANDIDATE_FOLDER: &str = "gts-bootstrap-candidate";

/// Our site in [`CANDIDATE_FOLDER`].
const CANDIDATE_SITE: &str = "gotosocial.conf";

/// A web server that can stand in front of `GoToSocial`. Its [`Facts`] are its fields.
#[derive(Clone, Copy)]
pub struct Front(&'static Facts);

/// What is known of a web server.
#[derive(Debug)]
pub struct Facts {
    /// The word for it in answers, commands, journal and receipts.
    pub key: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The same, with the release if there are others.
    pub full_name: &'static str,
    /// Its script in rc.d, which is also the name of its package and the beginning of its rc variables.
    pub service: &'static str,
    /// What sockstat(1) calls it.
    pub command: &'static str,
    /// The program itself.
    pub program: &'static str,
    /// The arguments with which the program tests a configuration; the file's path comes behind them.
    pub test: &'static [&'static str],
    /// The folder of its own configuration: `ETCDIR` of the port.
    pub folder: &'static str,
    /// The main configuration file in [`Facts::folder`].
    pub main: &'static str,
    /// The ending of the main file as the package has it, beside the one in use.
    pub sample: &'static str,
    /// Our site, below [`Facts::folder`].
    pub site: &'static str,
    /// Whether the package's main file includes everything beside our site, so that it is live as soon as it is there.
    pub reads_beside: bool,
    /// A file that the package itself has beside our site.
    pub beside: Option<&'static str>,
    /// Where the first process writes its number.
    pub pid_file: &'static str,
    /// Where it logs requests for the instance, and what went wrong with them.
    pub logs: [&'static str; 2],
    /// Where its modules lie, if it loads any.
    pub modules: &'static str,
    /// The oldest version that the configuration works with.
    pub oldest: FrontVersion,
    /// A version that FreeBSD's packages surely have: for plans before the package is there.
    pub packaged: FrontVersion,
    /// Whether it reads certificates and keys when it tests a configuration, and goes on with what it has if a reload fails.
    pub careful: bool,
    /// Our site.
    pub site_template: Template,
    /// The TLS settings, which the site includes.
    pub tls_template: Template,
    /// What it can do.
    pub server: &'static dyn WebServer,
}

/// How a web server's configuration is read, edited and written.
pub trait WebServer: fmt::Debug + Sync {
    /// The main file with what makes the web server read our site; the very same text if nothing is missing.
    ///
    /// # Errors
    /// The configuration cannot be read as the web server reads it.
    fn with_site(&self, main: &Path, text: &[u8], files: &dyn ConfigFiles) -> Result<Vec<u8>, ConfigError>;

    /// The main file without what [`WebServer::with_site`] has put in, byte for byte as it was.
    ///
    /// # Errors
    /// The file cannot be read as the web server reads it.
    fn without_site(&self, main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError>;

    /// A main file that has our site, as it is for a test: with [`Front::candidate_folder`] in place of our own.
    ///
    /// # Errors
    /// The file cannot be read as the web server reads it.
    fn with_candidate(&self, main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError>;

    /// One of our files as it stands in [`Front::candidate_folder`].
    fn as_candidate(&self, text: String) -> String {
        text
    }

    /// What the web server would serve. `testing`: as its own test of a candidate sees it.
    ///
    /// # Errors
    /// A file is missing, or cannot be read as the web server reads it.
    fn served(&self, main: &Path, files: &dyn ConfigFiles, testing: bool) -> Result<Served, ConfigError>;

    /// What else than our site stands in the configuration, as far as it is in our way.
    ///
    /// # Errors
    /// A file is missing, or cannot be read as the web server reads it.
    fn survey(&self, main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>) -> Result<Survey, ConfigError>;

    /// The fields of the templates that are this web server's alone.
    ///
    /// # Errors
    /// A path that cannot be written down safely.
    fn fields(&self, settings: &FrontSettings) -> Result<serde_json::Value, RenderError>;

    /// The filters as configuration, below the folder `filters` of our own configuration folder: always the same files, also
    /// if there is no rule.
    ///
    /// # Errors
    /// A list is missing, a rule cannot be followed, or the folder's name cannot be written down.
    fn render_filters(
        &self,
        filters: &Filters,
        lists: &Lists,
        folder: &Path,
    ) -> Result<Vec<FilterFile>, FilterFileError>;
}

impl Front {
    /// nginx.
    pub const NGINX: Self = Self(&nginx::FACTS);
    /// Apache httpd 2.4.
    pub const HTTPD: Self = Self(&httpd::FACTS);
    /// All, in the order in which they are offered and looked for.
    pub const ALL: [Self; 2] = [Self::NGINX, Self::HTTPD];

    /// [`Facts::key`].
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.0.key
    }

    /// The one with this key.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|front| front.key == key)
    }

    /// The rc variable that enables it.
    #[must_use]
    pub fn rc_variable(self) -> String {
        format!("{}_enable", self.service)
    }

    /// Its main configuration file.
    #[must_use]
    pub fn main_file(self) -> PathBuf {
        Path::new(self.folder).join(self.main)
    }

    /// The main file as the package has it.
    #[must_use]
    pub fn sample_file(self) -> PathBuf {
        Path::new(self.folder).join(format!("{}{}", self.main, self.sample))
    }

    /// Our site.
    #[must_use]
    pub fn site_file(self) -> PathBuf {
        Path::new(self.folder).join(self.site)
    }

    /// The folder of our own files.
    #[must_use]
    pub fn own_folder(self) -> PathBuf {
        Path::new(self.folder).join(OWN_FOLDER)
    }

    /// Our TLS settings. The ending keeps them out of what the main file includes.
    #[must_use]
    pub fn tls_file(self) -> PathBuf {
        self.own_folder().join("tls.inc")
    }

    /// The folder in which our files stand while they are tested.
    #[must_use]
    pub fn candidate_folder(self) -> PathBuf {
        Path::new(self.folder).join(CANDIDATE_FOLDER)
    }

    /// Our site while it is tested.
    #[must_use]
    pub fn candidate_site(self) -> PathBuf {
        self.candidate_folder().join(CANDIDATE_SITE)
    }

    /// Where a main file stands while it is tested: beside the real one, as includes are relative to its folder.
    #[must_use]
    pub fn candidate_file(self) -> PathBuf {
        Path::new(self.folder).join(format!("{CANDIDATE_FOLDER}.conf"))
    }

    /// Our files: the TLS settings, and the site that includes them.
    ///
    /// # Errors
    /// [`RenderError`]: settings that no configuration can be made from, or a mistake in this program.
    pub fn render(self, settings: &FrontSettings) -> Result<Vec<RenderedFile>, RenderError> {
        render::render(self, settings)
    }
}

impl Deref for Front {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        self.0
    }
}

impl PartialEq for Front {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Front {}

impl Hash for Front {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Front({})", self.key)
    }
}

impl Serialize for Front {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key)
    }
}

impl<'de> Deserialize<'de> for Front {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let key = String::deserialize(deserializer)?;
        let known = || Self::ALL.map(|front| front.key).join(", ");
        Self::of_key(&key)
            .ok_or_else(|| serde::de::Error::custom(format!("unknown web server {key}, expected one of {}", known())))
    }
}
