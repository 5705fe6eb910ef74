//! [`Layout`]: the paths of everything on the host.

use std::path::{Path, PathBuf};

use semver::Version;

/// The folders and files of an installation, as the host sees them (absolute, without any rehearsal folder before
/// them). The default follows hier(7): programs and configuration under `/usr/local`, data and logs under `/var`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Holds one folder for each installed version: `/usr/local/libexec/gotosocial`.
    pub releases: PathBuf,
    /// The command link: `/usr/local/bin/gotosocial`.
    pub command: PathBuf,
    /// The service account's folder: `/var/db/gotosocial`.
    pub data: PathBuf,
    /// Log files: `/var/log/gotosocial`.
    pub logs: PathBuf,
    /// `GoToSocial`'s own configuration: `/usr/local/etc/gotosocial/config.yaml`. The server needs the ending.
    pub config: PathBuf,
    /// What this program keeps about the deployment: `/usr/local/etc/gts-bootstrap`.
    pub records: PathBuf,
    /// Backups, root's alone: `/var/backups/gotosocial`.
    pub backups: PathBuf,
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            releases: "/usr/local/libexec/gotosocial".into(),
            command: "/usr/local/bin/gotosocial".into(),
            data: "/var/db/gotosocial".into(),
            logs: "/var/log/gotosocial".into(),
            config: "/usr/local/etc/gotosocial/config.yaml".into(),
            records: "/usr/local/etc/gts-bootstrap".into(),
            backups: "/var/backups/gotosocial".into(),
        }
    }
}

impl Layout {
    /// The folder of one version: `/usr/local/libexec/gotosocial/0.19.2`.
    pub fn release(&self, version: &Version) -> PathBuf {
        self.releases.join(version.to_string())
    }

    /// The link to the folder of the version in use: `/usr/local/libexec/gotosocial/current`. Program and web folder
    /// change together when it is switched.
    pub fn current(&self) -> PathBuf {
        self.releases.join("current")
    }

    /// The program of the version in use.
    pub fn program(&self) -> PathBuf {
        self.current().join("gotosocial")
    }

    /// The page templates of the version in use.
    pub fn web_templates(&self) -> PathBuf {
        self.current().join("web/template")
    }

    /// The pictures and style sheets of the version in use.
    pub fn web_assets(&self) -> PathBuf {
        self.current().join("web/assets")
    }

    /// Media and certificates: `/var/db/gotosocial/storage`.
    pub fn storage(&self) -> PathBuf {
        self.data.join("storage")
    }

    /// The certificates of the built-in Let's Encrypt client: `/var/db/gotosocial/storage/certs`.
    pub fn certs(&self) -> PathBuf {
        self.storage().join("certs")
    }

    /// The service's temporary folder: `/var/db/gotosocial/tmp`. Uploads of any size pass through it.
    pub fn tmp(&self) -> PathBuf {
        self.data.join("tmp")
    }

    /// The cache of compiled WebAssembly (`GTS_WAZERO_COMPILATION_CACHE`): `/var/db/gotosocial/wazero`.
    pub fn wazero(&self) -> PathBuf {
        self.data.join("wazero")
    }

    /// The `SQLite` database: `/var/db/gotosocial/sqlite.db`.
    pub fn database(&self) -> PathBuf {
        self.data.join("sqlite.db")
    }

    /// The folder of `GoToSocial`'s configuration: `/usr/local/etc/gotosocial`.
    pub fn config_folder(&self) -> PathBuf {
        self.config.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
    }

    /// The answers that the installation was made from: `/usr/local/etc/gts-bootstrap/deployment.toml`.
    pub fn answers(&self) -> PathBuf {
        self.records.join("deployment.toml")
    }

    /// The resolved release: `/usr/local/etc/gts-bootstrap/deployment.lock`.
    pub fn lock(&self) -> PathBuf {
        self.records.join("deployment.lock")
    }

    /// Certificates of a web server in front, and what belongs to their renewal: `/usr/local/etc/gts-bootstrap/tls`.
    pub fn tls(&self) -> PathBuf {
        self.records.join("tls")
    }

    /// The secrets beside the answers, mode 0600: `/usr/local/etc/gts-bootstrap/deployment.secrets.toml`.
    pub fn secrets(&self) -> PathBuf {
        super::secrets_file(&self.answers())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_what_the_documentation_says() {
        let layout = Layout::default();
        for (path, expected) in [
            (layout.release(&Version::new(0, 19, 2)), "/usr/local/libexec/gotosocial/0.19.2"),
            (layout.current(), "/usr/local/libexec/gotosocial/current"),
            (layout.program(), "/usr/local/libexec/gotosocial/current/gotosocial"),
            (layout.web_templates(), "/usr/local/libexec/gotosocial/current/web/template"),
            (layout.web_assets(), "/usr/local/libexec/gotosocial/current/web/assets"),
            (layout.command.clone(), "/usr/local/bin/gotosocial"),
            (layout.storage(), "/var/db/gotosocial/storage"),
            (layout.certs(), "/var/db/gotosocial/storage/certs"),
            (layout.tmp(), "/var/db/gotosocial/tmp"),
            (layout.wazero(), "/var/db/gotosocial/wazero"),
            (layout.database(), "/var/db/gotosocial/sqlite.db"),
            (layout.logs.clone(), "/var/log/gotosocial"),
            (layout.config.clone(), "/usr/local/etc/gotosocial/config.yaml"),
            (layout.config_folder(), "/usr/local/etc/gotosocial"),
            (layout.answers(), "/usr/local/etc/gts-bootstrap/deployment.toml"),
            (layout.lock(), "/usr/local/etc/gts-bootstrap/deployment.lock"),
            (layout.tls(), "/usr/local/etc/gts-bootstrap/tls"),
            (layout.secrets(), "/usr/local/etc/gts-bootstrap/deployment.secrets.toml"),
        ] {
            assert_eq!(path, PathBuf::from(expected));
        }
    }
}
