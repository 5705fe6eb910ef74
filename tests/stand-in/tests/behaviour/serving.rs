//! The server at work: over http and https, from the start to the stop.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;

use gts_bootstrap::gotosocial::phase::{Phase, Startup};
use reqwest::tls::TlsInfo;

use crate::instance::{HOST, Instance, client};

#[test]
fn a_direct_server_makes_its_certificate_at_the_first_handshake() {
    let instance = Instance::direct("0.19.2");
    let server = instance.started();
    let file = instance.layout().certs().join(HOST);
    assert!(!file.exists(), "nothing is ordered at the start");

    // Another name, and none at all, get an alert and no certificate.
    let url = format!("https://other.example.org:{}/livez", instance.port);
    assert!(client("other.example.org").user_agent("tests").build().unwrap().get(url).send().is_err());
    assert!(instance.get(&format!("https://127.0.0.1:{}/livez", instance.port)).is_err());
    server.wait_for("host \"other.example.org\" not configured in HostWhitelist");
    server.wait_for("missing server name");
    assert!(!file.exists());

    let answer = instance.https("/livez").unwrap();
    assert_eq!(answer.status(), 200);
    let served = answer.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap().to_vec();
    let (_, certificate) = x509_parser::parse_x509_certificate(&served).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [x509_parser::extensions::GeneralName::DNSName(HOST)]);
    let days = certificate.validity().time_to_expiration().unwrap().whole_days();
    assert!((88..=90).contains(&days), "{days}");

    // A client that judges it does not trust it, and for no other reason than who signed it.
    let strict = client(HOST).tls_danger_accept_invalid_certs(false).tls_certs_only([]);
    let url = format!("https://{HOST}:{}/livez", instance.port);
    let refused = strict.user_agent("tests").build().unwrap().get(url).send().unwrap_err();
    assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");

    let pem = fs::read_to_string(&file).unwrap();
    assert!(pem.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{pem}");
    assert_eq!(pem.matches("-----BEGIN ").count(), 2);
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(server.stop(), 0);

    // After a restart the same one is served.
    let server = instance.started();
    let again = instance.https("/livez").unwrap();
    assert_eq!(again.extensions().get::<TlsInfo>().unwrap().peer_certificate().unwrap(), served);
    assert_eq!(server.stop(), 0);
}

#[test]
fn the_key_is_one_that_others_can_read() {
    let instance = Instance::direct("0.19.2");
    let server = instance.started();
    instance.https("/livez").unwrap();
    drop(server);
    let file = instance.layout().certs().join(HOST);
    let told = std::process::Command::new("openssl").args(["ec", "-noout", "-text", "-in"]).arg(file).output();
    // Where there is no openssl(1) the handshake of the test above has to do.
    if let Ok(told) = told {
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(told.status.success() && text.contains("prime256v1"), "{text}");
    }
}

#[test]
fn the_pages_that_a_check_asks_for_answer() {
    for version in ["0.19.2", "0.20.0-rc1"] {
        let instance = Instance::direct(version);
        let server = instance.started();
        let text = |path: &str| instance.https(path).unwrap().error_for_status().unwrap().text().unwrap();
        assert_eq!(text("/readyz"), "");
        let nodeinfo: serde_json::Value = serde_json::from_str(&text("/nodeinfo/2.0")).unwrap();
        assert_eq!(nodeinfo["software"], serde_json::json!({"name": "gotosocial", "version": version}));
        assert!(text("/.well-known/nodeinfo").contains(&format!("https://{HOST}/nodeinfo/2.0")));
        assert!(text("/.well-known/host-meta").contains(&format!("https://{HOST}/.well-known/webfinger")));
        assert!(text("/api/v1/instance").contains(&format!("\"uri\":\"{HOST}\"")));
        assert!(text(&format!("/.well-known/webfinger?resource=acct:{HOST}@{HOST}")).contains("\"subject\""));
        assert_eq!(text("/assets/logo.svg"), "<svg/>");
        for (path, status) in [("/nowhere", 404), ("/users/alice", 401), ("/assets/nowhere", 404)] {
            assert_eq!(instance.https(path).unwrap().status(), status, "{path}");
        }
        let unknown = format!("/.well-known/webfinger?resource=acct:nobody@{HOST}");
        assert_eq!(instance.https(&unknown).unwrap().status(), 404);
        let nameless = client(HOST).build().unwrap();
        let url = format!("https://{HOST}:{}/readyz", instance.port);
        assert_eq!(nameless.get(url).send().unwrap().status(), 418, "without User-Agent");
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn plain_http_is_sent_to_https_and_refused_on_the_tls_port() {
    let instance = Instance::direct("0.19.2");
    let server = instance.started();
    let answer = instance.get(&format!("http://{HOST}:{}/livez?a=b", instance.plain_port)).unwrap();
    assert_eq!(answer.status(), 307);
    let to = format!("https://{HOST}:{}/livez?a=b", instance.plain_port);
    assert_eq!(answer.headers()["location"], to.as_str(), "the Host header as it was sent");
    let challenge = format!("http://{HOST}:{}/.well-known/acme-challenge/x", instance.plain_port);
    assert_eq!(instance.get(&challenge).unwrap().status(), 404);
    let answer = instance.get(&format!("http://{HOST}:{}/livez", instance.port)).unwrap();
    assert_eq!(answer.status(), 400);
    assert!(answer.text().unwrap().contains("Client sent an HTTP request to an HTTPS server."));
    assert_eq!(server.stop(), 0);
}

#[test]
fn behind_a_proxy_it_speaks_plain_http() {
    let instance = Instance::proxied("0.19.2");
    let server = instance.started();
    assert_eq!(instance.get(&format!("http://{HOST}:{}/readyz", instance.port)).unwrap().status(), 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn the_log_tells_of_start_and_stop_as_the_real_one_does() {
    let instance = Instance::direct("0.19.2");
    let server = instance.started();
    assert!(instance.wal());
    assert_eq!(server.stop(), 0);
    assert!(!instance.wal(), "a clean stop closes the database");
    let log = instance.log();
    let listening = format!("level=INFO msg=\"listening on 127.0.0.1:{}\"", instance.port);
    assert_eq!(log.matches(&listening).count(), 2, "the maintenance page, then the real ones: {log}");
    let plain = format!("msg=\"letsencrypt listening on 127.0.0.1:{}\"", instance.plain_port);
    assert_eq!(log.matches(&plain).count(), 2, "{log}");
    assert!(log.trim_end().ends_with("func=server.init.func2.1 level=INFO msg=\"done! exiting...\""), "{log}");
}

#[test]
fn while_it_starts_only_livez_answers_and_a_term_kills_it() {
    let instance = Instance::proxied("0.19.2");
    let server = instance.start(&[("STAND_IN_READY_AFTER", "600")]);
    server.wait_for("MIGRATED DATABASE");
    let get = |path: &str| instance.get(&format!("http://{HOST}:{}{path}", instance.port)).unwrap();
    assert_eq!(get("/livez").status(), 200);
    let answer = get("/readyz");
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "120"));
    assert_eq!(server.stop(), 143);
    assert!(!instance.log().contains("done! exiting"));
    assert_eq!(instance.started().stop(), 0, "the next start recovers");
}

#[test]
fn its_log_tells_the_phases_of_a_start() {
    let instance = Instance::proxied("0.19.2");
    let trouble = [("STAND_IN_MIGRATION_TAKES", "3"), ("STAND_IN_READY_AFTER", "3")];
    let server = instance.start(&trouble);
    let phase = || Startup::of(&instance.log(), None).phase;
    server.wait_for("connected to SQLITE");
    assert_eq!(phase(), Phase::Migrating);
    server.wait_for("compiling WebAssembly");
    assert_eq!(phase(), Phase::Starting);
    server.wait_for("recovered queued tasks");
    assert_eq!(phase(), Phase::Ready);
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_hangup_kills_it() {
    // Under nohup(1) the signal is ignored, and a child inherits that; one that is caught is a child's default again.
    signal_hook::flag::register(signal_hook::consts::SIGHUP, std::sync::Arc::default()).unwrap();
    let instance = Instance::proxied("0.19.2");
    let server = instance.started();
    server.signal("-HUP");
    assert_eq!(server.end(), 129);
    assert!(instance.wal());
}

#[test]
fn the_wildcard_is_one_socket_for_both_families() {
    let instance = Instance::proxied("0.19.2");
    instance.edit("bind-address: \"127.0.0.1\"", "bind-address: \"0.0.0.0\"");
    let server = instance.started();
    TcpStream::connect((Ipv4Addr::LOCALHOST, instance.port)).unwrap();
    if std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        TcpStream::connect((Ipv6Addr::LOCALHOST, instance.port)).unwrap();
    }
    assert!(instance.log().contains(&format!("listening on 0.0.0.0:{}", instance.port)));
    assert_eq!(server.stop(), 0);
}

#[test]
fn a_certificate_that_cannot_be_had_fails_the_handshake_alone() {
    for (trouble, words) in [("unreachable", "dial tcp: i/o timeout"), ("rate-limited", "rateLimited")] {
        let instance = Instance::direct("0.19.2");
        let server = instance.start(&[("STAND_IN_NO_CERTIFICATE", trouble)]);
        server.wait_for("recovered queued tasks");
        assert!(instance.https("/readyz").is_err());
        server.wait_for(words);
        assert!(instance.log().contains("http: TLS handshake error from 127.0.0.1:"), "{}", instance.log());
        assert_eq!(server.stop(), 0);
    }
}

#[test]
fn an_unwritable_certificate_folder_fails_the_handshake_alone() {
    let instance = Instance::direct("0.19.2");
    fs::create_dir_all(instance.layout().storage()).unwrap();
    fs::write(instance.layout().certs(), "a file").unwrap();
    let server = instance.started();
    assert!(instance.https("/readyz").is_err());
    server.wait_for(&format!("mkdir {}", instance.layout().certs().display()));
    assert_eq!(server.stop(), 0);
}

#[test]
fn it_dies_when_asked_to() {
    let instance = Instance::proxied("0.19.2");
    let server = instance.start(&[("STAND_IN_DIE_AFTER", "0")]);
    assert_eq!(server.end(), 2);
    let log = instance.log();
    assert!(log.contains("recovered queued tasks") && log.contains("panic: ") && log.contains("goroutine 1"), "{log}");
    assert!(instance.wal());
}
