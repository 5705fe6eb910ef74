//! What the host shows of an answer before it is used: what the name resolves to, which programs own the ports.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::conversation::Remark;
use crate::check::{Check, Status, preflight};
use crate::deployment::Mode;
use crate::host::Observe;
use crate::parts::front;

/// Domains that have no mail (RFC 2606 and RFC 6761), so Let's Encrypt refuses them as a contact.
const NO_MAIL: [&str; 7] = ["example.org", "example.com", "example.net", "example", "test", "invalid", "localhost"];

/// What this host shows of an answer that is valid in itself.
pub fn look(host: &dyn Observe, key: &str, value: &str) -> Vec<Remark> {
    match key {
        // What cannot be looked up now, the preflight reports.
        "host" => {
            let checks = value.parse().ok().and_then(|name| preflight::name(host, &name).ok());
            checks.iter().flatten().filter_map(remark).collect()
        }
        "exposure.mode" => ports(host, value),
        // What is in a folder that cannot be read is reported with the plan.
        "tls.certificate" | "tls.key" if matches!(host.entry(Path::new(value)), Ok(None)) => {
            vec![Remark { grave: true, text: format!("{value} is not there on this host.") }]
        }
        "tls.email" => mail(value),
        _ => Vec::new(),
    }
}

fn ports(host: &dyn Observe, mode: &str) -> Vec<Remark> {
    let Some((_, mode)) = Mode::all().find(|(word, _)| *word == mode) else { return Vec::new() };
    let every = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let checks = preflight::ports(host, mode, &front::PORTS, every).unwrap_or_default();
    let taken = checks.iter().filter(|check| check.status == Status::Fail).filter_map(remark);
    // A port can be freed before the plan is confirmed, and the preflight looks again. So nothing is asked.
    taken.map(|remark| Remark { grave: false, ..remark }).collect()
}

/// What is not as it should be. If a check of the name fails, another server has that name, which is grave.
fn remark(check: &Check) -> Option<Remark> {
    let subject = if check.name.starts_with("port ") { format!("{} is ", check.name) } else { String::new() };
    let text = format!("{subject}{}.", check.detail.trim_end_matches('.'));
    let grave = check.status == Status::Fail;
    (grave || check.status == Status::Warn).then_some(Remark { grave, text })
}

fn mail(address: &str) -> Vec<Remark> {
    let domain = address.rsplit('@').next().unwrap_or_default().to_ascii_lowercase();
    if !NO_MAIL.iter().any(|name| domain == *name || domain.ends_with(&format!(".{name}"))) {
        return Vec::new();
    }
    let text =
        format!("{domain} is for examples only: Let's Encrypt refuses such an address, and no mail arrives there.");
    vec![Remark { grave: false, text }]
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
        let look = |key, value| look(&host, key, value);
        assert_eq!(look("exposure.mode", "direct"), []);
        assert_eq!(look("exposure.mode", "nginx"), []);
        assert_eq!(look("tls.email", "admin@my-domain.net"), []);
        assert_eq!(look("database.type", "sqlite"), []);
        assert_eq!(look("host", "social.example.org"), []);
        assert_eq!(look("tls.key", "/etc/rc.conf"), []);
    }

    #[test]
    fn a_file_that_is_not_there_is_asked_about() {
        let folder = tempfile::tempdir().unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        for key in ["tls.certificate", "tls.key"] {
            let remarks = look(&host, key, "/usr/local/etc/ssl/none.pem");
            assert!(matches!(&remarks[..], [Remark { grave: true, text }] if text.contains("none.pem is not there")));
        }
    }

    #[test]
    fn addresses_for_examples_are_remarked_upon() {
        for address in ["a@example.org", "a@b.example.com", "a@b.test"] {
            assert_eq!(mail(address).len(), 1, "{address}");
        }
        for address in ["a@myexample.org", "a@example.de"] {
            assert_eq!(mail(address), [], "{address}");
        }
    }
}
