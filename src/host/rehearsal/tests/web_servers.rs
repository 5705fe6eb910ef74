//! Web servers in front of GoToSocial, all of them alike. What they answer in truth is seen in `tests/fronts/`.

use super::*;
use crate::front::{AccountDomain, Certificate, Front};
use crate::host::{Listener, ServiceState};

const NAME: &str = "gts.example.org";
const CHAIN: &str = "/usr/local/etc/ssl/gts/chain.pem";
const KEY: &str = "/usr/local/etc/ssl/gts/key.pem";

/// A machine with our site in front of GoToSocial's port.
fn rendered(front: Front) -> Fresh {
    let host = fresh();
    host.install_package(front.service).unwrap();
    host.set_rc_variable(&front.rc_variable(), Some("YES")).unwrap();
    host.put_certificate("/usr/local/etc/ssl/gts", NAME);
    let certificate = || Certificate { chain: CHAIN.into(), key: KEY.into() };
    let (name, backend) = (NAME.parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
    let assets = "/usr/local/libexec/gotosocial/current/web/assets".into();
    let mut settings = front.settings(front.packaged.clone(), name, certificate(), backend, 1, assets);
    settings.account_domain = Some(AccountDomain { name: "example.org".parse().unwrap(), certificate: certificate() });
    for (path, text) in front.render(&settings).unwrap() {
        host.write(path.to_str().unwrap(), &text);
    }
    let main = front.main_file();
    let text = host.text(main.to_str().unwrap());
    let edited = (front.with_site)(&main, text.as_bytes(), &*host.machine.borrow());
    host.write(main.to_str().unwrap(), std::str::from_utf8(&edited.unwrap()).unwrap());
    host
}

fn act(host: &Fresh, front: Front, action: ServiceAction) -> Result<(), HostError> {
    host.service_action(front.service, action)
}

fn main_text(host: &Fresh, front: Front) -> String {
    host.text(front.main_file().to_str().unwrap())
}

fn set_main(host: &Fresh, front: Front, text: &str) {
    host.write(front.main_file().to_str().unwrap(), text);
}

/// What the test of the configuration says; nothing if it is in order.
fn test(host: &Fresh, front: Front) -> String {
    let output = host.front_test(front, &front.main_file()).unwrap();
    assert_eq!(output.status == Some(0), output.stderr.is_empty(), "{}", output.stderr);
    output.stderr
}

/// A line that holds in the main file of each: in nginx's `http` block, or at Apache's end.
fn with_line(front: Front, text: &str, nginx: &str, httpd: &str) -> String {
    if front == Front::NGINX {
        text.replacen("http {", &format!("http {{\n{nginx}\n"), 1)
    } else {
        format!("{text}{httpd}\n")
    }
}

#[test]
fn our_site_leads_to_gotosocial_and_answers_for_it_while_it_is_down() {
    for front in Front::ALL {
        let host = rendered(front);
        host.install("0.19.2", &proxied_config());
        act(&host, front, ServiceAction::Start).unwrap();
        let down = host.ask(true, NAME, "/").unwrap();
        assert_eq!((down.status, down.retry_after.as_deref()), (503, Some("10")));
        host.start().unwrap();
        let answer = host.ask(true, NAME, "/nodeinfo/2.0").unwrap();
        assert_eq!((answer.certificate.unwrap().names, answer.retry_after), (vec![NAME.to_string()], None));
        assert!(String::from_utf8(answer.body).unwrap().contains("0.19.2"));
        for (path, status) in [("/readyz", 404), ("/livez", 404), ("/nodeinfo/2.0", 200), ("/", 200)] {
            assert_eq!(host.ask(true, NAME, path).unwrap().status, status, "{path}");
        }
        let redirect = host.ask(false, NAME, "/a?b").unwrap();
        assert_eq!((redirect.status, redirect.location.as_deref()), (301, Some("https://gts.example.org/a?b")));
        // The account domain only tells the way. Its certificate here is for the other name.
        let webfinger = host.ask_unverified("example.org", "/.well-known/webfinger?resource=x").unwrap();
        let there = "https://gts.example.org/.well-known/webfinger?resource=x";
        assert_eq!((webfinger.status, webfinger.location.as_deref()), (301, Some(there)));
        assert_eq!(host.ask_unverified("example.org", "/").unwrap().status, 404);
        // Nor does another name lead to GoToSocial.
        assert!(host.ask_unverified("other.example.org", "/").map_or(421, |answer| answer.status) == 421);
        assert_eq!(host.ask(false, "localhost", "/").unwrap().status, 200);
    }
}

#[test]
fn a_challenge_is_served_from_its_folder_without_tls() {
    for front in Front::ALL {
        let host = rendered(front);
        act(&host, front, ServiceAction::Start).unwrap();
        let token = "/usr/local/www/gts-bootstrap/.well-known/acme-challenge/token";
        let asked = || host.ask(false, NAME, "/.well-known/acme-challenge/token").unwrap();
        assert_eq!(asked().status, 404);
        host.write(token, "token.thumbprint");
        assert_eq!((asked().status, asked().body), (200, b"token.thumbprint".to_vec()));
        // The account that serves must be able to read it.
        host.put(token, "token.thumbprint", 0o600, Owner::ROOT);
        assert_eq!(asked().status, 403);
    }
}

#[test]
fn it_listens_as_root_starts_at_boot_and_stops() {
    for front in Front::ALL {
        let host = rendered(front);
        act(&host, front, ServiceAction::Start).unwrap();
        let sockets = |host: &Fresh| {
            let all = host.listeners().unwrap().sockets.into_iter().filter(|there| there.command == front.command);
            let mut all: Vec<(String, u16, bool)> = all.map(|there| (there.user, there.port, there.ipv6)).collect();
            all.sort_unstable();
            all
        };
        // The first process opens them, and another one serves.
        let each = |user: &str| {
            [(80, false), (80, true), (443, false), (443, true)].map(|(port, six)| (user.to_owned(), port, six))
        };
        let all = [each("root"), each("www")].concat();
        assert_eq!(sockets(&host), all);
        assert_eq!(host.bind_as(0, 443), BindOutcome::InUse);
        host.reboot().unwrap();
        assert_eq!(sockets(&host), all);
        act(&host, front, ServiceAction::Stop).unwrap();
        assert_eq!(host.ask(true, NAME, "/"), Err(WebFailure::Refused));
        host.set_rc_variable(&front.rc_variable(), Some("NO")).unwrap();
        host.reboot().unwrap();
        assert_eq!(host.service(front.service).unwrap(), ServiceState::Stopped);
    }
}

#[test]
fn what_is_not_known_passes_and_broken_syntax_does_not() {
    for front in Front::ALL {
        let host = rendered(front);
        act(&host, front, ServiceAction::Start).unwrap();
        let good = main_text(&host, front);
        let unknown = with_line(front, &good, "of_that_module { 1 2; on; }\nbrotli on;", "OfThatModule on");
        set_main(&host, front, &unknown);
        assert_eq!(test(&host, front), "");
        act(&host, front, ServiceAction::Reload).unwrap();
        for (nginx, httpd) in [
            ("include nowhere.conf;", "Include nowhere.conf"),
            ("server { listen 81", "<VirtualHost *:81>"),
            ("}}", "</VirtualHost>"),
            (
                "server { listen 8443 ssl; ssl_certificate /nowhere.pem; ssl_certificate_key /nowhere.key; }",
                "<VirtualHost *:8443>\nSSLCertificateFile /nowhere.pem\n</VirtualHost>",
            ),
        ] {
            set_main(&host, front, &with_line(front, &good, nginx, httpd));
            let said = test(&host, front);
            assert!(said.contains("nowhere") || said.contains(front.main), "{said}");
            assert_eq!(command_failure(&act(&host, front, ServiceAction::Reload).unwrap_err()).0, "exit status: 1");
            assert_eq!(host.ask(false, NAME, "/").unwrap().status, 301, "it goes on as before");
        }
        assert!(host.front_test(front, Path::new("/nowhere.conf")).unwrap().stderr.contains("/nowhere.conf"));
    }
}

#[test]
fn certificate_and_key_must_belong_together() {
    for front in Front::ALL {
        let host = rendered(front);
        let good = (host.text(CHAIN), host.text(KEY));
        for (chain, key) in [("x", good.1.as_str()), (&good.0, "x"), (&good.0, &other_key())] {
            act(&host, front, ServiceAction::Start).unwrap();
            host.put(CHAIN, chain, 0o644, Owner::ROOT);
            host.put(KEY, key, 0o600, Owner::ROOT);
            // Apache reads them only when it starts, and ends when a reload fails over them.
            assert_eq!(test(&host, front).is_empty(), !front.careful);
            assert_eq!(act(&host, front, ServiceAction::Reload).is_ok(), !front.careful);
            assert_eq!(host.service(front.service).unwrap().is_running(), front.careful);
            act(&host, front, ServiceAction::Stop).unwrap();
            assert!(act(&host, front, ServiceAction::Start).is_err());
            host.put(CHAIN, &good.0, 0o644, Owner::ROOT);
            host.put(KEY, &good.1, 0o600, Owner::ROOT);
        }
        // A new certificate counts from the reload on.
        act(&host, front, ServiceAction::Start).unwrap();
        let before = host.ask_unverified(NAME, "/").unwrap().certificate.unwrap();
        host.sleep(Duration::from_secs(86_400));
        host.put_certificate("/usr/local/etc/ssl/gts", NAME);
        assert_eq!(host.ask_unverified(NAME, "/").unwrap().certificate.unwrap(), before);
        act(&host, front, ServiceAction::Reload).unwrap();
        assert!(host.ask_unverified(NAME, "/").unwrap().certificate.unwrap().not_after > before.not_after);
    }
}

#[test]
fn ports_that_it_cannot_have() {
    for front in Front::ALL {
        let host = rendered(front);
        let start = |words: &str| {
            let (_, said) = command_failure(&act(&host, front, ServiceAction::Start).unwrap_err());
            assert!(said.contains(words), "{said}");
        };
        let other = Listener {
            user: "www".into(),
            uid: Some(80),
            command: "other".into(),
            pid: Some(9),
            address: None,
            ipv4: true,
            ipv6: false,
            port: 443,
            jail: None,
        };
        host.edit(|model| model.listeners.push(other)).unwrap();
        start("443 failed (Address already in use)");
        // Whatever it calls itself, it is another process. Root may bind beside one that has a single address.
        let single = Some(std::net::IpAddr::from([203, 0, 113, 10]));
        host.edit(|model| model.listeners[0].command = front.command.into()).unwrap();
        start("443 failed (Address already in use)");
        host.edit(|model| model.listeners[0].address = single).unwrap();
        act(&host, front, ServiceAction::Start).unwrap();
        act(&host, front, ServiceAction::Stop).unwrap();
        host.edit(|model| model.listeners[0].address = None).unwrap();
        // A test does not mind who has the port.
        assert_eq!(test(&host, front), "");
        host.edit(|model| model.listeners.clear()).unwrap();
        host.load_module("mac_portacl").unwrap();
        host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
        start("failed (Operation not permitted)");
        host.set_sysctl("security.mac.portacl.suser_exempt", "1").unwrap();
        let elsewhere =
            with_line(front, &main_text(&host, front), "server { listen 192.0.2.99:82; }", "Listen 192.0.2.99:82");
        set_main(&host, front, &elsewhere);
        start("192.0.2.99:82 failed (Can't assign requested address)");
    }
}

#[test]
fn a_site_is_chosen_by_address_name_and_order() {
    let nginx = "server { listen 80 default_server; return 444; }
        server { listen 80; server_name *.many.example.org; return 301 https://many.example.org$request_uri; }
        server { listen 203.0.113.10:80; return 301 https://own.example.org$request_uri; }";
    let httpd = "<VirtualHost *:80>\nRedirect 410 /\n</VirtualHost>
<VirtualHost *:80>\nServerAlias *.many.example.org\nRedirect / https://many.example.org/\n</VirtualHost>
<VirtualHost 203.0.113.10:80>\nRedirect / https://own.example.org/\n</VirtualHost>\nListen 80";
    for front in Front::ALL {
        let host = fresh();
        host.install_package(front.service).unwrap();
        host.set_rc_variable(&front.rc_variable(), Some("YES")).unwrap();
        let text = with_line(front, "events {}\nhttp {\n}\n", nginx, "");
        set_main(&host, front, if front == Front::NGINX { &text } else { httpd });
        act(&host, front, ServiceAction::Start).unwrap();
        let at = |name: &str, address: &str| {
            let address = Some(address.parse().unwrap());
            let answer = host.web(&WebRequest { address, ..request(false, name, "/", true) }).unwrap();
            (answer.status, answer.location)
        };
        assert_eq!(at("x.many.example.org", "127.0.0.1:80"), (301, Some("https://many.example.org/".to_owned())));
        assert_eq!(at("unknown", "127.0.0.1:80"), (421, None));
        assert_eq!(at("unknown", "203.0.113.10:80"), (301, Some("https://own.example.org/".to_owned())));
    }
}
