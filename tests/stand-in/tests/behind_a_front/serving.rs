//! Pages, addresses, redirects, and a server that stops, starts slowly, and is there again.

use gts_bootstrap::front::Front;
use serde_json::{Value, json};

use super::client::{self, Answer};
use super::server::{HOST, Server};
use super::{AGENT, backend};
use crate::instance::Instance;

with_both!(
    the_pages_of_the_instance_come_through,
    the_log_names_the_client,
    the_state_is_hidden_from_outside_alone,
    http_leads_to_https,
    a_restart_needs_nothing_of_the_front,
);

fn start(front: Front, instance: &Instance) -> Server {
    Server::start(front, backend(instance), |_, _| {})
}

fn get(front: &Server, path: &str) -> Answer {
    front.get_with(HOST, path, &[AGENT])
}

/// Asks the backend itself.
fn direct(instance: &Instance, path: &str, headers: &[&str]) -> Answer {
    let start = [format!("GET {path} HTTP/1.1"), format!("Host: {HOST}")];
    let head: Vec<&str> = start.iter().map(String::as_str).chain(headers.iter().copied()).collect();
    client::exchange(&mut client::plain(backend(instance)), &head, &mut std::io::empty())
}

fn the_pages_of_the_instance_come_through(front: Front) {
    for version in ["0.19.2", "0.20.0-rc1"] {
        let instance = Instance::proxied(version);
        let _running = instance.started();
        let server = start(front, &instance);
        let text = |path: &str| {
            let answer = get(&server, path);
            assert_eq!(answer.status, 200, "{path} {answer:?}");
            answer.body
        };
        let json = |path: &str| serde_json::from_str::<Value>(&text(path)).unwrap();
        assert_eq!(json("/.well-known/nodeinfo")["links"][0]["href"], format!("https://{HOST}/nodeinfo/2.0"));
        assert_eq!(json("/nodeinfo/2.0")["software"], json!({"name": "gotosocial", "version": version}));
        let template = format!("template=\"https://{HOST}/.well-known/webfinger?resource={{uri}}\"");
        assert!(text("/.well-known/host-meta").contains(&template));
        let actor = json(&format!("/.well-known/webfinger?resource=acct:{HOST}@{HOST}"));
        assert_eq!(actor["subject"], format!("acct:{HOST}@{HOST}"));
        assert_eq!(json("/api/v1/instance")["uri"], HOST);
        assert_eq!(json("/api/v2/instance")["configuration"]["urls"]["streaming"], format!("wss://{HOST}"));
        assert!(text("/").contains(HOST));
        // What the instance refuses, it refuses in its own way.
        for (path, status) in [
            (&format!("/.well-known/webfinger?resource=acct:nobody@{HOST}")[..], 404),
            ("/.well-known/webfinger?resource=nonsense", 400),
            ("/users/alice", 401),
            ("/nowhere", 404),
        ] {
            let answer = get(&server, path);
            assert_eq!((answer.status, answer.body), (status, direct(&instance, path, &[AGENT]).body), "{path}");
        }
        let websocket = ["Upgrade: websocket", "Connection: Upgrade, close", AGENT];
        assert_eq!(server.get_with(HOST, "/api/v1/streaming", &websocket).status, 401);
        let nameless = server.get(HOST, "/readyz/");
        assert!(nameless.status == 418 && nameless.body.contains("no user-agent"), "{nameless:?}");
    }
}

fn the_log_names_the_client(front: Front) {
    // Loopback is where the request does come from, so what a client says of itself would be seen.
    let claims = [AGENT, "X-Forwarded-For: 203.0.113.1, 203.0.113.2", "X-Real-IP: 203.0.113.3"];
    for (version, name) in [("0.19.2", "path"), ("0.20.0-rc1", "uri")] {
        let instance = Instance::proxied(version);
        let running = instance.started();
        // The backend believes loopback, so a front that passed these on would be believed.
        direct(&instance, "/believed", &claims);
        running.wait_for(&format!("statusCode=404 {name}=/believed clientIP=203.0.113.2 "));
        let server = start(front, &instance);
        assert_eq!(server.get_with(HOST, "/nodeinfo/2.0?a=b", &claims).status, 200);
        running.wait_for(&format!("method=GET statusCode=200 {name}=/nodeinfo/2.0 clientIP=127.0.0.1 "));
    }
}

fn the_state_is_hidden_from_outside_alone(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let server = start(front, &instance);
    for path in ["/livez", "/readyz"] {
        assert_eq!((get(&server, path).status, direct(&instance, path, &[AGENT]).status), (404, 200), "{path}");
    }
}

fn http_leads_to_https(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let server = start(front, &instance);
    let path = "/.well-known/webfinger?resource=acct:alice@example.org";
    let answer = server.get_plain(HOST, path);
    let to = format!("https://{}{path}", server.origin(HOST));
    assert_eq!((answer.status, answer.header("Location")), (301, Some(&to[..])), "{answer:?}");
}

/// Our own page: the web server found nobody.
#[track_caller]
fn assert_absent(server: &Server) {
    for path in ["/", "/nodeinfo/2.0", "/api/v1/streaming", "/users/alice/inbox"] {
        let answer = get(server, path);
        assert_eq!((answer.status, answer.all("Retry-After")), (503, vec!["10"]), "{path} {answer:?}");
        assert_eq!(answer.all("Cache-Control"), ["no-store"], "{path} {answer:?}");
        assert!(answer.body.contains(&format!("{HOST} is being restarted")), "{path} {answer:?}");
    }
}

fn a_restart_needs_nothing_of_the_front(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let running = instance.started();
    let server = start(front, &instance);
    assert_eq!(get(&server, "/nodeinfo/2.0").status, 200);
    assert_eq!(running.stop(), 0);
    assert_absent(&server);

    // While it starts it speaks for itself.
    let slow = instance.start(&[("STAND_IN_READY_AFTER", "600")]);
    slow.wait_for("no new migrations to run");
    for path in ["/", "/nodeinfo/2.0", "/api/v1/streaming", "/users/alice/inbox"] {
        let (seen, own) = (get(&server, path), direct(&instance, path, &[AGENT]));
        assert_eq!((seen.status, &seen.body), (503, &own.body), "{path} {seen:?}");
        assert!(seen.body.contains("GoToSocial is starting"), "{seen:?}");
        for name in ["Cache-Control", "Content-Type"] {
            assert_eq!(seen.header(name), own.header(name), "{path} {seen:?}");
        }
        // Seconds, and a date, which goes on from one request to the next.
        let [seconds, date] = seen.all("Retry-After")[..] else { panic!("{path} {seen:?}") };
        assert!(seconds == "120" && date.ends_with(" GMT"), "{path} {seen:?}");
    }
    assert_eq!(get(&server, "/livez").status, 404);
    assert_eq!(slow.stop(), 143);
    assert_absent(&server);

    let _running = instance.started();
    let answer = get(&server, "/nodeinfo/2.0");
    assert_eq!((answer.status, answer.header("Retry-After")), (200, None), "{answer:?}");
}
