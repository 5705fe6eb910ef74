//! What depends on the environment of the process: CA certificates and proxies. Each case runs in a child process
//! (the ignored test at the end), since the environment of this one is shared by all tests.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use gts_bootstrap::child::Ids;
use gts_bootstrap::release::{NoProgress, Source, newest};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::places::{fetcher_as, soon};
use super::server::{Reply, Server, read_request};

const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/release/fixtures/loopback-cert.pem");
const STRANGER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/release/fixtures/stranger-cert.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/release/fixtures/loopback-key.pem");

/// What a child says that asks for the newest release at this address.
fn child(url: &str, environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "release::environment::child_that_asks", "--ignored", "--nocapture"]).env("ASK_AT", url);
    for name in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
        command.env_remove(name).env_remove(name.to_lowercase());
    }
    command.envs(environment.iter().copied());
    String::from_utf8(command.output().unwrap().stdout).unwrap()
}

/// A TLS server that gives one answer to one request.
fn serve_once(reply: Reply) -> (String, JoinHandle<()>) {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(CERTIFICATE).unwrap()],
            PrivateKeyDer::from_pem_file(KEY).unwrap(),
        )
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let thread = thread::spawn(move || {
        let (connection, _) = listener.accept().unwrap();
        let session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::StreamOwned::new(session, connection);
        let asked = read_request(&mut stream);
        // A client that does not like the certificate hangs up.
        if !asked.line.is_empty() {
            stream.write_all(&reply.bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
        }
    });
    (url, thread)
}

#[test]
fn a_trusted_certificate_is_accepted() {
    let (url, server) = serve_once(Reply::ok(b"[]"));
    let said = child(&url, &[("SSL_CERT_FILE", CERTIFICATE)]);
    assert!(said.contains("lists no release"), "{said}");
    server.join().unwrap();
}

#[test]
fn a_redirect_from_https_to_http_is_refused() {
    let plain = Server::start(|_, _| Reply::ok(b"[]"));
    let (url, server) = serve_once(Reply::status("302 Found").header("Location", &plain.url()).body(b""));
    let said = child(&url, &[("SSL_CERT_FILE", CERTIFICATE)]);
    assert!(said.contains("which is plain http"), "{said}");
    assert!(plain.requests().is_empty());
    server.join().unwrap();
}

#[test]
fn an_unknown_certificate_is_refused() {
    let (url, server) = serve_once(Reply::ok(b"[]"));
    let said = child(&url, &[("SSL_CERT_FILE", STRANGER)]);
    assert!(said.contains("certificate was not accepted"), "{said}");
    server.join().unwrap();
}

/// What a child says about a server that a private authority vouches for, on a system with these files.
fn on_a_system(files: &[(&str, &str, u32)], somebody: &str) -> String {
    let system = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(system.path(), 0o755);
    for (path, what, bits) in files {
        let path = system.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if *what == "nowhere" {
            std::os::unix::fs::symlink("/nowhere", &path).unwrap();
        } else {
            fs::write(&path, what).unwrap();
            mode(&path, *bits);
        }
    }
    let (url, server) = serve_once(Reply::ok(b"[]"));
    let root = system.path().to_str().unwrap();
    let said = child(&url, &[("GTSB_CA_ROOT", root), ("ASK_AS", somebody)]);
    // A child that trusts nobody does not even connect.
    let _ = TcpStream::connect(url.trim_start_matches("https://"));
    server.join().unwrap();
    said
}

#[test]
fn each_place_of_the_system_is_trusted_in_the_order_of_fetch() {
    let [right, wrong] = [CERTIFICATE, STRANGER].map(|file| fs::read_to_string(file).unwrap());
    let places = [
        "usr/local/etc/ssl/cert.pem",
        "etc/ssl/cert.pem",
        "etc/ssl/certs/0123abcd.0",
        "usr/local/share/certs/ca-root-nss.crt",
    ];
    for (index, place) in places.into_iter().enumerate() {
        let alone = on_a_system(&[(place, &right, 0o444)], "");
        assert!(alone.contains("lists no release"), "{place}: {alone}");
        for later in &places[index + 1..] {
            let first = on_a_system(&[(place, &right, 0o444), (later, &wrong, 0o444)], "");
            assert!(first.contains("lists no release"), "{place} before {later}: {first}");
            let second = on_a_system(&[(place, &wrong, 0o444), (later, &right, 0o444)], "");
            assert!(second.contains("certificate was not accepted"), "{place} before {later}: {second}");
            for broken in ["", "nowhere"] {
                let passed = on_a_system(&[(place, broken, 0o444), (later, &right, 0o444)], "");
                assert!(passed.contains("lists no release"), "{place} is broken, {later}: {passed}");
            }
        }
    }
}

#[test]
fn a_place_that_nobody_may_read_is_passed_over_by_nobody() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let [right, wrong] = [CERTIFICATE, STRANGER].map(|file| fs::read_to_string(file).unwrap());
    let private = ("usr/local/etc/ssl/cert.pem", wrong.as_str(), 0o400);
    let said = on_a_system(&[private, ("etc/ssl/cert.pem", &right, 0o444)], "nobody");
    assert!(said.contains("lists no release"), "{said}");
    let said = on_a_system(&[private], "nobody");
    assert!(said.contains("/usr/local/etc/ssl/cert.pem cannot be read (Permission denied"), "{said}");
    assert!(said.contains("/etc/ssl/certs is not there"), "{said}");
}

#[test]
fn a_host_without_ca_certificates_is_told_so() {
    let said = child("https://127.0.0.1:1", &[("SSL_CERT_FILE", "/nonexistent.pem")]);
    assert!(said.contains("CA certificates cannot be read"), "{said}");
    assert!(said.contains("ca_root_nss"), "{said}");
}

#[test]
fn a_loopback_server_needs_no_ca_certificates_and_no_proxy() {
    let server = Server::start(|_, _| Reply::ok(b"[]"));
    let environment = [("SSL_CERT_FILE", "/nonexistent.pem"), ("HTTP_PROXY", "http://127.0.0.1:1")];
    let said = child(&server.url(), &environment);
    assert!(said.contains("lists no release"), "{said}");
}

#[test]
fn https_goes_through_the_proxy() {
    for name in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let proxy = Server::start(|_, _| Reply::status("403 Forbidden").body(b""));
        let environment = [("SSL_CERT_FILE", CERTIFICATE), (name, &proxy.url())];
        let said = child("https://releases.invalid", &environment);
        assert!(said.contains("Cannot reach https://releases.invalid"), "{said}");
        assert!(proxy.requests()[0].line.starts_with("CONNECT releases.invalid:443 "));
    }
}

#[test]
#[ignore = "run by the others, each with an environment of its own"]
fn child_that_asks() {
    let source = Source::Upstream(std::env::var("ASK_AT").unwrap().parse().unwrap());
    let somebody = std::env::var_os("ASK_AS").is_some_and(|name| name == "nobody");
    let ids = somebody.then(|| Ids { uid: 65534, gid: 65534, groups: Vec::new() });
    let error = newest(&source, true, &fetcher_as(ids, soon(1), &NoProgress)).unwrap_err();
    println!("{error}");
}
