//! What a host tells of an answer beforehand: where the name leads, who has the ports.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::conversation::{Outlook, Remark};
use crate::check::{Check, Status, preflight};
use crate::deployment::{EmailAddress, HostName, Mode};
use crate::host::Observe;
use crate::parts::front;

/// Domains that nobody has mail at (RFC 2606 and RFC 6761), so Let's Encrypt refuses them as a contact.
const NO_MAIL: [&str; 7] = ["example.org", "example.com", "example.net", "example", "test", "invalid", "localhost"];

/// What is seen from this host.
pub struct Seen<'a> {
    /// The host.
    pub host: &'a dyn Observe,
}

impl Outlook for Seen<'_> {
    fn look(&self, key: &str, value: &str) -> Vec<Remark> {
        match key {
            "host" => value.parse().map(|name: HostName| self.name(&name)).unwrap_or_default(),
            "exposure.mode" => self.ports(value),
            "tls.certificate" | "tls.key" => self.file(value),
            "tls.email" => value.parse().map(|address: EmailAddress| mail(&address)).unwrap_or_default(),
            _ => Vec::new(),
        }
    }
}

impl Seen<'_> {
    fn name(&self, name: &HostName) -> Vec<Remark> {
        // What cannot be looked up now the preflight tells.
        preflight::name(self.host, name).map(|checks| remarks(&checks)).unwrap_or_default()
    }

    fn file(&self, path: &str) -> Vec<Remark> {
        // A folder that cannot be looked into is told with the plan.
        let missing = matches!(self.host.entry(Path::new(path)), Ok(None));
        let remark = || Remark { grave: true, text: format!("{path} is not there on this host.") };
        missing.then(remark).into_iter().collect()
    }

    fn ports(&self, mode: &str) -> Vec<Remark> {
        let Some((_, mode)) = Mode::all().find(|(word, _)| *word == mode) else { return Vec::new() };
        let every = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let checks = preflight::ports(self.host, mode, &front::PORTS, every).unwrap_or_default();
        let taken: Vec<Check> = checks.into_iter().filter(|check| check.status == Status::Fail).collect();
        // That somebody has a port is no reason to ask again: it can be freed before the yes, and the preflight looks once more.
        remarks(&taken).into_iter().map(|remark| Remark { grave: false, text: remark.text }).collect()
    }
}

/// What is not as it should be. Of these only another server at the name is grave.
fn remarks(checks: &[Check]) -> Vec<Remark> {
    checks
        .iter()
        .filter(|check| matches!(check.status, Status::Warn | Status::Fail))
        .map(|check| {
            let text = if check.name.starts_with("port ") {
                format!("{} is {}", check.name, check.detail)
            } else {
                check.detail.clone()
            };
            Remark { grave: check.status == Status::Fail, text: format!("{}.", text.trim_end_matches('.')) }
        })
        .collect()
}

fn mail(address: &EmailAddress) -> Vec<Remark> {
    let domain = address.as_str().rsplit('@').next().unwrap_or_default();
    let reserved = NO_MAIL.iter().any(|name| domain == *name || domain.ends_with(&format!(".{name}")));
    let remark = || Remark {
        grave: false,
        text: format!(
            "{domain} is for examples only: Let's Encrypt refuses such an address, and no mail arrives there."
        ),
    };
    reserved.then(remark).into_iter().collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;

    #[test]
    fn a_fresh_host_has_nothing_to_say_against_what_is_right() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let seen = Seen { host: &host };
        assert_eq!(seen.look("exposure.mode", "direct"), []);
        assert_eq!(seen.look("exposure.mode", "nginx"), []);
        assert_eq!(seen.look("tls.email", "admin@my-domain.net"), []);
        assert_eq!(seen.look("database.type", "sqlite"), []);
        assert_eq!(seen.look("host", "social.example.org"), []);
        assert_eq!(seen.look("tls.key", "/etc/rc.conf"), []);
    }

    #[test]
    fn a_file_that_is_not_there_is_asked_about() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        for key in ["tls.certificate", "tls.key"] {
            let remarks = Seen { host: &host }.look(key, "/usr/local/etc/ssl/none.pem");
            assert!(matches!(&remarks[..], [Remark { grave: true, text }] if text.contains("none.pem is not there")));
        }
    }

    #[test]
    fn addresses_for_examples_are_remarked_upon() {
        for address in ["a@example.org", "a@b.example.com", "a@b.test"] {
            assert_eq!(mail(&address.parse().unwrap()).len(), 1, "{address}");
        }
        for address in ["a@myexample.org", "a@example.de"] {
            assert_eq!(mail(&address.parse().unwrap()), [], "{address}");
        }
    }
}
