//! Finds the certificate that another ACME client keeps for a host name, by the places where its FreeBSD port puts it.
//!
//! Sources, in freebsd-ports unless said otherwise:
//!
//! - acme.sh: `security/acme.sh` installs into `/var/db/acme`; `files/account.conf.sample` sets `CERT_HOME` to
//!   `/var/db/acme/certs`, and `pkg-message` runs it with `--home /var/db/acme/.acme.sh`, which is where the files lie without
//!   an account.conf. Run by root from a checkout it uses `~/.acme.sh`. A folder a name, `HOST_ecc` for an EC key, in it
//!   `fullchain.cer` and `HOST.key` (`_initpath()` in acme.sh).
//! - certbot: `security/py-certbot` patches the configuration folder to `/usr/local/etc/letsencrypt`; `live/HOST/` holds links
//!   named `fullchain.pem` and `privkey.pem`.
//! - dehydrated: `security/dehydrated` has its configuration in `/usr/local/etc/dehydrated`, which is its `BASEDIR`, and
//!   `CERTDIR` is `${BASEDIR}/certs` (`docs/examples/config` of dehydrated).
//! - lego: `security/lego`, `files/lego.yml.sample` and, before version 5, `lego.sh.sample`: `/usr/local/etc/ssl/lego`; without
//!   `--path`, `.lego` in the folder it is started in. `certificates/HOST.crt` holds the chain.
//! - uacme: uacme(1) of the port: `/usr/local/etc/ssl/uacme`, with `HOST/cert.pem` and
//!   `private/HOST/key.pem`.

use std::path::{Path, PathBuf};

use crate::deployment::HostName;
use crate::host::{HostError, Observe};

/// An ACME client that keeps files of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// acme.sh.
    AcmeSh,
    /// certbot.
    Certbot,
    /// dehydrated.
    Dehydrated,
    /// lego.
    Lego,
    /// uacme.
    Uacme,
}

impl Client {
    /// The name that it is known by.
    pub fn name(self) -> &'static str {
        match self {
            Self::AcmeSh => "acme.sh",
            Self::Certbot => "certbot",
            Self::Dehydrated => "dehydrated",
            Self::Lego => "lego",
            Self::Uacme => "uacme",
        }
    }
}

/// Files of another client for one host name. At least one of the two exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose they are.
    pub client: Client,
    /// The certificate with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whether both are there. If not, the client has been set up but has not got its certificate, or has been tidied away.
    pub complete: bool,
}

/// Every certificate for `host` that another client keeps, in a fixed order. More than one is possible (two clients, or an EC
/// and an RSA certificate): which one serves is the administrator's to say.
///
/// # Errors
/// A folder or file is there but cannot be looked at.
pub fn find(observe: &dyn Observe, host: &HostName) -> Result<Vec<Found>, HostError> {
    let home = observe.user("root")?.map_or_else(|| PathBuf::from("/root"), |root| root.home);
    let mut found = Vec::new();
    for (client, certificate, key) in places(host.as_str(), &home) {
        let has_certificate = exists(observe, &certificate)?;
        let has_key = exists(observe, &key)?;
        if has_certificate || has_key {
            found.push(Found { client, certificate, key, complete: has_certificate && has_key });
        }
    }
    Ok(found)
}

/// Where each client would have the certificate and the key of `host`.
fn places(host: &str, root_home: &Path) -> Vec<(Client, PathBuf, PathBuf)> {
    let mut places = Vec::new();
    let root_acme = root_home.join(".acme.sh");
    for base in [Path::new("/var/db/acme/certs"), Path::new("/var/db/acme/.acme.sh"), &root_acme] {
        for folder in [format!("{host}_ecc"), host.to_owned()] {
            let folder = base.join(folder);
            places.push((Client::AcmeSh, folder.join("fullchain.cer"), folder.join(format!("{host}.key"))));
        }
    }
    let live = Path::new("/usr/local/etc/letsencrypt/live").join(host);
    places.push((Client::Certbot, live.join("fullchain.pem"), live.join("privkey.pem")));
    let certs = Path::new("/usr/local/etc/dehydrated/certs").join(host);
    places.push((Client::Dehydrated, certs.join("fullchain.pem"), certs.join("privkey.pem")));
    let root_lego = root_home.join(".lego");
    for base in [Path::new("/usr/local/etc/ssl/lego"), &root_lego] {
        let folder = base.join("certificates");
        places.push((Client::Lego, folder.join(format!("{host}.crt")), folder.join(format!("{host}.key"))));
    }
    let uacme = Path::new("/usr/local/etc/ssl/uacme");
    places.push((Client::Uacme, uacme.join(host).join("cert.pem"), uacme.join("private").join(host).join("key.pem")));
    places
}

/// Whether there is a file, links followed. Of a key no byte is read.
fn exists(observe: &dyn Observe, path: &Path) -> Result<bool, HostError> {
    Ok(observe.read_from(path, 0, 0)?.is_some())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, Owner};

    struct Place {
        _folder: tempfile::TempDir,
        host: Rehearsal,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let host = Rehearsal::open(folder.path().join("root")).unwrap();
            Self { _folder: folder, host }
        }

        /// Writes a file, with the folders above it.
        fn write(&self, path: &str) {
            let path = Path::new(path);
            let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
            above.reverse();
            for folder in above {
                if self.host.entry(folder).unwrap().is_none() {
                    self.host.make_directory(folder, 0o755, Owner::ROOT).unwrap();
                }
            }
            self.host.write_file(path, b"x", 0o600, Owner::ROOT).unwrap();
        }

        fn find(&self) -> Vec<Found> {
            find(&self.host, &"social.example.org".parse().unwrap()).unwrap()
        }
    }

    #[test]
    fn nobody_keeps_one_on_a_fresh_host() {
        assert_eq!(Place::new().find(), []);
    }

    #[test]
    fn each_client_is_found_at_its_places() {
        for (client, certificate, key) in [
            ("acme.sh", "/var/db/acme/certs/HOST/fullchain.cer", "/var/db/acme/certs/HOST/HOST.key"),
            ("acme.sh", "/var/db/acme/certs/HOST_ecc/fullchain.cer", "/var/db/acme/certs/HOST_ecc/HOST.key"),
            ("acme.sh", "/var/db/acme/.acme.sh/HOST_ecc/fullchain.cer", "/var/db/acme/.acme.sh/HOST_ecc/HOST.key"),
            ("acme.sh", "/root/.acme.sh/HOST_ecc/fullchain.cer", "/root/.acme.sh/HOST_ecc/HOST.key"),
            ("acme.sh", "/root/.acme.sh/HOST/fullchain.cer", "/root/.acme.sh/HOST/HOST.key"),
            (
                "certbot",
                "/usr/local/etc/letsencrypt/live/HOST/fullchain.pem",
                "/usr/local/etc/letsencrypt/live/HOST/privkey.pem",
            ),
            (
                "dehydrated",
                "/usr/local/etc/dehydrated/certs/HOST/fullchain.pem",
                "/usr/local/etc/dehydrated/certs/HOST/privkey.pem",
            ),
            ("lego", "/usr/local/etc/ssl/lego/certificates/HOST.crt", "/usr/local/etc/ssl/lego/certificates/HOST.key"),
            ("lego", "/root/.lego/certificates/HOST.crt", "/root/.lego/certificates/HOST.key"),
            ("uacme", "/usr/local/etc/ssl/uacme/HOST/cert.pem", "/usr/local/etc/ssl/uacme/private/HOST/key.pem"),
        ] {
            let [certificate, key] = [certificate, key].map(|path| path.replace("HOST", "social.example.org"));
            let place = Place::new();
            place.write(&certificate);
            let half = place.find();
            assert_eq!(half.len(), 1, "{certificate}");
            assert_eq!((half[0].client.name(), half[0].complete), (client, false));
            place.write(&key);
            let whole = place.find();
            assert_eq!(whole.len(), 1);
            assert!(whole[0].complete);
            assert_eq!((whole[0].certificate.to_str(), whole[0].key.to_str()), (Some(&*certificate), Some(&*key)));
        }
    }

    #[test]
    fn another_host_is_none_of_our_business() {
        let place = Place::new();
        place.write("/usr/local/etc/letsencrypt/live/example.org/fullchain.pem");
        place.write("/usr/local/etc/letsencrypt/live/example.org/privkey.pem");
        assert_eq!(place.find(), []);
    }

    #[test]
    fn certbots_links_count_where_they_lead_somewhere() {
        let place = Place::new();
        place.write("/usr/local/etc/letsencrypt/live/social.example.org/README");
        let live = Path::new("/usr/local/etc/letsencrypt/live/social.example.org");
        let target = "../../archive/social.example.org/fullchain1.pem";
        place.host.make_symlink(&live.join("fullchain.pem"), Path::new(target)).unwrap();
        assert_eq!(place.find(), [], "a link that leads nowhere is no certificate");
        place.write("/usr/local/etc/letsencrypt/archive/social.example.org/fullchain1.pem");
        place.write("/usr/local/etc/letsencrypt/live/social.example.org/privkey.pem");
        assert!(place.find()[0].complete);
    }
}
