//! Orders with the real nginx in front, which answers the challenge from its folder, reloads, and shows what was issued.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use gts_bootstrap::certificate::Bundle;
use gts_bootstrap::certificate::placeholder::is_placeholder;
use gts_bootstrap::certificate::record::Records;
use gts_bootstrap::change::certificate::{leaf_digest, shown};
use gts_bootstrap::change::{Action, CertificateChange, CertificateOrder, Executor, Operator, Plan, ShownBy, Step};
use gts_bootstrap::deployment::{HostName, Layout};
use gts_bootstrap::host::Observe;
use gts_bootstrap::parts::tls;
use gts_bootstrap::release;

use super::orders::host as name;
use super::pebble::{Pebble, Wish};
use super::real_front::RealFront;
use super::stand_in::{Answer, StandIn};
use super::webroot::{Answers, Webroot};

struct Silent;

impl Operator for Silent {
    fn progress(&self) -> &dyn release::Progress {
        &release::NoProgress
    }
}

fn apply(host: &RealFront, certificate: CertificateChange) -> Result<(), String> {
    let step = Step::new("certificate", Action::Update, certificate);
    let plan = Plan { steps: vec![step], ..Plan::default() };
    let executor = Executor {
        host,
        source: None,
        authority: Some(&host.authority.internet),
        operator: &Silent,
        stop: &|| None,
        trial: None,
    };
    executor.apply("test", &plan).map(drop).map_err(|error| {
        assert_eq!(error.aftermath.failed, Vec::<String>::new());
        error.to_string()
    })
}

/// An order whose challenge is tried beforehand at `http`.
fn order(host: &RealFront, http: SocketAddr) -> Result<(), String> {
    order_for(host, http, name())
}

fn order_for(host: &RealFront, http: SocketAddr, name: HostName) -> Result<(), String> {
    let layout = Layout::default();
    let pair = tls::own_pair(&layout, &name);
    let order = CertificateOrder {
        name,
        directory: host.authority.directory.parse().unwrap(),
        email: None,
        account: layout.tls().join("account.json"),
        webroot: "/usr/local/www/gts-bootstrap".into(),
        http,
        chain: pair.chain,
        key: pair.key,
    };
    let front = ShownBy { service: "nginx".into(), https: host.https };
    apply(host, CertificateChange::Order { order, front, record: Some(tls::record(&layout)), spared: false })
}

/// What nginx shows, which is what lies in the file, with its key.
fn in_service(host: &RealFront) -> (String, Bundle) {
    let pair = tls::own_pair(&Layout::default(), &name());
    let (chain, key) = (host.read(&pair.chain).unwrap().unwrap(), host.read(&pair.key).unwrap().unwrap());
    let filed = leaf_digest(&chain).unwrap();
    // Workers from before a reload may take a connection or two before they go.
    for _ in 0..100 {
        if shown(host, host.https, &name()).as_ref() == Some(&filed) {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let shown = shown(host, host.https, &name()).unwrap();
    assert_eq!(shown, filed);
    (shown, Bundle::from_files(&key, &chain).unwrap())
}

/// nginx with a placeholder, and Pebble, which looks at it.
fn with_placeholder() -> (RealFront, Pebble) {
    // Pebble has to know the port of the front, and the front whom to ask.
    let mut host = RealFront::new(StandIn::start().as_authority());
    let pebble = Pebble::start(&Wish::new(host.http));
    host.authority = pebble.as_authority();
    let pair = tls::own_pair(&Layout::default(), &name());
    apply(&host, CertificateChange::Placeholder { name: name(), chain: pair.chain, key: pair.key }).unwrap();
    host.start();
    (host, pebble)
}

/// The same, once a certificate has been ordered.
fn with_certificate() -> (RealFront, Pebble) {
    let (host, pebble) = with_placeholder();
    order(&host, host.http).unwrap();
    (host, pebble)
}

fn failures(host: &RealFront) -> u32 {
    let records = Records::read(host.read(&tls::record(&Layout::default())).unwrap().as_deref());
    records.failures(name().as_str()).map_or(0, |failures| failures.count)
}

#[test]
fn a_first_certificate_takes_the_place_of_the_placeholder_and_is_renewed() {
    let (host, pebble) = with_placeholder();
    let (placeholder, bundle) = in_service(&host);
    assert!(is_placeholder(bundle.leaf()));
    order(&host, host.http).unwrap();
    let (first, bundle) = in_service(&host);
    assert_ne!(first, placeholder);
    assert!(bundle.leaf().issuer.contains("Pebble"), "{}", bundle.leaf().issuer);
    bundle.check(&name(), host.now()).unwrap();
    order(&host, host.http).unwrap();
    let (second, renewed) = in_service(&host);
    assert_ne!(second, first);
    assert_ne!(renewed.key_pem().expose(), bundle.key_pem().expose());
    // The pair before is kept, by the account that was made once, and the answers are gone.
    let kept = host.read(&Layout::default().tls().join(format!("{}.previous.pem", name()))).unwrap().unwrap();
    assert_eq!(leaf_digest(&kept), Some(first));
    assert!(!pebble.log().contains("There are now 2 accounts"));
    assert_eq!(host.list(Path::new("/usr/local/www/gts-bootstrap")).unwrap(), Vec::<String>::new());
}

/// Waits until clients are shown this leaf. A worker of before a reload may take a connection for as long as it takes nginx to
/// tell it to leave.
fn is_shown(host: &RealFront, name: &HostName, leaf: Option<String>) {
    let until = Instant::now() + Duration::from_secs(10);
    while shown(host, host.https, name) != leaf && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(shown(host, host.https, name), leaf);
}

#[test]
fn the_account_domain_has_a_certificate_of_its_own() {
    let domain: HostName = "example.org".parse().unwrap();
    let layout = Layout::default();
    let mut host = RealFront::answering_for(StandIn::start().as_authority(), Some(domain.clone()));
    let pebble = Pebble::start(&Wish::new(host.http));
    host.authority = pebble.as_authority();
    for name in [name(), domain.clone()] {
        let pair = tls::own_pair(&layout, &name);
        apply(&host, CertificateChange::Placeholder { name, chain: pair.chain, key: pair.key }).unwrap();
    }
    host.start();
    for name in [name(), domain.clone()] {
        order_for(&host, host.http, name.clone()).unwrap();
        let pair = tls::own_pair(&layout, &name);
        let (chain, key) = (host.read(&pair.chain).unwrap().unwrap(), host.read(&pair.key).unwrap().unwrap());
        let bundle = Bundle::from_files(&key, &chain).unwrap();
        bundle.check(&name, host.now()).unwrap();
        assert!(bundle.leaf().issuer.contains("Pebble"), "{}", bundle.leaf().issuer);
        is_shown(&host, &name, leaf_digest(&chain));
    }
    assert!(!pebble.log().contains("There are now 2 accounts"), "both are ordered by one account");
}

#[test]
fn a_wrong_answer_leaves_the_old_certificate_in_service() {
    let (mut host, _pebble) = with_certificate();
    let (old, _) = in_service(&host);
    // The authority comes out at somebody else's web server.
    let elsewhere = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(elsewhere.serve()));
    host.authority = pebble.as_authority();
    let error = order(&host, host.http).unwrap_err();
    assert!(error.contains("did not get the right answer") && error.contains("404"), "{error}");
    assert_eq!((in_service(&host).0, failures(&host)), (old.clone(), 1));

    // This host itself sees that it will not do: the authority is not even asked to look.
    let error = order(&host, elsewhere.serve()).unwrap_err();
    assert!(error.contains("the web server of this host answers"), "{error}");
    assert_eq!((in_service(&host).0, failures(&host)), (old, 2));
    assert_eq!(host.list(Path::new("/usr/local/www/gts-bootstrap")).unwrap(), Vec::<String>::new());
}

#[test]
fn a_rate_limit_leaves_the_old_certificate_in_service() {
    let (mut host, _pebble) = with_certificate();
    let (old, _) = in_service(&host);
    let limited = StandIn::start();
    let answer =
        Answer::problem(429, "rateLimited", "too many certificates already issued").with("Retry-After", "7200");
    limited.answer("/order", answer);
    host.authority = limited.as_authority();
    let error = order(&host, host.http).unwrap_err();
    assert!(error.contains("rate limit") && error.contains("too many certificates already issued"), "{error}");
    assert_eq!((in_service(&host).0, failures(&host)), (old, 1));
}

#[test]
fn an_authority_that_is_gone_leaves_the_old_certificate_in_service() {
    let (host, mut pebble) = with_certificate();
    let (old, _) = in_service(&host);
    pebble.stop();
    let error = order(&host, host.http).unwrap_err();
    assert!(error.contains("cannot be reached"), "{error}");
    assert_eq!((in_service(&host).0, failures(&host)), (old, 1));
}

#[test]
fn a_front_that_does_not_reload_gets_the_old_pair_back() {
    let (host, _pebble) = with_certificate();
    let (old, _) = in_service(&host);
    let main = host.main_file();
    let text = fs::read_to_string(&main).unwrap();
    fs::write(&main, format!("{text}nonsense;\n")).unwrap();
    let error = order(&host, host.http).unwrap_err();
    assert!(error.contains("does not serve the new certificate"), "{error}");
    assert!(error.contains("is in service again"), "{error}");
    assert_eq!((in_service(&host).0, failures(&host)), (old, 1));
    // Once it does again, the next order goes through.
    fs::write(&main, text).unwrap();
    order(&host, host.http).unwrap();
    assert_eq!(failures(&host), 0);
}
