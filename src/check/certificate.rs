//! The certificate: one https request makes GoToSocial order it, then come its names and expiry.
//!
//! GoToSocial orders its certificate when the first TLS connection with the right name arrives. A certificate authority
//! counts failed orders, so the check makes that request once and explains its failure.

use std::net::IpAddr;
use std::time::Duration;

use super::{Check, Matter};
use crate::change::Readiness;
use crate::change::readiness::{FIRST_CERTIFICATE_TIMEOUT, log_since, log_size};
use crate::error_code::ErrorCode;
use crate::host::{Observe, ServedCertificate, WebFailure};

const CERTIFICATE: Matter<'static> = Matter("certificate", ErrorCode::Certificate);
/// What the server says for a minute after an order of its that failed. The reason is further up.
const FAILED_BEFORE: &str = "missing certificate";
/// GoToSocial renews 30 days before the end. Later than this, something prevents the renewal.
const RENEWAL_OVERDUE: u64 = 21 * 86_400;

/// Requests the certificate. The second value says whether the server can be queried over TLS.
pub fn check(host: &dyn Observe, readiness: &Readiness) -> (Check, bool) {
    let log_from = log_size(host, &readiness.log).unwrap_or_default();
    let mut request = readiness.request("/livez", FIRST_CERTIFICATE_TIMEOUT);
    match host.web(&request) {
        Ok(answer) => {
            let Some(certificate) = answer.certificate else {
                return (CERTIFICATE.warn("the server's certificate could not be read"), true);
            };
            request.verify = true;
            let trusted = host.web(&request).map(drop);
            (judge(&certificate, &readiness.host, host.now(), trusted), true)
        }
        Err(WebFailure::Refused) => (CERTIFICATE.fail("nothing listens for https: the server is not up"), false),
        Err(why) => {
            let mut log = logged_meanwhile(host, readiness, log_from);
            let local = readiness.address.ip();
            if reason(&log, local).is_some_and(|line| line.contains(FAILED_BEFORE)) {
                let order = failed_orders(&log_since(host, &readiness.log, 0));
                log = if reason(&order, local).is_some() { order } else { log };
            }
            (CERTIFICATE.fail(failure(&why, &log, &readiness.host, local)), false)
        }
    }
}

/// What the server has logged since, once the log mentions our connection. The server sends the alert first and logs
/// the reason after it, through its supervisor's pipe.
fn logged_meanwhile(host: &dyn Observe, readiness: &Readiness, from: u64) -> String {
    const LOOKS: u32 = 10;
    let mut log = log_since(host, &readiness.log, from);
    for _ in 1..LOOKS {
        if reason(&log, readiness.address.ip()).is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
        log = log_since(host, &readiness.log, from);
    }
    log
}

/// A log without the handshakes that came to no order.
fn failed_orders(log: &str) -> String {
    let without = [FAILED_BEFORE, "HostWhitelist", "missing server name"];
    let lines = log.lines().filter(|line| !without.iter().any(|words| line.contains(words)));
    lines.collect::<Vec<_>>().join("\n")
}

/// The newest line of a log that gives the reason why our connection failed.
fn reason(log: &str, local: IpAddr) -> Option<&str> {
    // On a port that faces the internet other clients' connections fail all day: only ours counts.
    let ours = [format!("from {local}:"), format!("from [{local}]:")];
    log.lines().rev().find(|line| line.contains("acme") || ours.iter().any(|ours| line.contains(ours)))
}

/// Judges names, expiry and trust of a served certificate.
pub(super) fn judge(certificate: &ServedCertificate, host: &str, now: u64, trusted: Result<(), WebFailure>) -> Check {
    let left = certificate.not_after.saturating_sub(now);
    let (names, issuer, days) = (certificate.names.join(", "), &certificate.issuer, left / 86_400);
    let summary = format!("for {names}, by {issuer}, valid for {days} more days");
    if !certificate.names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        CERTIFICATE.fail(format!("{summary}: it is not for {host}"))
    } else if left == 0 {
        CERTIFICATE.fail(format!("{summary}: it has expired; the server's log says why it was not renewed"))
    } else if left < RENEWAL_OVERDUE {
        CERTIFICATE.warn(format!("{summary}: its renewal is overdue; the server's log says why"))
    } else if let Err(why) = trusted {
        CERTIFICATE.warn(format!("{summary}, but this host does not trust it ({why})"))
    } else {
        CERTIFICATE.pass(summary)
    }
}

/// Why there is no certificate, from what the server logged meanwhile.
fn failure(why: &WebFailure, log: &str, host: &str, local: IpAddr) -> String {
    let said = reason(log, local).unwrap_or_default().to_ascii_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| said.contains(word));
    let cause = if any(&["ratelimited", "rate limit", "too many", "429"]) {
        format!(
            "Let's Encrypt refuses for now because of too many orders or failures (rate limit). Wait the hour, or the days, \
             that its message in the log names; do not try {host} again and again"
        )
    } else if any(&["dial tcp", "acme-v02", "no such host", "network is unreachable"])
        && !any(&["urn:ietf:params:acme:error"])
    {
        "this host cannot reach Let's Encrypt (acme-v02.api.letsencrypt.org, port 443): look at its resolver, route and \
         firewall"
            .to_owned()
    } else if any(&["nxdomain", "no valid a records", "no valid ip", ":dns", "dns problem"]) {
        format!(
            "Let's Encrypt finds no address for {host}: make its A and AAAA records point to this host, and wait until they do"
        )
    } else if any(&["connection refused", "timeout during connect", "connection reset", ":connection", "firewall"]) {
        format!(
            "Let's Encrypt cannot reach {host} from outside: ports 80 and 443 must be open to this host in its firewall, its \
             provider's firewall and the router, over IPv6 too if {host} has an AAAA record"
        )
    } else if any(&["unauthorized", "403"]) {
        format!("Let's Encrypt was answered by another server: {host} does not point (only) to this host")
    } else if any(&[FAILED_BEFORE]) {
        "the server has tried a moment ago and failed, and waits a minute before it tries again; the reason is further up in its \
         log. Fix it and wait the minute"
            .to_owned()
    } else if any(&["permission denied"]) {
        "the server cannot write its certificate folder; run `gts-bootstrap install` to put its owner right".to_owned()
    } else {
        format!("the server did not get one ({why}); its log says more")
    };
    format!("there is no certificate yet: {cause}. Then run `gts-bootstrap check`, which requests it again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Status;

    fn served(days: u64) -> ServedCertificate {
        ServedCertificate {
            names: vec!["a.example".into()],
            issuer: "R10".into(),
            not_after: 1000 + days * 86_400,
            sha256: "ab".repeat(32),
        }
    }

    #[test]
    fn names_expiry_and_trust_are_judged() {
        assert_eq!(judge(&served(80), "a.example", 1000, Ok(())).status, Status::Pass);
        assert_eq!(judge(&served(80), "b.example", 1000, Ok(())).status, Status::Fail);
        assert_eq!(judge(&served(0), "a.example", 1000, Ok(())).status, Status::Fail);
        assert_eq!(judge(&served(20), "a.example", 1000, Ok(())).status, Status::Warn);
        let untrusted = judge(&served(80), "a.example", 1000, Err(WebFailure::Tls("unknown issuer".into())));
        assert_eq!(untrusted.status, Status::Warn);
        assert!(untrusted.detail.contains("unknown issuer"));
    }

    #[test]
    fn failures_of_the_authority_are_told_in_words() {
        let why = WebFailure::Tls("internal error".into());
        for (log, word) in [
            (
                "http: TLS handshake error from 127.0.0.1:1: 429 urn:ietf:params:acme:error:rateLimited: too many",
                "rate limit",
            ),
            ("TLS handshake error: acme/autocert: urn:ietf:params:acme:error:dns: DNS problem: NXDOMAIN", "no address"),
            (
                "TLS handshake error: acme: urn:ietf:params:acme:error:connection: Timeout during connect (likely firewall problem)",
                "from outside",
            ),
            (
                "TLS handshake error from 127.0.0.1: Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: i/o timeout",
                "cannot reach Let's Encrypt",
            ),
            ("http: TLS handshake error from 203.0.113.99:4711: permission denied", "its log says more"),
            ("TLS handshake error: 403 urn:ietf:params:acme:error:unauthorized: Invalid response", "another server"),
            ("http: TLS handshake error from [::1]:1: acme/autocert: missing certificate", "waits a minute"),
            ("TLS handshake error from 127.0.0.1:7: mkdir /x: permission denied", "cannot write"),
            ("", "internal error"),
        ] {
            let text = failure(&why, log, "a.example", IpAddr::from([127, 0, 0, 1]));
            assert!(text.contains(word), "{log}: {text}");
        }
    }

    #[test]
    fn an_order_that_failed_a_moment_ago_is_explained_by_its_own_line() {
        let order = "TLS handshake error from 127.0.0.1:1: 429 urn:ietf:params:acme:error:rateLimited: too many";
        let scan = "TLS handshake error from 192.0.2.1:1: acme/autocert: host \"x\" not configured in HostWhitelist";
        let now = "TLS handshake error from 127.0.0.1:2: acme/autocert: missing certificate";
        let local = IpAddr::from([127, 0, 0, 1]);
        assert_eq!(reason(&failed_orders(&format!("{order}\n{scan}\n{now}\n{now}\n")), local), Some(order));
        assert_eq!(reason(&failed_orders(&format!("{scan}\n{now}\n")), local), None);
    }
}
