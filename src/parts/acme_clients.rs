//! Finds the certificate that another ACME client keeps for a host name, by the places where its FreeBSD port puts it.
//!
//! Sources, in freebsd-ports unless another is named:
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
use crate::front::Certificate;
use crate::host::{HostError, Observe, Whose};

/// Each client, a folder of its own (`~` is root's home), and in it the certificate and the key of HOST.
const PLACES: [(&str, &str, &str, &str); 11] = [
    ("acme.sh", "/var/db/acme/certs/HOST_ecc", "fullchain.cer", "HOST.key"),
    ("acme.sh", "/var/db/acme/certs/HOST", "fullchain.cer", "HOST.key"),
    ("acme.sh", "/var/db/acme/.acme.sh/HOST_ecc", "fullchain.cer", "HOST.key"),
    ("acme.sh", "/var/db/acme/.acme.sh/HOST", "fullchain.cer", "HOST.key"),
    ("acme.sh", "~/.acme.sh/HOST_ecc", "fullchain.cer", "HOST.key"),
    ("acme.sh", "~/.acme.sh/HOST", "fullchain.cer", "HOST.key"),
    ("certbot", "/usr/local/etc/letsencrypt/live/HOST", "fullchain.pem", "privkey.pem"),
    ("dehydrated", "/usr/local/etc/dehydrated/certs/HOST", "fullchain.pem", "privkey.pem"),
    ("lego", "/usr/local/etc/ssl/lego/certificates", "HOST.crt", "HOST.key"),
    ("lego", "~/.lego/certificates", "HOST.crt", "HOST.key"),
    ("uacme", "/usr/local/etc/ssl/uacme", "HOST/cert.pem", "private/HOST/key.pem"),
];

/// Every certificate with its key that another client keeps for `name`, with that client's name, in a fixed order. Several are
/// possible: two clients, or an EC and an RSA certificate.
///
/// # Errors
/// A folder or file cannot be looked at; or one is refused, and nothing is found elsewhere.
pub fn find(host: &dyn Observe, name: &HostName) -> Result<Vec<(&'static str, Certificate)>, HostError> {
    let home = host.user("root")?.map_or_else(|| PathBuf::from("/root"), |root| root.home);
    let (mut found, mut refused) = (Vec::new(), None);
    let is_there = |path: &Path| host.read_from(path, Whose::Folder, 0, 0).map(|bytes| bytes.is_some());
    for (client, folder, chain, key) in PLACES {
        let own = |path: &str| path.replace("HOST", name.as_str());
        let folder = match folder.strip_prefix("~/") {
            Some(below) => home.join(own(below)),
            None => own(folder).into(),
        };
        let files = Certificate { chain: folder.join(own(chain)), key: folder.join(own(key)) };
        // Both are looked for through links, and no byte of the key is read.
        match is_there(&files.chain).and_then(|chain| Ok(chain && is_there(&files.key)?)) {
            Ok(true) => found.push((client, files)),
            Ok(false) => {}
            // One client's user must not stop what another client keeps.
            Err(error) if error.refusal().is_some() => {
                refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    refused.filter(|_| found.is_empty()).map_or(Ok(found), Err)
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

        fn find(&self) -> Vec<(&'static str, Certificate)> {
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
            assert_eq!(place.find(), [], "a client that has no key yet");
            place.write(&key);
            assert_eq!(place.find(), [(client, Certificate { chain: certificate.into(), key: key.into() })]);
        }
    }

    #[test]
    fn a_refused_file_does_not_stop_the_other_places() {
        let place = Place::new();
        let name = "social.example.org";
        for file in ["fullchain.cer".to_owned(), format!("{name}.key")] {
            place.write(&format!("/var/db/acme/certs/{name}/{file}"));
        }
        // The files are root's, in a folder of somebody else's.
        let owner = Owner { uid: 169, gid: 169 };
        let folder = format!("/var/db/acme/certs/{name}");
        place.host.make_directory(Path::new(&folder), 0o755, owner).unwrap();
        let refused = find(&place.host, &name.parse().unwrap()).unwrap_err();
        assert!(refused.to_string().contains("belongs to uid 0"), "{refused}");
        for file in ["fullchain.pem", "privkey.pem"] {
            place.write(&format!("/usr/local/etc/letsencrypt/live/{name}/{file}"));
        }
        assert_eq!(place.find().iter().map(|(client, _)| *client).collect::<Vec<_>>(), ["certbot"]);
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
        assert_eq!(place.find().len(), 1);
    }
}
