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
mod web_server;
mod written;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use config_files::{ConfigError, ConfigFiles, ConfigPlace};
pub use filters::{FilterFile, FilterFileError};
pub use render::SiteFile;
pub use settings::{ACME_WEBROOT, AccountDomain, Certificate, FrontSettings, Logs};
use settings::{CANDIDATE_FOLDER, CANDIDATE_SITE, OWN_FOLDER};
pub use site::{Conflict, Listen, Served, Site, Socket, Survey, Wanted};
pub use version::{FrontVersion, FrontVersionError};
pub use web_server::{Facts, RenderedFilters, WebServer};
pub use written::SiteError;

use crate::net::{HostName, PortNumber};

/// A web server that can stand in front of `GoToSocial`. Its [`Facts`] are its fields.
#[derive(Clone, Copy)]
pub struct Front(&'static Facts);

impl Front {
    /// nginx.
    pub const NGINX: Self = Self(&nginx::FACTS);
    /// Apache httpd 2.4.
    pub const HTTPD: Self = Self(&httpd::FACTS);
    /// All, in the order in which they are offered and looked for.
    pub const ALL: [Self; 2] = [Self::NGINX, Self::HTTPD];

    /// [`Facts::key`].
    pub const fn key(self) -> &'static str {
        self.0.key
    }

    /// [`Facts::choice`].
    pub const fn choice(self) -> &'static str {
        self.0.choice
    }

    /// The one with this key.
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|front| front.key == key)
    }

    /// The rc variable that enables it.
    pub fn rc_variable(self) -> String {
        format!("{}_enable", self.service)
    }

    /// Its main configuration file.
    pub fn main_file(self) -> PathBuf {
        Path::new(self.folder).join(self.main)
    }

    /// The main file as the package has it.
    pub fn sample_file(self) -> PathBuf {
        Path::new(self.folder).join(format!("{}{}", self.main, self.sample))
    }

    /// Our site.
    pub fn site_file(self) -> PathBuf {
        Path::new(self.folder).join(self.site)
    }

    /// The folder of our own files.
    pub fn own_folder(self) -> PathBuf {
        Path::new(self.folder).join(OWN_FOLDER)
    }

    /// Our TLS settings. The ending keeps them out of what the main file includes.
    pub fn tls_file(self) -> PathBuf {
        self.own_folder().join("tls.inc")
    }

    /// The folder in which our files stand while they are tested.
    pub fn candidate_folder(self) -> PathBuf {
        Path::new(self.folder).join(CANDIDATE_FOLDER)
    }

    /// Our site while it is tested.
    pub fn candidate_site(self) -> PathBuf {
        self.candidate_folder().join(CANDIDATE_SITE)
    }

    /// Where a main file stands while it is tested: beside the real one, as includes are relative to its folder.
    pub fn candidate_file(self) -> PathBuf {
        Path::new(self.folder).join(format!("{CANDIDATE_FOLDER}.conf"))
    }

    /// The settings with its package from FreeBSD: without an account domain, without HSTS, media left to `GoToSocial`, and
    /// in need of a line that listens for https alone.
    pub fn settings(
        self,
        version: FrontVersion,
        host: HostName,
        certificate: Certificate,
        backend: SocketAddr,
        body_limit: u64,
        assets: PathBuf,
    ) -> FrontSettings {
        let [access, error] = self.logs.map(PathBuf::from);
        FrontSettings {
            host,
            account_domain: None,
            certificate,
            backend,
            body_limit,
            assets,
            media: None,
            acme_webroot: ACME_WEBROOT.into(),
            hsts: false,
            logs: Logs { access, error },
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            http_port: PortNumber::HTTP,
            https_port: PortNumber::HTTPS,
            folder: self.folder.into(),
            version,
            modules: self.modules.into(),
            missing_listens: vec![PortNumber::HTTPS],
        }
    }

    /// Our files: the TLS settings, and the site that includes them.
    ///
    /// # Errors
    /// [`SiteError`]: settings that no configuration can be made from, or a mistake in this program.
    pub fn render(self, settings: &FrontSettings) -> Result<Vec<SiteFile>, SiteError> {
        render::render(self.0, settings)
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
