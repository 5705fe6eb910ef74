//! What is known of a web server, and what it can do. All functions fail where the configuration cannot be read as the web
//! server reads it.

use std::path::Path;

use semver::Version;
use serde_json::Value;

use super::config_files::{ConfigError, ConfigFiles};
use super::filters::RenderedFilters;
use super::settings::FrontSettings;
use super::site::{Served, Survey, Wanted};
use crate::filter::{Filters, Lists};
use crate::templates::Template;

/// What is known of a web server.
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
    /// The account that those of its processes run as that serve, unless its configuration names another.
    pub account: &'static str,
    /// The account that the configuration names; `None` also where that cannot be read. `#80` is a number.
    pub configured_account: fn(&Path, &dyn ConfigFiles) -> Option<String>,
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
    /// The signal upon which the first process reads its configuration again, and drops no connection.
    pub reload_signal: &'static str,
    /// A configuration with which it starts and takes no port that anybody wants: made of the main file, with a port of
    /// loopback that is free for one that must listen somewhere.
    pub standby: fn(&[u8], u16) -> Vec<u8>,
    /// Where it logs requests for the instance, and what went wrong with them.
    pub logs: [&'static str; 2],
    /// Where its modules lie, if it loads any.
    pub modules: &'static str,
    /// The oldest version that the configuration works with.
    pub oldest: Version,
    /// A version that FreeBSD's packages surely have: for plans before the package is there.
    pub packaged: Version,
    /// Whether it reads certificates and keys when it tests a configuration, and goes on with what it has if a reload fails.
    pub careful: bool,
    /// Our site.
    pub site_template: Template,
    /// The TLS settings, which the site includes.
    pub tls_template: Template,
    /// The main file with what makes the web server read our site; the very same text if nothing is missing.
    pub with_site: fn(&Path, &[u8], &dyn ConfigFiles) -> Edited,
    /// The main file without what [`Facts::with_site`] has put in, byte for byte as it was.
    pub without_site: fn(&Path, &[u8]) -> Edited,
    /// A main file that has our site, as it is for a test: with `Front::candidate_folder` in place of our own.
    pub with_candidate: fn(&Path, &[u8]) -> Edited,
    /// One of our files as it stands in `Front::candidate_folder`.
    pub as_candidate: fn(String) -> String,
    /// What the web server would serve; with `true`, as its own test of a candidate sees it.
    pub served: fn(&Path, &dyn ConfigFiles, bool) -> Result<Served, ConfigError>,
    /// What else than our site stands in the configuration, as far as it is in our way.
    pub survey: fn(&Path, &dyn ConfigFiles, &Wanted<'_>) -> Result<Survey, ConfigError>,
    /// Adds the fields of the templates that are this web server's alone. Refuses a path that cannot be written down safely.
    pub fields: fn(&FrontSettings, &mut Value) -> Result<(), String>,
    /// The filters as configuration, below the folder `filters` of our own configuration folder: always the same files, also
    /// if there is no rule. Refused where a list is missing, a rule cannot be followed, or the folder's name cannot be
    /// written down.
    pub filters: fn(&Filters, &Lists, &Path) -> RenderedFilters,
}

/// A main file as it is after an edit.
type Edited = Result<Vec<u8>, ConfigError>;

/// Reads the version of a package, or what the program says itself. What the packager adds is left out: FreeBSD's revision
/// and epoch (`1.26.2_1,3`, see the Porter's Handbook, 5.2), or Debian's revision (`1.22.1-9+deb12u4`).
///
/// # Errors
/// In words: the text does not begin like a version.
pub fn version(text: &str) -> Result<Version, String> {
    let numbers = text.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap_or_default();
    let patch = if numbers.matches('.').count() == 1 { ".0" } else { "" };
    Version::parse(&format!("{numbers}{patch}")).map_err(|_| {
        format!(
            "{text:?} is not the version of a web server: it should begin like 1.26.2 or 2.4.62. Look at what the package \
             manager says of the package, and report it"
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_packages_are_read() {
        for (text, expected) in [
            ("1.26.2,3", Version::new(1, 26, 2)),
            ("1.26.2_1,3", Version::new(1, 26, 2)),
            ("1.22.1-9+deb12u4", Version::new(1, 22, 1)),
            ("2.4.62", Version::new(2, 4, 62)),
            ("1.28", Version::new(1, 28, 0)),
        ] {
            assert_eq!(version(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "nginx", "1", "1.2.3.4", "1..2"] {
            let error = version(text).unwrap_err();
            assert!(error.contains("is not the version of a web server"), "{text}");
        }
    }
}
