//! nginx in front of GoToSocial. What it says was seen of nginx 1.22.

use std::net::IpAddr;

use super::*;
use crate::host::{FrontProgram, ServiceState};

const FOLDER: &str = "/usr/local/etc/nginx";
const CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const NAME: &str = "gts.example.org";

fn with_nginx(conf: &str) -> Fresh {
    let host = fresh();
    host.install_package("nginx").unwrap();
    host.set_rc_variable("nginx_enable", Some("YES")).unwrap();
    host.write(CONF, conf);
    host.put_certificate("/usr/local/etc/ssl/gts", NAME);
    host
}

fn start(host: &Fresh) -> Result<(), HostError> {
    host.service_action("nginx", ServiceAction::Start)
}

fn reload(host: &Fresh) -> Result<(), HostError> {
    host.service_action("nginx", ServiceAction::Reload)
}

fn ask(host: &Fresh, tls: bool, name: &str, path: &str) -> Result<WebAnswer, WebFailure> {
    host.ask(tls, name, path)
}

/// The configuration of this program, as rendered for the package.
fn rendered() -> Fresh {
    let main = "events {}\nhttp {\n    include mime.types;\n    include gts-bootstrap/gotosocial.conf;\n}\n";
    let host = with_nginx(main);
    host.write(&format!("{FOLDER}/gts-bootstrap/gotosocial.conf"), include_str!("rendered/nginx.conf"));
    host.write(&format!("{FOLDER}/gts-bootstrap/tls.inc"), include_str!("rendered/nginx-tls.inc"));
    host
}

/// What a test of a configuration says; nothing if it is in order.
fn test(host: &Fresh, conf: &str) -> String {
    host.write(CONF, conf);
    let output = host.front_test(FrontProgram::Nginx, Path::new(CONF)).unwrap();
    assert_eq!(output.status == Some(0), output.stderr.is_empty(), "{}", output.stderr);
    output.stderr
}

#[test]
fn our_configuration_leads_to_gotosocial_and_answers_for_it_while_it_is_down() {
    let host = rendered();
    host.install("0.19.2", &proxied_config());
    assert_eq!(host.front_test(FrontProgram::Nginx, Path::new(CONF)).unwrap().stderr, "");
    start(&host).unwrap();
    let down = ask(&host, true, NAME, "/livez/x").unwrap();
    assert_eq!((down.status, down.retry_after.as_deref()), (503, Some("10")));
    assert!(String::from_utf8(down.body).unwrap().contains("gts.example.org is being restarted"));
    host.start().unwrap();
    let answer = ask(&host, true, NAME, "/nodeinfo/2.0").unwrap();
    assert_eq!((answer.certificate.unwrap().names, answer.retry_after), (vec![NAME.to_string()], None));
    assert!(String::from_utf8(answer.body).unwrap().contains("0.19.2"));
    // What is for this machine alone is not shown; assets are nginx's own.
    for (path, status) in [
        ("/readyz", 404),
        ("//readyz", 404),
        ("/../x", 400),
        ("/livez", 404),
        ("/readyz/x", 404),
        ("/assets/logo.webp", 200),
        ("/assets/no", 404),
        ("/", 200),
    ] {
        assert_eq!(ask(&host, true, NAME, path).unwrap().status, status, "{path}");
    }
    let redirect = ask(&host, false, NAME, "/a?b").unwrap();
    assert_eq!((redirect.status, redirect.location.as_deref()), (301, Some("https://gts.example.org/a?b")));
    // The account domain only tells the way. Its certificate here is for the other name.
    let asked = |path: &str| host.ask_unverified("example.org", path).unwrap();
    let webfinger = asked("/.well-known/webfinger?resource=acct:a@example.org");
    let there = "https://gts.example.org/.well-known/webfinger?resource=acct:a@example.org";
    assert_eq!((webfinger.status, webfinger.location.as_deref()), (301, Some(there)));
    assert_eq!(asked("/").status, 404);
    assert!(matches!(ask(&host, true, "other.example.org", "/"), Err(WebFailure::Tls(_))));
    assert_eq!(
        ask(&host, false, "other.example.org", "/"),
        Err(WebFailure::Other("connection closed before message completed".into()))
    );
    host.stop();
    assert_eq!(ask(&host, true, NAME, "/").unwrap().status, 503);
}

#[test]
fn a_challenge_is_served_from_its_folder_without_tls() {
    let host = rendered();
    start(&host).unwrap();
    let token = "/var/db/gts-bootstrap/acme/.well-known/acme-challenge/token";
    let asked = || ask(&host, false, NAME, "/.well-known/acme-challenge/token").unwrap();
    assert_eq!(asked().status, 404);
    host.write(token, "token.thumbprint");
    assert_eq!((asked().status, asked().body), (200, b"token.thumbprint".to_vec()));
    // The account that serves must be able to read it.
    host.put(token, "token.thumbprint", 0o600, Owner::ROOT);
    assert_eq!(asked().status, 403);
    host.put(token, "token.thumbprint", 0o644, Owner::ROOT);
    host.make_directory(Path::new("/var/db/gts-bootstrap"), 0o700, Owner::ROOT).unwrap();
    assert_eq!(asked().status, 403);
}

#[test]
fn it_listens_as_root_starts_at_boot_and_stops() {
    let host = rendered();
    host.install("0.19.2", &proxied_config());
    start(&host).unwrap();
    let sockets = |host: &Fresh| -> Vec<(String, u16, bool, bool)> {
        let all = host.listeners().unwrap().into_iter().filter(|l| l.command == "nginx");
        all.map(|l| (l.user, l.port, l.ipv4, l.ipv6)).collect()
    };
    let root = || "root".to_string();
    let all =
        [(root(), 80, true, false), (root(), 80, false, true), (root(), 443, true, false), (root(), 443, false, true)];
    assert_eq!(sockets(&host), all);
    assert_eq!(host.bind_as(0, 443), BindOutcome::InUse);
    host.reboot().unwrap();
    assert_eq!(sockets(&host), all);
    assert_eq!(ask(&host, true, NAME, "/").unwrap().status, 200);
    host.service_action("nginx", ServiceAction::Stop).unwrap();
    assert_eq!(ask(&host, true, NAME, "/"), Err(WebFailure::Refused));
    host.set_rc_variable("nginx_enable", Some("NO")).unwrap();
    host.reboot().unwrap();
    assert_eq!(host.service("nginx").unwrap(), ServiceState::Stopped);
    assert!(start(&host).unwrap_err().to_string().contains("nginx_enable to YES"));
}

#[test]
fn a_new_configuration_counts_from_the_reload_on_and_a_broken_one_not_at_all() {
    let host = with_nginx("events {} http { server { location / { return 404; } } }");
    start(&host).unwrap();
    assert_eq!(ask(&host, false, NAME, "/").unwrap().status, 404);
    host.write(CONF, "events {} http { include sites/*.conf; include one.conf; }");
    host.write(&format!("{FOLDER}/one.conf"), "server { location / { return 204; } }");
    assert_eq!(ask(&host, false, NAME, "/").unwrap().status, 404);
    reload(&host).unwrap();
    assert_eq!(ask(&host, false, NAME, "/").unwrap().status, 204);
    host.write(CONF, "events {} http { frobnicate on; }");
    let (status, text) = command_failure(&reload(&host).unwrap_err());
    assert_eq!(status, "exit status: 1");
    assert!(
        text.starts_with("nginx: [emerg] unknown directive \"frobnicate\" in /usr/local/etc/nginx/nginx.conf:1"),
        "{text}"
    );
    assert_eq!(ask(&host, false, NAME, "/").unwrap().status, 204);
    // A port that somebody else has is no fault of the configuration; it shows after the reload, in the log alone.
    host.edit(|model| {
        model.listeners.push(crate::host::Listener {
            user: "www".into(),
            uid: Some(80),
            command: "other".into(),
            pid: Some(9),
            address: None,
            ipv4: true,
            ipv6: false,
            port: 81,
        })
    })
    .unwrap();
    assert_eq!(test(&host, "events {} http { server { listen 81; } }"), "");
    reload(&host).unwrap();
    assert_eq!(ask(&host, false, NAME, "/").unwrap().status, 204);
    host.service_action("nginx", ServiceAction::Stop).unwrap();
    assert!(
        command_failure(&start(&host).unwrap_err())
            .1
            .contains("bind() to 0.0.0.0:81 failed (48: Address already in use)")
    );
}

#[test]
fn what_nginx_refuses_is_refused_in_its_words() {
    let host = with_nginx("");
    for (conf, words) in [
        ("http {", "unexpected end of file, expecting \"}\" in /usr/local/etc/nginx/nginx.conf:1"),
        ("}", "unexpected \"}\""),
        (";", "unexpected \";\""),
        (
            "events {} http {\n x \"",
            "unexpected end of file, expecting \";\" or \"}\" in /usr/local/etc/nginx/nginx.conf:2",
        ),
        ("user \"a\"b;", "unexpected \"b\""),
        (
            "include nosuch.conf;",
            "open() \"/usr/local/etc/nginx/nosuch.conf\" failed (2: No such file or directory) in",
        ),
        ("include nginx.conf;", "too many open files"),
        ("http {}", "no \"events\" section in configuration"),
        ("events {} events {}", "\"events\" directive is duplicate"),
        ("events {} http { server { foo bar; } }", "unknown directive \"foo\""),
        ("events {} http { server_name x; }", "\"server_name\" directive is not allowed here"),
        ("events {} http { server { proxy_pass http://127.0.0.1; } }", "\"proxy_pass\" directive is not allowed here"),
        ("events {} http { server { return; } }", "invalid number of arguments in \"return\" directive"),
        ("events {} http { server; }", "directive \"server\" has no opening \"{\""),
        ("events {} http { server { listen 80 {} } }", "directive \"listen\" is not terminated by \";\""),
        ("events {} http { server { internal on; http2 maybe; } }", "\"internal\" directive is not allowed here"),
        (
            "events {} http { server { http2 maybe; } }",
            "invalid value \"maybe\" in \"http2\" directive, it must be \"on\" or \"off\"",
        ),
        ("events {} http { server { listen x:y; } }", "invalid port in \"x:y\" of the \"listen\" directive"),
        ("events {} http { server { listen 80 bogus; } }", "invalid parameter \"bogus\""),
        ("events {} http { server { listen 80; listen 80; } }", "a duplicate listen 0.0.0.0:80"),
        (
            "events {} http { server { listen 80 default_server; } server { listen 80 default_server; } }",
            "a duplicate default server for 0.0.0.0:80",
        ),
        ("events {} http { server { location /a {} location /a {} } }", "duplicate location \"/a\""),
        (
            "events {} http { server { location ~ ( {} } }",
            "pcre2_compile() failed: missing closing parenthesis in \"(\"",
        ),
        ("events {} http { server { location ! / {} } }", "invalid location modifier \"!\""),
        ("events {} http { server { location / { return 301 $nosuch; } } }", "unknown \"nosuch\" variable"),
        ("events {} http { server { location / { proxy_pass ftp://x; } } }", "invalid URL prefix"),
        ("events {} http { server { location / { proxy_pass http://gone.example; } } }", "host not found in upstream"),
        (
            "events {} http { server { listen 443 ssl; } }",
            "no \"ssl_certificate\" is defined for the \"listen ... ssl\"",
        ),
        (
            "events {} http { server { ssl_certificate no.pem; } }",
            "no \"ssl_certificate_key\" is defined for certificate",
        ),
    ] {
        host.edit(|model| drop(model.dns.insert("gone.example".into(), Vec::new()))).unwrap();
        let said = test(&host, conf);
        assert!(said.starts_with("nginx: [emerg]") && said.contains(words), "{conf}: {said}");
        assert!(said.ends_with("nginx: configuration file /usr/local/etc/nginx/nginx.conf test failed\n"), "{said}");
    }
    let none = host.front_test(FrontProgram::Nginx, Path::new("/nosuch.conf")).unwrap();
    assert!(none.stderr.contains("open() \"/nosuch.conf\" failed"), "{}", none.stderr);
}

#[test]
fn what_nginx_takes_is_taken() {
    let host = with_nginx("");
    for conf in [
        "events {} # \"\nhttp { include sites/*.conf; }",
        "events { worker_connections 5; } http { map $http_upgrade $x { default ''; ~*^a$ b; } log_format y '$x ${host}'; }",
        "events {} http { geo $bad { default 0; 192.0.2.0/24 1; } server { if ($bad) { return 403; } } }",
        "events {} http { limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s; server { limit_req zone=a burst=5; } }",
        "events {} http { server { location ~ ^/(?<name>a+)$ { return 301 /$name$1; } } }",
        "load_module modules/x.so; events {} http { of_that_module on; }",
        "events {} http { server { listen 443 ssl; ssl_reject_handshake on; return 444; } }",
        "events {} http { upstream back { server 127.0.0.1:8080; } server { location / { proxy_pass http://back; } } }",
        include_str!("../packages/nginx.conf"),
    ] {
        assert_eq!(test(&host, conf), "", "{conf}");
    }
}

#[test]
fn certificate_and_key_must_be_there_and_belong_together() {
    let host = rendered();
    let (chain, key) = ("/usr/local/etc/ssl/gts/chain.pem", "/usr/local/etc/ssl/gts/key.pem");
    let good = (host.text(chain), host.text(key));
    let main = host.text(CONF);
    for (chain_text, key_text, words) in [
        (
            None,
            Some(good.1.as_str()),
            "cannot load certificate \"/usr/local/etc/ssl/gts/chain.pem\": BIO_new_file() failed",
        ),
        (
            Some("x"),
            Some(good.1.as_str()),
            "cannot load certificate \"/usr/local/etc/ssl/gts/chain.pem\": PEM_read_bio",
        ),
        (Some(good.0.as_str()), None, "cannot load certificate key \"/usr/local/etc/ssl/gts/key.pem\": BIO_new_file()"),
        (
            Some(good.0.as_str()),
            Some("x"),
            "cannot load certificate key \"/usr/local/etc/ssl/gts/key.pem\": PEM_read_bio",
        ),
        (
            Some(good.0.as_str()),
            Some(&other_key()),
            "SSL_CTX_use_PrivateKey(\"/usr/local/etc/ssl/gts/key.pem\") failed",
        ),
    ] {
        for (path, text) in [(chain, chain_text), (key, key_text)] {
            match text {
                Some(text) => host.put(path, text, 0o600, Owner::ROOT),
                None => host.remove(Path::new(path)).unwrap(),
            }
        }
        let said = test(&host, &main);
        assert!(said.contains(words), "{said}");
        assert!(command_failure(&start(&host).unwrap_err()).1.contains(words));
    }
    // A new certificate counts from the reload on.
    host.put(chain, &good.0, 0o644, Owner::ROOT);
    host.put(key, &good.1, 0o600, Owner::ROOT);
    start(&host).unwrap();
    let before = ask(&host, true, NAME, "/").unwrap().certificate.unwrap();
    host.sleep(std::time::Duration::from_secs(86_400));
    host.put_certificate("/usr/local/etc/ssl/gts", NAME);
    assert_eq!(ask(&host, true, NAME, "/").unwrap().certificate.unwrap(), before);
    reload(&host).unwrap();
    assert!(ask(&host, true, NAME, "/").unwrap().certificate.unwrap().not_after > before.not_after);
}

#[test]
fn ports_that_it_cannot_have() {
    let host = rendered();
    host.install("0.19.2", &direct_config());
    host.open_ports();
    host.start().unwrap();
    assert!(host.runs());
    let (_, text) = command_failure(&start(&host).unwrap_err());
    assert!(text.contains("bind() to 0.0.0.0:80 failed (48: Address already in use)"), "{text}");
    assert!(text.contains("bind() to [::]:443 failed (48: Address already in use)"), "{text}");
    assert!(text.contains("nginx: [emerg] still could not bind()"), "{text}");
    // A test does not mind who has the port, but does mind that nobody may.
    assert_eq!(test(&host, &host.text(CONF)), "");
    host.stop();
    host.set_sysctl("security.mac.portacl.suser_exempt", "0").unwrap();
    let (_, text) = command_failure(&start(&host).unwrap_err());
    assert!(text.contains("failed (1: Operation not permitted)") && !text.contains("still"), "{text}");
    assert!(test(&host, &host.text(CONF)).contains("failed (1: Operation not permitted)"));
    host.set_sysctl("security.mac.portacl.suser_exempt", "1").unwrap();
    let elsewhere = "events {} http { server { listen 192.0.2.99:80; } }";
    assert!(test(&host, elsewhere).contains("bind() to 192.0.2.99:80 failed (49: Can't assign requested address)"));
    host.edit(|model| model.ipv6 = false).unwrap();
    assert!(test(&host, "events {} http { server { listen [::]:80; } }").contains("socket() [::]:80 failed (47: "));
}

#[test]
fn locations_and_servers_are_chosen_as_nginx_chooses() {
    let conf = r#"
events {}
http {
    server { listen 80; server_name first; return 201; }
    server {
        listen 80; listen 203.0.113.10:81;
        server_name gts.example.org *.many.example.org;
        error_page 404 /missing;
        error_page 500 502 = @down;
        error_page 410 https://elsewhere.example/;
        error_page 411 =418 /missing;
        root /srv;
        location = /exact { return 202; }
        location /a { return 203; }
        location ^~ /a/firm { return 204; }
        location ~ \.php$ { return 205; }
        location ~* \.JPE?G$ { return 206; }
        location /gone { return 410; }
        location /length { return 411; }
        location /back { proxy_pass http://127.0.0.1:9; }
        location /files { alias /srv/other; try_files $uri =406; }
        location = /missing { return 207 "nothing at $request_uri"; }
        location @down { add_header Retry-After 7; return 200 "down"; }
        location /inner { internal; }
    }
    server { listen 80 default_server; return 299; }
}
"#;
    let host = with_nginx(conf);
    host.write("/srv/there.txt", "there");
    host.write("/srv/other/x", "x");
    start(&host).unwrap();
    let asked = |name: &str, path: &str| ask(&host, false, name, path).unwrap();
    for (path, status) in [
        ("/exact", 202),
        ("/length", 418),
        ("/a/x", 203),
        ("/a/x.php", 205),
        ("/a/firm/x.php", 204),
        ("/b.jpg", 206),
        ("/b.php?c", 205),
        ("/there.txt", 200),
        ("/files/x", 200),
        ("/files/y", 406),
        ("/inner", 404),
        ("/no", 404),
    ] {
        assert_eq!(asked(NAME, path).status, status, "{path}");
    }
    assert_eq!(asked(NAME, "/no").body, b"nothing at /no");
    let down = asked(NAME, "/back");
    assert_eq!((down.status, down.retry_after.as_deref(), down.body.as_slice()), (200, Some("7"), &b"down"[..]));
    assert_eq!(asked(NAME, "/gone").location.as_deref(), Some("https://elsewhere.example/"));
    for (name, status) in [("first", 201), ("x.y.many.example.org", 202), ("many.example.org", 299), ("unknown", 299)] {
        assert_eq!(asked(name, "/exact").status, status, "{name}");
    }
    let local: IpAddr = "127.0.0.1".parse().unwrap();
    assert!(host.listeners().unwrap().iter().any(|l| l.port == 81 && l.address.is_some_and(|a| a != local)));
}
