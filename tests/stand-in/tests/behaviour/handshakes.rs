//! What the questions of the installer and of the service's script leave in the log of a server that speaks TLS.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use gts_bootstrap::host::freebsd::FreeBsd;
use gts_bootstrap::host::{Carried, Observe, WebFailure, WebRequest};

use crate::instance::{HOST, Instance};

/// What Go says of each handshake that is not finished.
const FAILED: &str = "TLS handshake error";

#[test]
fn a_check_of_a_certificate_that_is_not_trusted_leaves_nothing() {
    gts_bootstrap::child::use_program(env!("CARGO_BIN_EXE_gotosocial"));
    let instance = Instance::direct("0.20.0-rc1");
    let server = instance.started();
    let host = FreeBsd::rooted(Path::new("/nonexistent"));
    let address = ([127, 0, 0, 1], instance.port).into();
    let plain = WebRequest::to(address, true, HOST, "/livez", Duration::from_secs(30));
    assert_eq!(host.web(&plain).unwrap().status, 200);
    let judged = WebRequest { verify: true, ..plain };
    let unknown = Err(WebFailure::Tls("invalid peer certificate: UnknownIssuer".to_owned()));
    assert_eq!(host.web(&judged), unknown);
    // The server writes its log before it answers the next request.
    instance.https("/readyz").unwrap();
    assert!(!instance.log().contains(FAILED), "{}", instance.log());
    // What is secret is not sent, and that leaves a line.
    let carries = Carried { token: Some("secret".to_owned()), ..Carried::default() };
    assert_eq!(host.web(&WebRequest { carries, ..judged }), unknown);
    server.wait_for(FAILED);
    assert_eq!(server.stop(), 0);
}

/// The question is the script's own.
#[test]
fn the_scripts_health_leaves_nothing() {
    let script = include_str!("../../../../rc.d/gotosocial");
    let question = script.split_once("gts_question='").and_then(|(_, rest)| rest.split_once('\'')).unwrap().0;
    assert!(question.contains("openssl s_client"), "{question}");
    let instance = Instance::direct("0.20.0-rc1");
    let server = instance.started();
    let address = format!("127.0.0.1:{}", instance.port);
    let asked = Command::new("/bin/sh").args(["-c", question, "sh", "", HOST, &address]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&asked.stdout).trim(), "HTTP/1.1 200 OK");
    assert_eq!(server.stop(), 0);
    assert!(!instance.log().contains(FAILED), "{}", instance.log());
}
