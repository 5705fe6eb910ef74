//! An account domain that is another name than the host: who answers for it behind a web server.

use std::time::Duration;

use gts_bootstrap::host::rehearsal::{Authority, Rehearsal};
use gts_bootstrap::host::{Carried, Observe, WebAnswer, WebFailure, WebRequest};

use super::switch::{changed, kernel};
use super::switch_others::{BACK, there};
use crate::machine::{ANSWERS, Machine};

const NOTHING: Vec<std::path::PathBuf> = Vec::new();
const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const OWN_PAIR: &str = "/usr/local/etc/gts-bootstrap/tls/example.org.pem";

fn answers() -> String {
    ANSWERS.replace("\n\n[tls]", "\naccount-domain = \"example.org\"\n\n[tls]")
}

fn direct() -> Machine {
    let machine = Machine::installed(&answers());
    // GoToSocial has its certificate by then.
    machine.run(&["check"]).exits(0);
    machine
}

/// What somebody who looks for alice@example.org gets.
fn webfinger(machine: &Machine) -> Result<WebAnswer, WebFailure> {
    Rehearsal::open(machine.root()).unwrap().web(&WebRequest {
        tls: true,
        host: "example.org".to_owned(),
        address: None,
        path: "/.well-known/webfinger?resource=acct:alice@example.org".to_owned(),
        carries: Carried::default(),
        verify: true,
        timeout: Duration::from_secs(5),
    })
}

#[test]
fn an_account_domain_that_leads_here_is_answered_for() {
    for program in ["nginx", "httpd"] {
        let machine = direct();
        let (before, kernel_before) = (machine.copy(), kernel(&machine));
        machine.run(&there(program)).exits(0).does_not_say("accounts are @example.org");
        let answer = webfinger(&machine).unwrap();
        assert_eq!(answer.status, 301);
        assert!(answer.location.unwrap().starts_with("https://social.example.org/.well-known/webfinger?resource="));
        assert_eq!(answer.certificate.unwrap().names, ["example.org"]);
        machine.run(&["certificate", "status"]).exits(0).says("names social.example.org").says("names example.org");
        machine.run(&there(program)).exits(0).says("Nothing to change");
        // Both are renewed.
        let first = machine.read(OWN_PAIR);
        machine.edit(|model| model.clock += 70 * 86_400);
        machine.run(&["certificate", "renew", "--yes"]).exits(0).says("2 changes made");
        assert_ne!(machine.read(OWN_PAIR), first);
        machine
            .run(&["certificate", "renew", "--yes"])
            .exits(0)
            .says("social.example.org: not due")
            .says("example.org: not due");
        // On the way back the host's goes to GoToSocial's cache, which has no use for the other.
        machine.run(BACK).exits(0);
        machine.run(&["check"]).exits(0);
        machine.run(&["certificate", "status"]).exits(0);
        let different: Vec<_> = changed(&before, &machine);
        let cache = std::path::Path::new("var/db/gotosocial/storage/certs/social.example.org");
        assert!(different.iter().all(|path| path == cache), "{different:?}");
        assert_eq!(kernel(&machine), kernel_before);
    }
}

#[test]
fn an_installation_behind_a_front_orders_both() {
    let machine = Machine::fresh();
    machine.install(&format!("{}\n[exposure]\nmode = \"nginx\"\n", answers())).exits(0);
    assert_eq!(webfinger(&machine).unwrap().status, 301);
    assert_eq!(machine.model().issued, 2);
}

#[test]
fn an_account_domain_elsewhere_is_told_with_its_redirects() {
    for (addresses, why) in [
        (vec!["198.51.100.7".parse().unwrap()], "resolves to 198.51.100.7, which is not this host"),
        (vec![], "that name has no address"),
    ] {
        let machine = direct();
        machine.edit(|model| drop(model.dns.insert("example.org".to_owned(), addresses)));
        machine
            .run(&["switch-to-proxy", "--plan"])
            .exits(0)
            .says("warning: accounts are @example.org")
            .says(why)
            .says("return 301 https://social.example.org$request_uri;")
            .says("RedirectMatch 301 \"^/(\\.well-known/");
        machine.run(&there("nginx")).exits(0);
        assert!(!machine.exists(OWN_PAIR));
        machine.run(&["certificate", "status"]).exits(0);
        machine.run(BACK).exits(0);
    }
    // Nobody knows where it leads.
    let machine = direct();
    machine.edit(|model| model.faults.resolver_fails = true);
    machine
        .run(&["switch-to-proxy", "--plan"])
        .exits(0)
        .says("warning: accounts are @example.org")
        .says("the name example.org could not be looked up: Name could not be resolved")
        .does_not_say("has no address");
    // Behind NAT both lead to an address that is none of the machine's.
    let machine = direct();
    machine.edit(|model| {
        for name in ["social.example.org", "example.org"] {
            model.dns.insert(name.to_owned(), vec!["198.51.100.7".parse().unwrap()]);
        }
    });
    machine.run(&["switch-to-proxy", "--plan"]).exits(0).says("ordered from").does_not_say("accounts are @example.org");
}

#[test]
fn an_account_domain_of_another_site_stays_its() {
    let machine = direct();
    machine.install_package("nginx");
    let site = "    server {\n        listen 80;\n        server_name example.org;\n    }\n}\n";
    let text = machine.read(NGINX_CONF);
    let http_ends = text.trim_end().strip_suffix('}').unwrap();
    machine.write(NGINX_CONF, &format!("{http_ends}{site}"));
    let before = machine.copy();
    machine
        .run(&there("nginx"))
        .exits(0)
        .says("the site at /usr/local/etc/nginx/nginx.conf:")
        .says("return 301 https://social.example.org$request_uri;");
    assert!(!machine.exists(OWN_PAIR));
    machine.run(BACK).exits(0);
    assert_eq!(changed(&before, &machine), NOTHING);
}

#[test]
fn a_certificate_that_cannot_be_had_for_it_does_not_take_the_switch_back() {
    let machine = direct();
    let before = machine.copy();
    machine.edit(|model| model.authority = Authority::RateLimited);
    machine
        .run(&there("nginx"))
        .exits(0)
        .says("note: there is no certificate for example.org yet")
        .says("too many certificates")
        .says("`gts-bootstrap certificate renew` tries at once");
    machine.run(&["certificate", "status"]).exits(3).says("example.org: it is a placeholder");
    let behind = machine.copy();
    machine.edit(|model| model.authority = Authority::Issues);
    machine.run(&["certificate", "renew", "--yes"]).exits(0);
    machine.run(&["certificate", "status"]).exits(0);
    assert_eq!(webfinger(&machine).unwrap().status, 301);
    behind.run(BACK).exits(0);
    assert_eq!(changed(&before, &behind), NOTHING);
}

#[test]
fn who_keeps_the_one_certificate_keeps_the_other() {
    let machine = direct();
    machine.run(&there("nginx")).exits(0);
    let named = |ending: &str| format!("/usr/local/etc/ssl/mine.{ending}");
    for ending in ["pem", "key"] {
        let from = format!("/usr/local/etc/gts-bootstrap/tls/social.example.org.{ending}");
        machine.write(&named(ending), &machine.read(&from));
    }
    let pair = format!("[tls]\ncertificate = \"{}\"\nkey = \"{}\"\n", named("pem"), named("key"));
    let fresh = Machine::fresh();
    for ending in ["pem", "key"] {
        fresh.write(&named(ending), &machine.read(&named(ending)));
    }
    fresh.edit(|model| model.clock = machine.model().clock);
    fresh
        .install(&format!("{}\n[exposure]\nmode = \"nginx\"\n", answers().replace("[tls]\n", &pair)))
        .exits(0)
        .says("none is ordered, because another client manages the host's");
    assert_eq!(fresh.model().issued, 0);
}
