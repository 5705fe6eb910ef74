//! The rendered configurations in the real web servers: what a client sees in front, and `GoToSocial` behind.
//!
//! Every case runs with nginx and with Apache httpd, from the system's packages, on ports of loopback.

#[macro_use]
mod with_both;
mod backend;
mod client;
mod server;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv6Addr, SocketAddr};

use gts_bootstrap::front::{AccountDomain, Front};

use server::{DOMAIN, HOST, Server, by_front, domain, hand_over};

with_both!(
    the_backend_learns_who_asks,
    a_client_cannot_pretend_to_be_another,
    a_path_is_passed_on_as_it_came,
    websockets_go_through,
    nothing_but_websockets_is_upgraded,
    uploads_up_to_the_limit_are_taken,
    without_a_backend_clients_are_told_to_come_back,
    http_leads_to_https,
    acme_challenges_are_answered,
    the_state_is_hidden,
    http2_is_spoken,
    old_tls_is_refused,
    the_account_domain_leads_to_the_host,
    other_names_get_nothing_of_ours,
    hsts_is_there_on_request_only,
    requests_are_logged_with_their_client,
    assets_are_served_from_their_folder,
    media_are_served_from_their_folder_if_allowed,
    filters_are_included,
    a_candidate_is_tested_beside_what_is_live,
    both_families_are_served,
);

fn plain_start(front: Front) -> Server {
    Server::start(front, backend::start(), |_, _| {})
}

fn with_account_domain(front: Front) -> Server {
    Server::start(front, backend::start(), |settings, _| {
        let certificate = settings.certificate.clone();
        settings.account_domain = Some(AccountDomain { name: domain(), certificate });
    })
}

fn the_backend_learns_who_asks(front: Front) {
    let answer = plain_start(front).get(HOST, "/users/alice?page=1");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.body.starts_with("GET /users/alice?page=1 HTTP/1.1\n"), "{}", answer.body);
    assert_eq!(answer.sent("Host"), Some(HOST));
    assert_eq!(answer.sent("X-Forwarded-For"), Some("127.0.0.1"));
    assert_eq!(answer.sent("X-Forwarded-Proto"), Some("https"));
    assert_eq!(answer.sent("Upgrade"), None);
    assert!(!answer.sent("Connection").is_some_and(|value| value.contains("pgrade")), "{}", answer.body);
}

fn a_client_cannot_pretend_to_be_another(front: Front) {
    let claims =
        ["X-Forwarded-For: 192.0.2.1", "X-Real-IP: 192.0.2.2", "Forwarded: for=192.0.2.3", "X-Forwarded-Proto: http"];
    let answer = plain_start(front).get_with(HOST, "/", &claims);
    assert_eq!((answer.status, answer.sent("X-Forwarded-For")), (200, Some("127.0.0.1")));
    assert_eq!(answer.sent("X-Forwarded-Proto"), Some("https"));
    assert!(!answer.body.contains("192.0.2."), "{}", answer.body);
}

fn a_path_is_passed_on_as_it_came(front: Front) {
    let path = "/a%2Fb/%40c/d%20e/@f/%C3%A4?q=%2F&r=a+b";
    let answer = plain_start(front).get(HOST, path);
    assert!(answer.body.starts_with(&format!("GET {path} HTTP/1.1\n")), "{answer:?}");
}

const UPGRADE: [&str; 3] =
    ["Connection: keep-alive, Upgrade", "Sec-WebSocket-Version: 13", "Origin: https://client.example"];

fn websockets_go_through(front: Front) {
    let server = plain_start(front);
    let mut stream = server.connect(HOST);
    let start = "GET /api/v1/streaming?stream=user HTTP/1.1";
    let key = format!("Sec-WebSocket-Key: {}", backend::WEBSOCKET_KEY);
    let host = format!("Host: {HOST}");
    let head = [&[start, &host, "Upgrade: websocket", &key][..], &UPGRADE].concat();
    let answer = client::exchange(&mut stream, &head, &mut std::io::empty());
    assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some(backend::WEBSOCKET_ACCEPT)));
    // "Hello", masked and unmasked: RFC 6455, section 5.7.
    for _ in 0..3 {
        stream.write_all(&[0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]).unwrap();
        stream.flush().unwrap();
        let mut echo = [0; 7];
        stream.read_exact(&mut echo).unwrap();
        assert_eq!(echo, [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    }
}

fn nothing_but_websockets_is_upgraded(front: Front) {
    let server = plain_start(front);
    for path in ["/api/v1/streaming", "/admin"] {
        let answer = server.get_with(HOST, path, &["Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"]);
        assert_eq!((answer.status, answer.sent("Upgrade")), (200, None), "{answer:?}");
    }
}

fn uploads_up_to_the_limit_are_taken(front: Front) {
    const FORTY: u64 = 40 * 1024 * 1024;
    let server = Server::start(front, backend::start(), |settings, _| {
        assert!(settings.body_limit > FORTY, "a file of the default limit fits, with the form around it");
        settings.body_limit = FORTY;
    });
    let head = |length: u64| {
        [
            "POST /api/v2/media HTTP/1.1".to_owned(),
            format!("Host: {HOST}"),
            format!("Content-Length: {length}"),
            "Connection: close".to_owned(),
        ]
    };
    let lines = head(FORTY);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let taken = client::exchange(&mut server.connect(HOST), &lines, &mut std::io::repeat(b'x').take(FORTY));
    assert_eq!((taken.status, taken.sent("received")), (200, Some("41943040")), "{taken:?}");

    // Refused by what it says of itself: nothing of the body has to be sent.
    let lines = head(FORTY + 1);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut stream = server.connect(HOST);
    client::send(&mut stream, &lines);
    assert_eq!(client::receive(&mut stream).status, 413);

    // And by what comes, where nothing was said before. Apache does not count that, and takes no such request.
    let refusal = by_front(front, 413, 411);
    let mut stream = server.connect(HOST);
    client::send(&mut stream, &["POST / HTTP/1.1", &format!("Host: {HOST}"), "Transfer-Encoding: chunked"]);
    let chunk = vec![b'x'; 1024 * 1024];
    // The server may close its side before all is sent; what counts is its answer.
    let mut sent = 0;
    while sent <= FORTY
        && write!(stream, "{:x}\r\n", chunk.len()).is_ok()
        && stream.write_all(&chunk).is_ok()
        && stream.write_all(b"\r\n").is_ok()
    {
        sent += chunk.len() as u64;
    }
    stream.write_all(b"0\r\n\r\n").ok();
    assert_eq!(client::receive(&mut stream).status, refusal);

    // HTTP/2 needs no length at all.
    let body = reqwest::blocking::Body::new(std::io::repeat(b'x').take(FORTY + 1));
    let answer = http2(&server).post(format!("https://{}/x", server.origin(HOST))).body(body).send();
    match answer {
        Ok(answer) => assert_eq!(answer.status().as_u16(), refusal),
        // Refused in the middle of sending.
        Err(error) => assert!(error.is_request() || error.is_body(), "{error:?}"),
    }
    let log = server.await_text(&server.settings.logs[0], &format!("\"POST /x HTTP/2.0\" {refusal}"));
    assert!(!log.contains("\"POST /x HTTP/2.0\" 200"), "{log}");
}

fn without_a_backend_clients_are_told_to_come_back(front: Front) {
    let absent = backend::Absent::new();
    let server = Server::start(front, absent.address, |_, _| {});
    for path in ["/", "/users/alice/inbox", "/api/v1/streaming"] {
        let answer = server.get(HOST, path);
        assert_eq!((answer.status, answer.header("Retry-After")), (503, Some("10")), "{path} {answer:?}");
        assert_eq!(answer.header("Cache-Control"), Some("no-store"));
        assert!(answer.header("Content-Type").unwrap().starts_with("text/html"), "{answer:?}");
        assert!(answer.body.contains("social.example.org is being restarted"), "{answer:?}");
    }
    absent.arrive();
    // At once, and not when some pause is over.
    let answer = server.get(HOST, "/");
    assert_eq!((answer.status, answer.header("Retry-After")), (200, None), "{answer:?}");
}

fn http_leads_to_https(front: Front) {
    let server = with_account_domain(front);
    for name in [HOST, DOMAIN] {
        let answer = server.get_plain(name, "/@alice/statuses/1?a=b&c=%20d");
        let to = format!("https://{}/@alice/statuses/1?a=b&c=%20d", server.origin(name));
        assert_eq!((answer.status, answer.header("Location")), (301, Some(&to[..])), "{answer:?}");
    }
}

fn acme_challenges_are_answered(front: Front) {
    let server = with_account_domain(front);
    let token = server.settings.acme_webroot.join(".well-known/acme-challenge/token-1_A");
    fs::write(&token, "token-1_A.thumbprint").unwrap();
    hand_over(&token);
    for name in [HOST, DOMAIN] {
        let answer = server.get_plain(name, "/.well-known/acme-challenge/token-1_A");
        assert_eq!((answer.status, answer.body.as_str()), (200, "token-1_A.thumbprint"), "{answer:?}");
        assert!(answer.header("Content-Type").unwrap().starts_with("text/plain"), "{answer:?}");
        assert_eq!(server.get_plain(name, "/.well-known/acme-challenge/other").status, 404);
    }
}

fn the_state_is_hidden(front: Front) {
    let server = plain_start(front);
    for path in ["/livez", "/readyz", "/readyz?x=1", "//readyz", "/%72eadyz", "/x/../livez"] {
        assert_eq!(server.get(HOST, path).status, 404, "{path}");
    }
    assert_eq!(server.get(HOST, "/readyz/x").status, 200);
}

/// A client that speaks HTTP/2.
fn http2(server: &Server) -> reqwest::blocking::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::blocking::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_der(&server.root).unwrap()])
        .resolve(HOST, server.https())
        .no_proxy()
        .build()
        .unwrap()
}

fn http2_is_spoken(front: Front) {
    let server = plain_start(front);
    let (_, agreed) = client::tls(server.https(), HOST, &server.root, &["h2", "http/1.1"]).unwrap();
    assert_eq!(agreed.as_deref(), Some("h2"));
    let client = http2(&server);
    let url = format!("https://{}/x", server.origin(HOST));
    let answer = client.post(url).body(vec![b'x'; 3_000_000]).send().unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let body = answer.text().unwrap();
    assert!(body.starts_with("POST /x HTTP/1.1\n") && body.ends_with("received: 3000000\n"), "{body}");
    assert!(body.to_lowercase().contains("\nx-forwarded-proto: https\n"), "{body}");
}

fn old_tls_is_refused(front: Front) {
    let server = with_account_domain(front);
    for name in [HOST, DOMAIN] {
        // An alert, protocol_version.
        assert_eq!(client::old_hello(server.https(), name, 0x0302), (21, 70));
        // The same with 1.2 is taken, so it was the version that was wrong.
        assert_eq!(client::old_hello(server.https(), name, 0x0303).0, 22);
    }
}

fn the_account_domain_leads_to_the_host(front: Front) {
    let server = with_account_domain(front);
    for path in
        ["/.well-known/webfinger?resource=acct:alice@example.org", "/.well-known/host-meta", "/.well-known/nodeinfo"]
    {
        let answer = server.get(DOMAIN, path);
        let to = format!("https://{}{path}", server.origin(HOST));
        assert_eq!((answer.status, answer.header("Location")), (301, Some(&to[..])), "{answer:?}");
    }
    for path in ["/", "/api/v1/instance", "/users/alice", "/.well-known/other"] {
        assert_eq!(server.get(DOMAIN, path).status, 404, "{path}");
    }
    assert_eq!(server.get(HOST, "/.well-known/webfinger?resource=acct:a@b.c").status, 200);
}

fn other_names_get_nothing_of_ours(front: Front) {
    let server = plain_start(front);
    // The package's own page is still where it was.
    assert_eq!(server.get_plain("localhost", "/").body, "the package's own page\n");
    let own = server.get_plain("other.example", "/");
    assert_eq!((own.status, own.body.as_str()), (200, "the package's own page\n"));
    if front == Front::NGINX {
        let refused = client::tls(server.https(), "other.example", &server.root, &[]).err().unwrap();
        assert!(refused.to_string().contains("UnrecognisedName"), "{refused}");
        let mut stream = server.connect(HOST);
        client::send(&mut stream, &["GET / HTTP/1.1", "Host: other.example"]);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok();
        assert!(!String::from_utf8_lossy(&answer).contains("200 OK"), "{answer:?}");
    } else {
        let head = ["GET / HTTP/1.1", "Host: other.example", "Connection: close"];
        let answer = client::exchange(&mut server.connect(HOST), &head, &mut std::io::empty());
        assert_eq!(answer.status, 421, "{answer:?}");
    }
}

fn hsts_is_there_on_request_only(front: Front) {
    const HSTS: &str = "Strict-Transport-Security";
    let absent = backend::Absent::new();
    for wanted in [false, true] {
        let server = Server::start(front, backend::start(), |settings, folder| {
            fs::write(folder.join("assets/a.css"), "a").unwrap();
            fs::write(folder.join("storage/a.webp"), "a").unwrap();
            settings.hsts = wanted;
            settings.media = Some(folder.join("storage"));
            let certificate = settings.certificate.clone();
            settings.account_domain = Some(AccountDomain { name: domain(), certificate });
        });
        let expected = wanted.then_some("max-age=63072000");
        for (name, path) in [
            (HOST, "/"),
            (HOST, "/livez"),
            (HOST, "/assets/a.css"),
            (HOST, "/fileserver/a.webp"),
            (DOMAIN, "/"),
            (DOMAIN, "/.well-known/host-meta"),
        ] {
            assert_eq!(server.get(name, path).header(HSTS), expected, "{name}{path}");
        }
        // Not without TLS: RFC 6797, section 7.2.
        assert_eq!(server.get_plain(HOST, "/").header(HSTS), None);
        let down = Server::start(front, absent.address, |settings, _| settings.hsts = wanted);
        assert_eq!(down.get(HOST, "/").header(HSTS), expected);
    }
}

fn requests_are_logged_with_their_client(front: Front) {
    let server = plain_start(front);
    server.get_with(HOST, "/logged?a", &["X-Forwarded-For: 192.0.2.1", "User-Agent: a-test/1"]);
    server.get_plain(HOST, "/plain");
    server.await_text(&server.settings.logs[0], "GET /plain HTTP/1.1\" 301");
    let log = server.await_text(&server.settings.logs[0], "\"GET /logged?a HTTP/1.1\" 200");
    let line = log.lines().find(|line| line.contains("/logged")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - [") && line.ends_with("\"a-test/1\""), "{line}");
}

fn assets_are_served_from_their_folder(front: Front) {
    let absent = backend::Absent::new();
    let server = Server::start(front, absent.address, |_, folder| {
        fs::create_dir(folder.join("assets/dist")).unwrap();
        fs::write(folder.join("assets/dist/base.css"), "body {}\n").unwrap();
    });
    let answer = server.get(HOST, "/assets/dist/base.css");
    assert_eq!((answer.status, answer.body.as_str()), (200, "body {}\n"), "{answer:?}");
    assert_eq!(answer.header("Content-Type"), Some("text/css"));
    let cache = answer.all("Cache-Control").join(", ");
    assert!(cache.contains("public") && cache.contains("max-age=300"), "{answer:?}");
    for path in ["/assets/none.css", "/assets/../key.pem", "/assets/%2e%2e/key.pem"] {
        assert_ne!(server.get(HOST, path).status, 200, "{path}");
    }
    assert_ne!(server.get(HOST, "/assets/dist/").status, 200, "folders are not listed");
}

fn media_are_served_from_their_folder_if_allowed(front: Front) {
    let prepare = |folder: &std::path::Path| {
        fs::create_dir_all(folder.join("storage/01A/attachment/original")).unwrap();
        fs::write(folder.join("storage/01A/attachment/original/01B.webp"), "picture").unwrap();
        fs::create_dir(folder.join("storage/certs")).unwrap();
        fs::write(folder.join("storage/certs/social.example.org"), "secret").unwrap();
    };
    let path = "/fileserver/01A/attachment/original/01B.webp";
    let direct = Server::start(front, backend::start(), |settings, folder| {
        prepare(folder);
        settings.media = Some(folder.join("storage"));
    });
    let answer = direct.get(HOST, path);
    assert_eq!((answer.status, answer.body.as_str()), (200, "picture"), "{answer:?}");
    assert_eq!(answer.header("Content-Type"), Some("image/webp"));
    let cache = answer.all("Cache-Control").join(", ");
    assert!(["private", "immutable", "max-age=604800"].iter().all(|word| cache.contains(word)), "{answer:?}");
    // What is not there may be fetched by GoToSocial.
    let missing = direct.get(HOST, "/fileserver/01A/attachment/original/01C.webp");
    assert!(missing.status == 200 && missing.body.starts_with("GET /fileserver/01A/"), "{missing:?}");
    for path in [
        "/fileserver/certs/social.example.org",
        "/fileserver//certs/social.example.org",
        "/fileserver/x/../certs/social.example.org",
    ] {
        let answer = direct.get(HOST, path);
        assert!(answer.status == 404 && !answer.body.contains("secret"), "{path} {answer:?}");
    }
    let passed_on = Server::start(front, backend::start(), |_, folder| prepare(folder));
    assert!(passed_on.get(HOST, path).body.starts_with("GET /fileserver/01A/"));
}

fn filters_are_included(front: Front) {
    let server = Server::start(front, backend::start(), |settings, _| {
        let (global, site) = by_front(
            front,
            ("map $uri $filtered { default 0; /secret 1; }", "if ($filtered) { return 403; }"),
            ("Define FILTERED ^/secret$", "RewriteEngine On\nRewriteRule \"${FILTERED}\" - [F]"),
        );
        for (folder, text) in [(settings.global_filters(), global), (settings.site_filters(), site)] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("10-test.conf"), format!("{text}\n")).unwrap();
        }
    });
    assert_eq!((server.get(HOST, "/secret").status, server.get(HOST, "/open").status), (403, 200));
}

/// As a change of the site is tested: the live one stays where it is read, and does not count.
fn a_candidate_is_tested_beside_what_is_live(front: Front) {
    let server = plain_start(front);
    assert_eq!(server.test_candidate(|site| site.to_owned()), Ok(()));
    let refused = server.test_candidate(|site| format!("{site}\nnonsense on;\n")).unwrap_err();
    assert!(refused.contains("nonsense"), "{refused}");
    assert_eq!(server.get(HOST, "/").status, 200, "what is live goes on");
}

fn both_families_are_served(front: Front) {
    let server = plain_start(front);
    let six = |port: u16| SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    assert_eq!(server.get_plain_at(six(server.settings.http_port.get()), HOST, "/").status, 301);
    let (mut stream, _) = client::tls(six(server.settings.https_port.get()), HOST, &server.root, &[]).unwrap();
    let head = ["GET / HTTP/1.1", &format!("Host: {HOST}"), "Connection: close"];
    let answer = client::exchange(&mut stream, &head, &mut std::io::empty());
    assert_eq!((answer.status, answer.sent("X-Forwarded-For")), (200, Some("::1")));
}

/// The package's own way to spread its work. HTTP/2 is not spoken with it; all else is.
#[test]
fn httpd_works_with_prefork() {
    let server = Server::start_with(Front::HTTPD, backend::start(), "prefork", |_, _| {});
    assert_eq!(server.get(HOST, "/").status, 200);
    let (_, agreed) = client::tls(server.https(), HOST, &server.root, &["h2", "http/1.1"]).unwrap();
    assert_eq!(agreed.as_deref(), Some("http/1.1"));
}
