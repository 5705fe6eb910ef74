//! Orders that end well, at Pebble.

use std::time::{SystemTime, UNIX_EPOCH};

use gts_bootstrap::certificate::acme::{Account, AcmeError};
use gts_bootstrap::certificate::{Bundle, KeyType};
use gts_bootstrap::deployment::HostName;

use super::authority::{order, register, renewal_window};
use super::pebble::{Pebble, Wish};
use super::webroot::{Answers, Webroot};

pub fn host() -> HostName {
    "social.example.org".parse().unwrap()
}

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// Registers and orders for one name.
fn obtain(pebble: &Pebble, webroot: &mut Webroot) -> Result<(Account, Bundle), AcmeError> {
    let authority = pebble.as_authority();
    let account = register(&authority, None)?;
    let bundle = order(&authority, &account, None, webroot)?;
    Ok((account, bundle))
}

#[test]
fn a_certificate_is_ordered_and_renewed() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(webroot.serve()));
    let authority = pebble.as_authority();
    let email = "admin@example.org".parse().unwrap();
    let account = register(&authority, Some(&email)).unwrap();

    let first = order(&authority, &account, None, &mut webroot).unwrap();
    first.check(&host(), now()).unwrap();
    assert_eq!(first.leaf().names, [host().as_str()]);
    assert_eq!(first.leaf().key, KeyType::Ec);
    assert!(first.leaf().issuer.contains("Pebble"), "{}", first.leaf().issuer);
    assert!(first.chain_pem().matches("BEGIN CERTIFICATE").count() > 1, "the issuer has to be in the chain");
    assert_eq!((webroot.published, webroot.left()), (1, 0), "the answer is withdrawn");

    // GoToSocial gets it back in its own form, and it is the same certificate.
    let cache = Bundle::from_pem(first.autocert_pem().unwrap().expose().as_bytes()).unwrap();
    assert_eq!(cache.leaf(), first.leaf());

    // The renewal is by the account as it was kept, and has a key of its own.
    let kept = Account::from_json(account.to_json().expose()).unwrap();
    let second = order(&authority, &kept, Some(&first), &mut webroot).unwrap();
    second.check(&host(), now()).unwrap();
    assert_ne!(second.leaf_der(), first.leaf_der());
    assert_ne!(second.key_pem().expose(), first.key_pem().expose());
    assert_eq!(webroot.left(), 0);
    let log = pebble.log();
    assert!(log.contains("There are now 1 accounts") && !log.contains("There are now 2 accounts"), "{log}");
}

#[test]
fn what_was_proved_already_is_not_proved_again() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish { reused_authorizations: 100, ..Wish::new(webroot.serve()) });
    let (account, _) = obtain(&pebble, &mut webroot).unwrap();
    order(&pebble.as_authority(), &account, None, &mut webroot).unwrap();
    assert_eq!(webroot.published, 1);
}

#[test]
fn refused_nonces_are_survived() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish { refused_nonces: 60, ..Wish::new(webroot.serve()) });
    let (_, bundle) = obtain(&pebble, &mut webroot).unwrap();
    bundle.check(&host(), now()).unwrap();
    assert_eq!(webroot.left(), 0);
}

#[test]
fn an_authority_that_takes_its_time_is_waited_for() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish { slow: Some(3), ..Wish::new(webroot.serve()) });
    let (_, bundle) = obtain(&pebble, &mut webroot).unwrap();
    bundle.check(&host(), now()).unwrap();
}

#[test]
fn an_authority_without_renewal_information_has_no_opinion() {
    let mut webroot = Webroot::new(Answers::Right);
    let pebble = Pebble::start(&Wish::new(webroot.serve()));
    let (account, bundle) = obtain(&pebble, &mut webroot).unwrap();
    // This is Pebble 2.4, in Debian 12. A newer one has an opinion, and it must be a sensible one.
    if let Some(window) = renewal_window(&pebble.as_authority(), &account, &bundle).unwrap() {
        assert!(window.start < window.end && window.end <= bundle.leaf().not_after);
    }
}
