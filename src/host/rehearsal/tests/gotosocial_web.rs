//! What GoToSocial and the outside world answer, and the certificate.

use std::net::SocketAddr;
use std::time::Duration;

use super::super::{Authority, OutsideAnswer};
use super::*;
use crate::host::{Carried, Entry, WebAnswer, WebFailure, WebRequest};

const CERTIFICATE: &str = "/var/db/gotosocial/certs/gts.example.org";

fn request(tls: bool, host: &str, port: Option<u16>, path: &str) -> WebRequest {
    WebRequest {
        tls,
        host: host.into(),
        address: port.map(|port| SocketAddr::from(([127, 0, 0, 1], port))),
        path: path.into(),
        carries: Carried::default(),
        verify: true,
        timeout: Duration::from_secs(10),
    }
}

/// A plain request to a port of this machine.
pub(super) fn get(host: &Fresh, port: u16, path: &str) -> Result<WebAnswer, WebFailure> {
    host.web(&request(false, "gts.example.org", Some(port), path))
}

fn body(answer: &WebAnswer) -> String {
    String::from_utf8(answer.body.clone()).unwrap()
}

fn direct(edit: impl FnOnce(&mut Model)) -> Fresh {
    let host = fresh_with(edit);
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    assert!(host.runs(), "{}", host.text(LOG));
    host
}

fn secure(host: &Fresh, name: &str) -> Result<WebAnswer, WebFailure> {
    host.web(&request(true, name, Some(443), "/readyz"))
}

#[test]
fn pages_that_a_check_asks_for() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    assert_eq!(get(&host, 8080, "/readyz"), Err(WebFailure::Refused));
    host.start().unwrap();
    assert_eq!(host.create("alice").status, Some(0));
    for (path, status, words) in [
        ("/livez", 200, ""),
        ("/readyz", 200, ""),
        ("/nodeinfo/2.0", 200, "\"version\":\"0.19.2\""),
        ("/api/v1/instance", 200, "\"uri\":\"gts.example.org\""),
        ("/api/v1/instance", 200, "\"account_domain\":\"example.org\""),
        ("/.well-known/host-meta", 200, "https://gts.example.org/.well-known/webfinger?resource={uri}"),
        ("/.well-known/nodeinfo", 200, "https://gts.example.org/nodeinfo/2.0"),
        ("/.well-known/webfinger?resource=acct:gts.example.org@example.org", 200, "acct:gts.example.org@example.org"),
        ("/.well-known/webfinger?resource=acct%3Aalice%40example.org", 200, "/users/alice"),
        ("/.well-known/webfinger?resource=acct:bob@example.org", 404, ""),
        ("/.well-known/webfinger?resource=acct:alice@other.test", 404, ""),
        ("/.well-known/webfinger", 400, ""),
        ("/@alice", 200, "@alice"),
        ("/@bob", 404, ""),
        ("/", 200, "gts.example.org"),
        ("/nosuch", 404, ""),
    ] {
        let answer = get(&host, 8080, path).unwrap();
        assert_eq!(answer.status, status, "{path}");
        assert!(body(&answer).contains(words), "{path}: {}", body(&answer));
    }
    assert!(matches!(host.web(&request(true, "gts.example.org", Some(8080), "/")), Err(WebFailure::Tls(_))));
    assert_eq!(get(&host, 8081, "/"), Err(WebFailure::Refused));
}

#[test]
fn a_half_made_account_is_found_but_has_no_page() {
    let host = fresh();
    host.install("0.19.2", &proxied_config());
    assert_eq!(host.create("alice").status, Some(1));
    host.start().unwrap();
    assert_eq!(get(&host, 8080, "/.well-known/webfinger?resource=acct:alice@example.org").unwrap().status, 200);
    assert_eq!(get(&host, 8080, "/@alice").unwrap().status, 500);
}

#[test]
fn not_ready_until_so_many_polls_have_passed() {
    let host = fresh_with(|model| model.faults.polls_until_ready = 3);
    host.install("0.19.2", &proxied_config());
    host.start().unwrap();
    let status = |path: &str| get(&host, 8080, path).unwrap().status;
    for _ in 0..3 {
        assert_eq!((status("/livez"), status("/readyz"), status("/nodeinfo/2.0")), (200, 503, 503));
        host.sleep(Duration::from_secs(2));
    }
    assert_eq!(status("/readyz"), 200);
    // ended before it is ready, it leaves its database open
    host.stop();
    host.start().unwrap();
    host.stop();
    assert!(host.entry(Path::new("/var/db/gotosocial/sqlite.db-wal")).unwrap().is_some());
}

#[test]
fn the_certificate_is_fetched_by_the_first_request_with_the_right_name() {
    let host = direct(|_| {});
    assert_eq!(host.entry(Path::new("/var/db/gotosocial/certs")).unwrap(), None);
    assert!(
        matches!(secure(&host, "other.example.org"), Err(WebFailure::Tls(text)) if text.contains("internal error"))
    );
    assert!(host.text(LOG).contains("not configured in HostWhitelist"));
    assert_eq!(host.entry(Path::new(CERTIFICATE)).unwrap(), None);
    let answer = secure(&host, "gts.example.org").unwrap();
    let shown = answer.certificate.unwrap();
    assert_eq!((answer.status, shown.names), (200, vec!["gts.example.org".to_string()]));
    assert_eq!(shown.not_after, host.now() + 90 * 86_400);
    assert!(matches!(host.entry(Path::new(CERTIFICATE)).unwrap(), Some(Entry::File { mode: 0o600, owner: GTS, .. })));
    assert!(host.text(CERTIFICATE).contains("-----BEGIN EC PRIVATE KEY-----"));
    // kept, whatever the authority does later
    host.edit(|model| model.authority = Authority::Unreachable).unwrap();
    assert_eq!(secure(&host, "gts.example.org").unwrap().status, 200);
    // until it has expired
    host.sleep(Duration::from_secs(91 * 86_400));
    assert!(secure(&host, "gts.example.org").is_err());
}

#[test]
fn port_80_sends_everybody_to_https() {
    let host = direct(|_| {});
    let answer = get(&host, 80, "/livez?x=1").unwrap();
    assert_eq!((answer.status, answer.location.as_deref()), (307, Some("https://gts.example.org/livez?x=1")));
    assert_eq!(get(&host, 80, "/.well-known/acme-challenge/x").unwrap().status, 404);
    assert_eq!(get(&host, 443, "/").unwrap().status, 400);
    assert!(matches!(host.web(&request(true, "gts.example.org", Some(80), "/")), Err(WebFailure::Tls(_))));
}

#[test]
fn no_certificate_and_the_reason_in_the_log() {
    for (edit, words) in [
        (
            &(|model: &mut Model| model.authority = Authority::Unreachable) as &dyn Fn(&mut Model),
            "Get \"https://acme-v02",
        ),
        (&|model: &mut Model| model.authority = Authority::RateLimited, "rateLimited"),
        (
            &|model: &mut Model| {
                drop(model.dns.insert("gts.example.org".into(), vec!["198.51.100.7".parse().unwrap()]))
            },
            "authorization error",
        ),
        (&|model: &mut Model| drop(model.dns.insert("gts.example.org".into(), vec![])), "authorization error"),
    ] {
        let host = direct(edit);
        assert!(matches!(secure(&host, "gts.example.org"), Err(WebFailure::Tls(_))));
        assert!(host.text(LOG).contains("http: TLS handshake error from"), "{}", host.text(LOG));
        assert!(host.text(LOG).contains(words), "{words}: {}", host.text(LOG));
    }
    let host = direct(|_| {});
    host.make_directory(Path::new("/var/db/gotosocial/certs"), 0o700, Owner::ROOT).unwrap();
    assert!(secure(&host, "gts.example.org").is_err());
    assert!(host.text(LOG).contains("mkdir /var/db/gotosocial/certs: permission denied"));
}

#[test]
fn certificate_files_are_shown_and_judged() {
    let host = fresh();
    let files = "tls-certificate-chain: /etc/ssl/chain.pem\ntls-certificate-key: /etc/ssl/key.pem\n";
    host.install("0.20.0", &config(&format!("bind-address: \"127.0.0.1\"\nport: 8443\n{files}")));
    let not_after = host.now() + 1000;
    host.write(
        "/etc/ssl/chain.pem",
        &super::super::authority::signed("*.example.org", 0, not_after, 1).unwrap().chain_pem(),
    );
    host.write("/etc/ssl/key.pem", "key");
    host.start().unwrap();
    let ask = |name: &str, verify: bool| host.web(&WebRequest { verify, ..request(true, name, Some(8443), "/livez") });
    assert_eq!(ask("gts.example.org", true).unwrap().status, 200);
    assert!(matches!(ask("a.b.example.org", true), Err(WebFailure::Tls(text)) if text.contains("not valid for")));
    assert_eq!(ask("a.b.example.org", false).unwrap().certificate.unwrap().names, ["*.example.org"]);
    host.sleep(Duration::from_secs(1001));
    assert!(matches!(ask("gts.example.org", true), Err(WebFailure::Tls(text)) if text.contains("expired")));
}

#[test]
fn only_a_request_with_secrets_breaks_a_handshake_off() {
    let host = direct(|model| model.authority = Authority::Private);
    let unknown = Err(WebFailure::Tls("invalid peer certificate: UnknownIssuer".into()));
    assert_eq!(secure(&host, "gts.example.org"), unknown);
    assert!(!host.text(LOG).contains("TLS handshake error"), "{}", host.text(LOG));
    let carries = Carried { token: Some("secret".into()), ..Carried::default() };
    let asked = host.web(&WebRequest { carries, ..request(true, "gts.example.org", Some(443), "/readyz") });
    assert_eq!(asked, unknown);
    assert!(host.text(LOG).contains("remote error: tls: bad certificate"), "{}", host.text(LOG));
}

#[test]
fn names_and_the_outside_world() {
    let host = direct(|model| {
        model.dns.insert("nowhere.test".into(), vec![]);
        model.dns.insert("far.test".into(), vec!["198.51.100.7".parse().unwrap()]);
        let answer =
            OutsideAnswer { body: "{\"software\":{\"name\":\"mastodon\"}}".into(), ..OutsideAnswer::default() };
        model.outside.insert("https://social.test/nodeinfo/2.0".into(), answer);
    });
    let ask = |tls: bool, name: &str, path: &str| host.web(&request(tls, name, None, path));
    assert_eq!(host.resolve("anything.test").unwrap(), host.addresses().unwrap());
    assert!(host.resolve("nowhere.test").unwrap().is_empty());
    assert_eq!(ask(true, "nowhere.test", "/"), Err(WebFailure::Unresolved));
    assert_eq!(ask(true, "far.test", "/"), Err(WebFailure::TimedOut));
    let known = ask(true, "social.test", "/nodeinfo/2.0").unwrap();
    assert!(body(&known).contains("mastodon") && known.certificate.unwrap().names == ["social.test"]);
    assert_eq!(ask(true, "social.test", "/other").unwrap().status, 404);
    assert_eq!(ask(false, "social.test", "/nodeinfo/2.0"), Err(WebFailure::Refused));
    assert_eq!(ask(true, "gts.example.org", "/readyz").unwrap().status, 200);
    host.edit(|model| {
        let mut nginx = host.listeners().unwrap()[0].clone();
        (nginx.command, nginx.pid, nginx.port) = ("nginx".into(), Some(7), 8080);
        model.listeners.push(nginx);
    })
    .unwrap();
    assert!(matches!(get(&host, 8080, "/"), Err(WebFailure::Other(text)) if text.starts_with("nginx listens")));
}
