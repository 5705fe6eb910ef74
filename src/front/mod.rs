//! The web server in front of `GoToSocial`: what is known of each, its configuration as text, and edits of what the
//! administrator has there.
//!
//! A [`Front`] is one of the web servers of [`Front::ALL`]. What they differ in stands in a folder each, which gives [`Facts`]:
//! data, and functions that read, edit and render. Nothing outside these folders asks which one it is. Nothing
//! here touches a file: texts go in and come out, and files are read by way of [`ConfigFiles`]. `docs/fronts.md` says what
//! the configuration does and why.

mod config_files;
mod filters;
mod httpd;
mod nginx;
mod render;
mod settings;
mod site;
mod web_server;

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::path::{Path, PathBuf};

use semver::Version;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use config_files::{ConfigError, ConfigFiles, ConfigPlace};
pub use filters::RenderedFilters;
pub use settings::{ACME_WEBROOT, AccountDomain, Certificate, FrontSettings};
use settings::{CANDIDATE_FOLDER, CANDIDATE_SITE, OWN_FOLDER};
pub use site::{Conflict, Listen, Served, Site, Socket, Survey, Wanted};
pub use web_server::{Facts, version};

use crate::net::{HostName, PortNumber};

/// A web server that can stand in front of `GoToSocial`. Its [`Facts`] are its fields.
#[derive(Clone, Copy)]
pub struct Front(pub(crate) &'static Facts);

impl Front {
    /// nginx.
    pub const NGINX: Self = Self(&nginx::FACTS);
    /// Apache httpd 2.4.
    pub const HTTPD: Self = Self(&httpd::FACTS);
    /// All, in the order in which they are offered and looked for.
    pub const ALL: [Self; 2] = [Self::NGINX, Self::HTTPD];

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
        version: Version,
        host: HostName,
        certificate: Certificate,
        backend: SocketAddr,
        body_limit: u64,
        assets: PathBuf,
    ) -> FrontSettings {
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
            logs: self.logs.map(PathBuf::from),
            addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            http_port: PortNumber::HTTP,
            https_port: PortNumber::HTTPS,
            folder: self.folder.into(),
            version,
            modules: self.modules.into(),
            missing_listens: vec![PortNumber::HTTPS],
        }
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
        let known = Self::ALL.map(|front| front.key).join(", ");
        let unknown = || D::Error::custom(format!("unknown web server {key}, expected one of {known}"));
        Self::of_key(&key).ok_or_else(unknown)
    }
}
