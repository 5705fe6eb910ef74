//! What is wanted: a [`Deployment`], made of validated types.
//!
//! An administrator's [`Answers`] (a TOML file, `--set` on the command line, or the guided prompts) and
//! [`Secrets`] go in; a `Deployment` or every mistake at once comes out. Past this door nothing is a text that still
//! has to be checked. Nothing here reads or writes a file: texts in, texts out.

mod acme_directory;
mod answer_error;
mod answer_reader;
mod answers;
mod database;
mod email_address;
mod layout;
mod nearest;
mod passthrough;
mod release_wish;
mod schema;
mod secret;
mod secrets;
mod user_name;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Serialize, Serializer};

use crate::front::Front;
use crate::net::text_type;
pub use crate::net::{HostName, HostNameError, PortNumber};

pub use crate::gotosocial::ConfigValue;
pub use crate::gotosocial::config_keys::{SECRET_KEYS, environment_name};
pub use acme_directory::AcmeDirectory;
pub use answer_error::{AnswerError, AnswerPlace, AnswerProblem};
pub use answers::Answers;
pub use database::{Database, DatabaseAddress, TlsMode};
pub use email_address::EmailAddress;
pub use layout::Layout;
pub use nearest::nearest;
pub use passthrough::Passthrough;
pub use release_wish::{HexDigest, ReleaseWish, Variant, VersionWish};
pub use schema::{AnswerDefault, AnswerField, AnswerType, Condition, FIELDS};
pub use secret::Secret;
pub use secrets::{Secrets, secrets_file};
pub use user_name::UserName;

/// Everything that an administrator can decide about one instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Deployment {
    /// Where the instance is reached.
    pub host: HostName,
    /// The domain after the `@` in account names, if it differs: `host` itself or a parent of it. It can never
    /// be changed once the instance has run.
    pub account_domain: Option<HostName>,
    /// The program that listens on ports 80 and 443.
    pub exposure: Exposure,
    /// Where certificates come from.
    pub tls: Tls,
    /// Where posts and accounts are kept.
    pub database: Database,
    /// The first account, if the installer should make it.
    pub admin: Option<Admin>,
    /// Which release is wanted.
    pub release: ReleaseWish,
    /// Settings that go into `GoToSocial`'s own configuration as they are.
    pub config: Passthrough,
}

/// The program that listens on ports 80 and 443.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Exposure {
    /// The program that takes connections from the Internet.
    pub mode: Mode,
}

/// The program that takes connections from the Internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `GoToSocial` itself, with its own certificate from Let's Encrypt.
    Direct,
    /// A web server, which passes requests on to `GoToSocial`.
    Behind(Front),
}

impl Mode {
    /// Every mode, as written in the answers.
    pub fn all() -> impl Iterator<Item = (&'static str, Self)> {
        let modes = [Self::Direct].into_iter().chain(Front::ALL.into_iter().map(Self::Behind));
        modes.map(|mode| (mode.word(), mode))
    }

    /// Every mode, as written in the answers, with what speaks for it.
    pub const CHOICES: [(&'static str, &'static str); 1 + Front::ALL.len()] = {
        let mut choices = [("direct", "GoToSocial itself, with its own certificate"); 1 + Front::ALL.len()];
        let mut at = 0;
        while at < Front::ALL.len() {
            let front = Front::ALL[at];
            at += 1;
            choices[at] = (front.0.key, front.0.choice);
        }
        choices
    };

    /// The mode as it is written in the answers.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Behind(front) => front.0.key,
        }
    }

    /// The web server in front of `GoToSocial`.
    pub const fn front(self) -> Option<Front> {
        match self {
            Self::Direct => None,
            Self::Behind(front) => Some(front),
        }
    }

    /// Whether a web server is in front of `GoToSocial`.
    pub fn is_proxy(self) -> bool {
        self != Self::Direct
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// Where certificates come from. All but the mail address has a meaning only behind a web server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The contact of the ACME account. Answers that ask for direct mode always give one.
    pub email: Option<EmailAddress>,
    /// Files that the administrator keeps. Without them the certificate is ordered and renewed by this program, unless
    /// another ACME client has one.
    pub files: Option<TlsFiles>,
    /// Whether browsers are told to use https alone for two years (RFC 6797).
    pub hsts: bool,
    /// The directory of the ACME authority, where it is not Let's Encrypt's.
    pub acme_directory: Option<AcmeDirectory>,
}

/// A certificate and its key that the administrator keeps, as absolute paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsFiles {
    /// The certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
}

/// The first account of the instance, which becomes its administrator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Admin {
    /// The public user name, for ever.
    pub username: UserName,
    /// Where the server sends this account's mail; also its login.
    pub email: EmailAddress,
}

impl Deployment {
    /// The address on which `GoToSocial` listens: `bind-address` from the answers, or every address in direct mode and
    /// loopback behind a web server.
    pub fn bind_address(&self) -> IpAddr {
        let default = match self.exposure.mode {
            Mode::Direct => Ipv4Addr::UNSPECIFIED,
            Mode::Behind(_) => Ipv4Addr::LOCALHOST,
        };
        self.config.bind_address().unwrap_or(IpAddr::V4(default))
    }

    /// The port on which `GoToSocial` serves the instance.
    pub fn port(&self) -> PortNumber {
        match self.exposure.mode {
            Mode::Direct => PortNumber::HTTPS,
            Mode::Behind(_) => PortNumber::BEHIND_PROXY,
        }
    }

    /// The port on which `GoToSocial` answers ACME challenges and redirects to https; none behind a web server.
    pub fn letsencrypt_port(&self) -> Option<PortNumber> {
        match self.exposure.mode {
            Mode::Direct => Some(PortNumber::HTTP),
            Mode::Behind(_) => None,
        }
    }

    /// Where a program on the same machine reaches `GoToSocial`: the bind address, or loopback of the same family
    /// where it listens on every address.
    pub fn local_address(&self) -> SocketAddr {
        let address = match self.bind_address() {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address => address,
        };
        SocketAddr::new(address, self.port().get())
    }

    /// The domain after the `@` in account names.
    pub fn effective_account_domain(&self) -> &HostName {
        self.account_domain.as_ref().unwrap_or(&self.host)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn deployment(answers: &str) -> Deployment {
        Answers::parse(answers, "t").unwrap().deployment(&Secrets::default()).unwrap()
    }

    #[test]
    fn direct_mode_listens_to_the_world() {
        let direct = deployment("host = \"a.example\"\ntls.email = \"a@b.example\"");
        assert_eq!(direct.bind_address(), IpAddr::from([0, 0, 0, 0]));
        assert_eq!((direct.port(), direct.letsencrypt_port()), (PortNumber::HTTPS, Some(PortNumber::HTTP)));
        assert_eq!(direct.local_address().to_string(), "127.0.0.1:443");
        assert_eq!(direct.effective_account_domain().as_str(), "a.example");
        assert!(!direct.exposure.mode.is_proxy());
    }

    #[test]
    fn proxy_mode_listens_to_the_machine() {
        let proxied = deployment("host = \"s.a.example\"\naccount-domain = \"a.example\"\nexposure.mode = \"nginx\"");
        assert_eq!(proxied.bind_address(), IpAddr::from([127, 0, 0, 1]));
        assert_eq!((proxied.port(), proxied.letsencrypt_port()), (PortNumber::BEHIND_PROXY, None));
        assert_eq!(proxied.local_address().to_string(), "127.0.0.1:8080");
        assert_eq!(proxied.effective_account_domain().as_str(), "a.example");
        assert!(proxied.exposure.mode.is_proxy());
    }

    #[test]
    fn a_bind_address_of_ones_own_counts() {
        let six = |address: &str| {
            deployment(&format!("host = \"a.example\"\nexposure.mode = \"httpd\"\nconfig.bind-address = \"{address}\""))
                .local_address()
                .to_string()
        };
        assert_eq!(six("::"), "[::1]:8080");
        assert_eq!(six("[2001:db8::1]"), "[2001:db8::1]:8080");
        assert_eq!(six("192.0.2.7"), "192.0.2.7:8080");
    }

    #[test]
    fn a_serialised_deployment_shows_no_secret() {
        let secrets = Secrets::parse("db-password = \"hunter2\"", "s").unwrap();
        let answers = "host = \"a.example\"\nexposure.mode = \"httpd\"\ndatabase.type = \"postgres\"";
        let deployment = Answers::parse(answers, "t").unwrap().deployment(&secrets).unwrap();
        let shown = format!("{deployment:?} {}", serde_json::to_string(&deployment).unwrap());
        assert!(!shown.contains("hunter2") && shown.contains("(hidden)"), "{shown}");
    }
}
