//! Orders that fail, each with its own message; and what else Pebble never does.

use std::fs;
use std::process::Command;
use std::time::Duration;

use gts_bootstrap::certificate::acme::{Account, AcmeError};
use gts_bootstrap::certificate::{Bundle, BundleError};
use gts_bootstrap::deployment::AcmeDirectory;
use serde_json::json;

use super::authority::{Authority, TestAuthority, order, register, renewal_window};
use super::orders::host;
use super::pebble::{Pebble, Wish};
use super::stand_in::{Answer, StandIn};
use super::webroot::{Answers, Webroot};

/// Orders for the host, and sees that the webroot is empty afterwards.
fn refused(authority: &Authority, account: &Account, answers: Answers) -> AcmeError {
    let mut webroot = Webroot::new(answers);
    let error = order(authority, account, None, &mut webroot).unwrap_err();
    assert_eq!(webroot.left(), 0);
    error
}

/// The error that an order at a stand-in ends with.
fn at(stand_in: &StandIn) -> AcmeError {
    let authority = stand_in.as_authority();
    let account = register(&authority, None).unwrap();
    refused(&authority, &account, Answers::Right)
}

/// A certificate from a stand-in's authority.
pub fn bundle(stand_in: &StandIn) -> Bundle {
    let issued = stand_in.issuer().issue(host().as_str());
    Bundle::from_files(issued.key.as_bytes(), issued.certificate.as_bytes()).unwrap()
}

#[test]
fn a_wrong_answer_is_told_in_pebbles_words_and_the_old_certificate_stays() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(webroot.serve()));
    let authority = pebble.as_authority();
    let account = register(&authority, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(host().as_str());
    let old = order(&authority, &account, None, &mut webroot).unwrap();
    fs::write(&file, old.autocert_pem().unwrap().expose()).unwrap();
    let before = fs::read(&file).unwrap();

    let mut wrong = Webroot::new(Answers::Wrong);
    let address = wrong.serve();
    let pebble = Pebble::start(&Wish::new(address));
    let account = register(&pebble.as_authority(), None).unwrap();
    let error = order(&pebble.as_authority(), &account, Some(&old), &mut wrong).unwrap_err();
    let AcmeError::Challenge(name, detail) = &error else { panic!("{error}") };
    assert_eq!(name, host().as_str());
    assert!(detail.contains("somebody else's answer"), "the authority says what it saw: {detail}");
    assert!(error.to_string().contains("port 80 must be open"));
    assert_eq!((wrong.published, wrong.left()), (1, 0));
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn nothing_at_all_where_the_answer_should_be() {
    // The authority looks at a web server that serves another folder.
    let elsewhere = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(elsewhere.serve()));
    let account = register(&pebble.as_authority(), None).unwrap();
    let error = refused(&pebble.as_authority(), &account, Answers::Right);
    assert!(matches!(error, AcmeError::Challenge { .. }), "{error}");
}

#[test]
fn an_authority_that_is_gone_is_unreachable() {
    let webroot = Webroot::new(Answers::Right);
    let mut pebble = Pebble::start(&Wish::new(webroot.serve()));
    let authority = pebble.as_authority();
    let account = register(&authority, None).unwrap();
    pebble.stop();
    let error = refused(&authority, &account, Answers::Right);
    assert!(matches!(error, AcmeError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains(&authority.directory));
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn an_authority_nobody_vouches_for_is_not_trusted() {
    let webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(webroot.serve()));
    // Some root, so that the test needs none of the system's.
    let authority = pebble.distrusted().trusting(TestAuthority::new().root());
    let error = register(&authority, None).unwrap_err();
    assert!(matches!(error, AcmeError::Untrusted { .. }), "{error}");
}

#[test]
fn an_account_that_the_authority_has_forgotten() {
    let webroot = Webroot::new(Answers::Right);
    let mut pebble = Pebble::start(&Wish::new(webroot.serve()));
    let account = register(&pebble.as_authority(), None).unwrap();
    pebble.restart();
    let error = refused(&pebble.as_authority(), &account, Answers::Right);
    assert!(matches!(error, AcmeError::Account { .. }), "{error}");
}

#[test]
fn an_authority_for_registered_customers_only() {
    let webroot = Webroot::new(Answers::Right);
    let config = json!({ "externalAccountBindingRequired": true, "externalAccountMACKeys": {} });
    let pebble = Pebble::start(&Wish { config, ..Wish::new(webroot.serve()) });
    let error = register(&pebble.as_authority(), None).unwrap_err();
    assert!(matches!(error, AcmeError::ExternalAccount { .. }), "{error}");
}

#[test]
fn a_name_that_the_authority_does_not_want() {
    let webroot = Webroot::new(Answers::Right);
    let config = json!({ "domainBlocklist": ["social.example.org"] });
    let pebble = Pebble::start(&Wish { config, ..Wish::new(webroot.serve()) });
    let account = register(&pebble.as_authority(), None).unwrap();
    let error = refused(&pebble.as_authority(), &account, Answers::Right);
    let AcmeError::Refused(name, _) = &error else { panic!("{error}") };
    assert_eq!(name, host().as_str());
}

#[test]
fn an_answer_that_cannot_be_published_ends_the_order() {
    let stand_in = StandIn::start();
    let authority = stand_in.as_authority();
    let account = register(&authority, None).unwrap();
    let error = refused(&authority, &account, Answers::Unwritable);
    assert!(matches!(error, AcmeError::Publish { .. }), "{error}");
    assert!(error.to_string().contains("no space left on device"));
    assert!(stand_in.asked("/challenge").is_empty(), "the authority is not told to look");
}

#[test]
fn the_rate_limit_is_told_with_its_end() {
    let limited = |status| Answer::problem(status, "rateLimited", "too many certificates already issued");
    let stand_in = StandIn::start();
    stand_in.answer("/order", limited(429).with("Retry-After", "7200"));
    let error = at(&stand_in);
    assert!(matches!(error, AcmeError::RateLimited { .. }), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7200)));
    assert!(error.to_string().contains("too many certificates already issued (try again in 2 hours)"), "{error}");
    assert_eq!(stand_in.asked("/order").len(), 1, "it is not tried again");

    // At the account, and without a time.
    stand_in.answer("/account", limited(429));
    let error = register(&stand_in.as_authority(), None).unwrap_err();
    assert!(matches!(error, AcmeError::RateLimited(_, None)), "{error}");

    // From a load balancer in front, which knows no ACME.
    stand_in.answer("/dir", Answer::html(429).with("Retry-After", "60"));
    let error = register(&stand_in.as_authority(), None).unwrap_err();
    assert!(matches!(error, AcmeError::Status { status: 429, .. }), "{error}");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
}

#[test]
fn a_bad_mail_address_is_told() {
    let stand_in = StandIn::start();
    stand_in.answer("/account", Answer::problem(400, "invalidContact", "contact domain has no MX records"));
    let email = "admin@nowhere.example.org".parse().unwrap();
    let error = register(&stand_in.as_authority(), Some(&email)).unwrap_err();
    assert!(matches!(&error, AcmeError::Email(detail) if detail.contains("no MX")), "{error}");
    assert_eq!(stand_in.asked("/account")[0].payload["contact"], json!(["mailto:admin@nowhere.example.org"]));
    assert!(stand_in.asked("/account")[0].agent.starts_with("gts-bootstrap/"));
}

#[test]
fn what_is_no_acme_directory_is_told() {
    let stand_in = StandIn::start();
    let error = |answer: Answer| {
        stand_in.answer("/dir", answer);
        register(&stand_in.as_authority(), None).unwrap_err()
    };
    assert!(matches!(error(Answer::html(200)), AcmeError::NotAcme { .. }));
    assert!(matches!(error(Answer::html(404)), AcmeError::Status { status: 404, .. }));
    assert!(matches!(error(Answer::html(500)), AcmeError::Status { status: 500, .. }));
    let moved = error(Answer::html(301).with("Location", "https://elsewhere.example/dir"));
    assert!(moved.to_string().contains("points to https://elsewhere.example/dir"), "{moved}");
    let endless = Answer { body: "x".repeat(2 * 1024 * 1024), ..Answer::html(200) };
    assert!(error(endless).to_string().contains("does not end"));
}

#[test]
fn challenges_that_cannot_be_met_are_told() {
    let stand_in = StandIn::start();
    stand_in.answer("/authz", Answer::json(200, &stand_in.authorization("pending", "dns-01", "a-token")));
    assert!(matches!(at(&stand_in), AcmeError::NoHttp01 { .. }));
    for token in ["../../etc/passwd", "", "a/b"] {
        stand_in.answer("/authz", Answer::json(200, &stand_in.authorization("pending", "http-01", token)));
        assert!(matches!(at(&stand_in), AcmeError::Token { .. }), "{token}");
    }
    stand_in.answer("/authz", Answer::json(200, &stand_in.authorization("deactivated", "http-01", "a-token")));
    assert!(matches!(at(&stand_in), AcmeError::Invalid { .. }));
    assert!(stand_in.asked("/challenge").is_empty());
}

#[test]
fn an_order_that_becomes_invalid_is_told() {
    let stand_in = StandIn::start();
    stand_in.answer("/order/1", Answer::json(200, &stand_in.order("invalid")));
    let error = at(&stand_in);
    assert!(matches!(&error, AcmeError::Invalid(_, detail) if detail == "it gives no reason"), "{error}");
    let mut order = stand_in.order("invalid");
    order["error"] = json!({ "type": "urn:ietf:params:acme:error:caa", "detail": "CAA record forbids issuance" });
    stand_in.answer("/order/1", Answer::json(200, &order));
    let error = at(&stand_in);
    assert!(error.to_string().contains("CAA record forbids issuance"), "{error}");
}

#[test]
fn a_certificate_that_was_not_ordered_is_not_taken() {
    let stand_in = StandIn::start();
    stand_in.answer(
        "/order",
        Answer::json(201, &stand_in.order("ready")).with("Location", &format!("{}/order/1", stand_in.url())),
    );
    stand_in.answer("/authz", Answer::json(200, &stand_in.authorization("valid", "http-01", "a-token")));
    stand_in.answer("/finalize", Answer::json(200, &stand_in.order("valid")));
    let issued = stand_in.issuer().issue(host().as_str());
    stand_in.answer("/certificate", Answer { body: issued.certificate, ..Answer::html(200) });
    let error = at(&stand_in);
    assert!(matches!(error, AcmeError::Issued(BundleError::KeyMismatch { .. })), "{error}");
}

#[test]
fn patience_has_an_end() {
    let stand_in = StandIn::start();
    let (order, look) = (Duration::from_secs(1), Duration::from_millis(10));
    let authority = stand_in.as_authority().patient_for(Duration::from_secs(30), order, look);
    let account = register(&authority, None).unwrap();
    let error = refused(&authority, &account, Answers::Right);
    assert!(matches!(error, AcmeError::Slow { .. }), "{error}");
    assert!(error.to_string().contains("waiting for the certificate authority to check"), "{error}");
    assert!(!stand_in.asked("/order/1").is_empty());

    // One that takes a connection and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/dir", silent.local_addr().unwrap().port());
    let authority = Authority::new(url).trusting(stand_in.issuer().root());
    let authority = authority.patient_for(Duration::from_millis(300), order, look);
    assert!(matches!(register(&authority, None).unwrap_err(), AcmeError::TimedOut { .. }));
}

#[test]
fn a_key_that_is_none_is_told() {
    let stand_in = StandIn::start();
    let account = register(&stand_in.as_authority(), None).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(account.to_json().expose()).unwrap();
    json["key_pkcs8"] = json!("AAAA");
    let account = Account::from_json(&json.to_string()).unwrap();
    let error = refused(&stand_in.as_authority(), &account, Answers::Right);
    assert!(matches!(error, AcmeError::AccountFile { .. }), "{error}");
}

/// Runs one test once more in a process of its own, with other environment variables, which belong to a whole process.
pub fn again_with(test: &str, variables: &[(&str, &str)]) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let said = [child.stdout, child.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    assert!(child.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn without_any_root_no_connection_is_made() {
    if std::env::var_os("SSL_CERT_FILE").is_some_and(|file| file == "/nonexistent") {
        let authority = Authority::new(AcmeDirectory::lets_encrypt().as_str().to_owned());
        let error = register(&authority, None).unwrap_err();
        assert!(matches!(error, AcmeError::NoClient { .. }), "{error}");
        return;
    }
    let nothing = [("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")];
    again_with("acme::refusals::without_any_root_no_connection_is_made", &nothing);
}

#[test]
fn a_test_authority_needs_neither_the_systems_roots_nor_a_proxy() {
    let variables = [
        ("SSL_CERT_FILE", "/nonexistent"),
        ("SSL_CERT_DIR", "/nonexistent"),
        // Nobody listens on the discard port.
        ("HTTPS_PROXY", "http://127.0.0.1:9"),
        ("NO_PROXY", ""),
    ];
    again_with("acme::refusals::a_bad_mail_address_is_told", &variables);
}

#[test]
fn the_certificate_to_be_replaced_is_named_where_the_authority_wants_to_know() {
    let stand_in = StandIn::start();
    let old = bundle(&stand_in);
    let place = || {
        let authority = stand_in.as_authority();
        let account = register(&authority, None).unwrap();
        let mut webroot = Webroot::new(Answers::Right);
        let error = order(&authority, &account, Some(&old), &mut webroot).unwrap_err();
        assert!(matches!(error, AcmeError::RateLimited { .. }), "{error}");
    };
    stand_in.script("/order", |request| match request.payload["replaces"].as_str() {
        Some(_) => Answer::problem(409, "alreadyReplaced", "it has been replaced"),
        None => Answer::problem(429, "rateLimited", "enough"),
    });
    place();
    assert_eq!(stand_in.asked("/order").len(), 1, "without ARI in the directory nothing is said of it");
    let mut directory = stand_in.directory();
    directory["renewalInfo"] = json!(format!("{}/renewal", stand_in.url()));
    stand_in.answer("/dir", Answer::json(200, &directory));
    place();
    let asked = stand_in.asked("/order");
    assert_eq!(asked.len(), 3, "and one that is refused for it is placed again without");
    let (named, serial) = asked[1].payload["replaces"].as_str().unwrap().split_once('.').unwrap();
    assert!(!named.is_empty() && !serial.is_empty());
    assert!(asked[2].payload["replaces"].is_null());

    // A rate limit is no reason to order again at once.
    stand_in.answer("/order", Answer::problem(429, "rateLimited", "enough"));
    place();
    assert_eq!(stand_in.asked("/order").len(), 4);
}

#[test]
fn the_suggested_window_is_read() {
    let stand_in = StandIn::start();
    let bundle = bundle(&stand_in);
    let authority = stand_in.as_authority();
    let account = register(&authority, None).unwrap();
    assert_eq!(renewal_window(&authority, &account, &bundle).unwrap(), None);

    let base = format!("{}/renewal", stand_in.url());
    let mut directory = stand_in.directory();
    directory["renewalInfo"] = json!(base);
    stand_in.answer("/dir", Answer::json(200, &directory));
    let error = renewal_window(&authority, &account, &bundle).unwrap_err();
    assert!(matches!(error, AcmeError::Status { status: 404, .. }), "{error}");

    // RFC 9773, section 4.2, has this example.
    let window = json!({ "suggestedWindow": { "start": "2025-01-02T04:00:00Z", "end": "2025-01-03T04:00:00Z" } });
    let path = stand_in.asked_last().path;
    assert!(path.starts_with("/renewal/"));
    stand_in.answer(&path, Answer::json(200, &window).with("Retry-After", "21600"));
    let window = renewal_window(&authority, &account, &bundle).unwrap().unwrap();
    assert_eq!((window.start, window.end), (1_735_790_400, 1_735_876_800));
    assert!((21_590..=21_600).contains(&window.ask_again));
}
