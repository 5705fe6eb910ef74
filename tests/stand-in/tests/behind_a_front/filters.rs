//! Rendered filters within the rendered site.
//!
//! Loopback is never filtered. So the web server is told to believe the tests where they come from, which is all that is
//! added to what is rendered.

use std::fs;
use std::path::Path;

use gts_bootstrap::filter::{Filters, Lists};
use gts_bootstrap::front::{Front, FrontSettings};

use super::backend;
use super::client::Answer;
use super::server::{HOST, Server, by_front};
use crate::instance::Instance;

with_both!(
    addresses_are_refused_everywhere,
    agents_are_refused,
    paths_are_protected,
    the_backend_learns_the_filtered_address,
    without_rules_nobody_is_refused,
);

const RULES: &str = "deny 198.51.100.0/24
allow 198.51.100.7
deny 2001:db8:bad::/48
deny agent BadBot
protect /settings from 192.0.2.0/24 fd00::/8
";
const DENIED: &str = "198.51.100.9";
const ALLOWED: &str = "198.51.100.7";
const STRANGER: &str = "203.0.113.5";

/// Puts the filters where the site includes them.
fn write_filters(front: Front, rules: &str, settings: &FrontSettings) {
    let (filters, lists) = (Filters::parse(rules).unwrap(), Lists::default());
    let folder = settings.own_folder().join("filters");
    for (path, content) in (front.filters)(&filters, &lists, &folder).unwrap() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let believe = by_front(
        front,
        "set_real_ip_from 127.0.0.1;\nreal_ip_header X-Test-Address;\n".to_owned(),
        format!(
            "LoadModule remoteip_module \"{}/mod_remoteip.so\"\nRemoteIPHeader X-Test-Address\nRemoteIPInternalProxy 127.0.0.1\n",
            settings.modules.display()
        ),
    );
    fs::write(settings.global_filters().join("00-address.conf"), believe).unwrap();
}

fn start(front: Front, instance: &Instance, rules: &str) -> Server {
    Server::start(front, backend(instance), |settings, folder| {
        write_filters(front, rules, settings);
        add_files(settings, folder);
    })
}

/// What the web server has without asking anybody.
fn add_files(settings: &mut FrontSettings, folder: &Path) {
    fs::write(folder.join("assets/a.css"), "a").unwrap();
    fs::write(folder.join("storage/a.webp"), "a").unwrap();
    fs::write(folder.join("acme/.well-known/acme-challenge/token"), "t").unwrap();
    settings.media = Some(folder.join("storage"));
    settings.hsts = true;
}

fn get_as(server: &Server, address: &str, agent: &str, path: &str) -> Answer {
    server.get_with(HOST, path, &[&format!("X-Test-Address: {address}"), &format!("User-Agent: {agent}")])
}

fn get(server: &Server, address: &str, path: &str) -> u16 {
    get_as(server, address, "tests", path).status
}

fn addresses_are_refused_everywhere(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let running = instance.started();
    let server = start(front, &instance, RULES);
    let pages = [
        ("/", 200),
        ("/nodeinfo/2.0", 200),
        ("/users/alice", 401),
        ("/assets/a.css", 200),
        ("/fileserver/a.webp", 200),
        ("/fileserver/b.webp", 404),
        ("/api/v1/streaming", 401),
        ("/livez", 404),
    ];
    for (path, status) in pages {
        for address in [DENIED, "2001:db8:bad::1"] {
            assert_eq!(get(&server, address, path), 403, "{address} {path}");
        }
        for address in [ALLOWED, STRANGER, "2001:db8::1"] {
            assert_eq!(get(&server, address, path), status, "{address} {path}");
        }
        // This machine itself: no address told.
        assert_eq!(server.get_with(HOST, path, &["User-Agent: tests"]).status, status, "{path}");
    }
    // Certificates are ordered from addresses that nobody knows beforehand.
    assert_eq!(server.get_plain(HOST, "/.well-known/acme-challenge/token").body, "t");
    // Nobody who is refused learns that GoToSocial is away.
    assert_eq!(running.stop(), 0);
    assert_eq!((get(&server, DENIED, "/"), get(&server, STRANGER, "/")), (403, 503));
}

fn agents_are_refused(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let server = start(front, &instance, RULES);
    for path in ["/", "/assets/a.css", "/fileserver/a.webp"] {
        for (address, agent, status) in [
            (STRANGER, "Mozilla/5.0 (compatible; badbot/1.0)", 403),
            (STRANGER, "Mozilla/5.0", 200),
            // Who is allowed by address may call himself what he likes.
            (ALLOWED, "BadBot", 200),
            ("127.0.0.1", "BadBot", 200),
        ] {
            assert_eq!(get_as(&server, address, agent, path).status, status, "{address} {agent} {path}");
        }
    }
}

fn paths_are_protected(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let server = start(front, &instance, RULES);
    for path in ["/settings", "/settings/admin?x=1", "//settings", "/%73ettings", "/settings%2Fadmin", "/x/../settings"]
    {
        assert_eq!(get(&server, STRANGER, path), 403, "{path}");
        // The address that is never denied is no address that may come here.
        assert_eq!(get(&server, ALLOWED, path), 403, "{path}");
    }
    for address in ["192.0.2.8", "fd00::1", "127.0.0.1"] {
        // The stand-in has no such page.
        assert_eq!(get(&server, address, "/settings/admin"), 404, "{address}");
    }
    assert_eq!(get(&server, STRANGER, "/settingsx"), 404);
}

fn the_backend_learns_the_filtered_address(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let running = instance.started();
    let server = start(front, &instance, RULES);
    for address in [ALLOWED, STRANGER, "2001:db8::1"] {
        assert_eq!(get(&server, address, "/nodeinfo/2.0"), 200);
        running.wait_for(&format!("statusCode=200 path=/nodeinfo/2.0 clientIP={address} "));
        server.await_text(&server.settings.logs[0], &format!("{address} - - ["));
    }
    assert_eq!(get(&server, DENIED, "/nodeinfo/2.0"), 403);
    server.await_text(&server.settings.logs[0], &format!("{DENIED} - - ["));
    assert!(!instance.log().contains(DENIED), "{}", instance.log());
}

fn without_rules_nobody_is_refused(front: Front) {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let server = start(front, &instance, "");
    for address in [DENIED, "2001:db8:bad::1"] {
        for (path, status) in [("/", 200), ("/settings", 404), ("/assets/a.css", 200), ("/livez", 404)] {
            assert_eq!(get_as(&server, address, "BadBot", path).status, status, "{address} {path}");
        }
    }
}

/// Apache cannot count requests.
#[test]
fn who_comes_too_often_to_nginx_learns_when_to_come_back() {
    let instance = Instance::proxied("0.19.2");
    let _running = instance.started();
    let rules = "rate /nodeinfo 1/m burst 0\nrate /assets 1/m burst 0\nrate /fileserver 1/m burst 0\n";
    let server = start(Front::NGINX, &instance, rules);
    for path in ["/nodeinfo/2.0", "/assets/a.css", "/fileserver/a.webp"] {
        let first = get_as(&server, STRANGER, "tests", path);
        assert_eq!((first.status, first.header("Retry-After")), (200, None), "{path} {first:?}");
        let second = get_as(&server, STRANGER, "tests", path);
        assert_eq!((second.status, second.header("Retry-After")), (429, Some("60")), "{path} {second:?}");
        assert!(second.header("Strict-Transport-Security").is_some(), "{path} {second:?}");
    }
}
