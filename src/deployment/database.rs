//! [`Database`]: where posts and accounts are kept.

use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::secret::Secret;
use super::text_type::text_type;
use crate::net::PortNumber;

/// The database of an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Database {
    /// A file of `GoToSocial`'s own, see [`Layout::database`](super::Layout::database).
    Sqlite,
    /// A `PostgreSQL` server that exists already.
    Postgres {
        /// Where the server listens.
        address: DatabaseAddress,
        /// Its TCP port; for a socket folder, the number in the socket's name.
        port: PortNumber,
        /// The role that `GoToSocial` logs in as.
        user: String,
        /// The database in that server.
        database: String,
        /// The role's password; none where the server trusts the connection otherwise.
        password: Option<Secret>,
        /// Whether the connection is encrypted.
        tls_mode: TlsMode,
    },
}

/// `GoToSocial`'s `db-tls-mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TlsMode {
    /// No encryption: right on one machine.
    Disable,
    /// Encryption, but any certificate is taken.
    Enable,
    /// Encryption, and the certificate must be right.
    Require,
}

impl TlsMode {
    /// Every mode, as written in the answers and in `config.yaml`.
    pub const ALL: [(&'static str, Self); 3] =
        [("disable", Self::Disable), ("enable", Self::Enable), ("require", Self::Require)];

    /// The mode as `GoToSocial` takes it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// Where a `PostgreSQL` server listens: an IP address, a host name (a single word such as `localhost` or `db` will
/// do), or the absolute path of the folder with its socket, such as `/tmp`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DatabaseAddress(String);

text_type!(DatabaseAddress, String);

impl FromStr for DatabaseAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let path = text.starts_with('/') && !text.chars().any(char::is_control);
        // A last part of digits only would be a mistyped IPv4 address.
        let number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
        let name = text.len() <= 253 && !number && text.split('.').all(label);
        if path || name || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!(
                "{text:?} is not the address of a database server. Write an IP address without brackets or port, a host name, or the absolute path of its socket folder, like 127.0.0.1, db.example.org or /tmp; a port belongs into database.port"
            ))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn tls_modes_are_called_the_same_everywhere() {
        for (name, mode) in TlsMode::ALL {
            assert_eq!(mode.as_str(), name);
            assert_eq!(serde_json::to_string(&mode).unwrap(), format!("\"{name}\""));
        }
    }

    #[test]
    fn takes_addresses_names_and_socket_folders() {
        for text in ["127.0.0.1", "::1", "localhost", "db", "db-1.example.org", "/tmp", "/var/run/post gres"] {
            assert_eq!(text.parse::<DatabaseAddress>().unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_everything_else() {
        for text in [
            "",
            " ",
            "127.0.0.1:5432",
            "[::1]",
            "db:5432",
            "127.0.0.300",
            "postgres://u:p@db/x",
            "a..b",
            "-a",
            "a-",
            "tmp/x",
            "/tmp\n",
            "a b",
        ] {
            let error = text.parse::<DatabaseAddress>().unwrap_err();
            assert!(error.starts_with(&format!("{text:?} is not the address of a database server")), "{error}");
        }
    }
}
