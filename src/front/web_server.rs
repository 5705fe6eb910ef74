//! What is known of a web server, and what it can do.

use std::fmt;
use std::path::Path;

use serde_json::Value;

use super::config_files::{ConfigError, ConfigFiles};
use super::filters::{FilterFile, FilterFileError};
use super::settings::FrontSettings;
use super::site::{Served, Survey, Wanted};
use super::version::FrontVersion;
use super::written::SiteError;
use crate::filter::{Filters, Lists};
use crate::templates::Template;

/// What is known of a web server.
#[derive(Debug)]
pub struct Facts {
    /// The word for it in answers, commands, journal and receipts.
    pub key: &'static str,
    /// What people call it.
    pub name: &'static str,
    /// The same, with the release if there are others.
    pub full_name: &'static str,
    /// What speaks for it, where people choose.
    pub choice: &'static str,
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

    /// A main file that has our site, as it is for a test: with `Front::candidate_folder` in place of our own.
    ///
    /// # Errors
    /// The file cannot be read as the web server reads it.
    fn with_candidate(&self, main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError>;

    /// One of our files as it stands in `Front::candidate_folder`.
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
    fn fields(&self, settings: &FrontSettings) -> Result<Value, SiteError>;

    /// The filters as configuration, below the folder `filters` of our own configuration folder: always the same files, also
    /// if there is no rule.
    ///
    /// # Errors
    /// A list is missing, a rule cannot be followed, or the folder's name cannot be written down.
    fn render_filters(&self, filters: &Filters, lists: &Lists, folder: &Path) -> RenderedFilters;
}

/// The files of filters, or why there can be none.
pub type RenderedFilters = Result<Vec<FilterFile>, FilterFileError>;
