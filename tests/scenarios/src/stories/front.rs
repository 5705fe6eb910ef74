//! A web server in front: there and back, from one to the other, on trial, cut off, and what stays of others.
//!
//! The packages are there before each story and stay: a real machine may have no internet to get them from again. What
//! happens where the program installs them itself is told in `tests/rehearsal/switch.rs`.

use std::path::Path;

use gts_bootstrap::certificate::Bundle;
use gts_bootstrap::host::{Listener, Owner, ServiceAction};

use super::crash::{TRIES, run_and_kill};
use super::refusals::refused;
use super::said;
use crate::bench::{
    ANSWERS, Bench, CONFIG, HOST, HTTPD, NGINX, NOBODY, OWN_FOLDER, RESERVED_HIGH, RULES, SERVICE, USER, WebServer,
    ensure,
};
use crate::impostor::Impostor;
use crate::mirror::certificate;
use crate::outcome::Outcome;
use crate::reset::{FOLDERS, HTTPD_SITE, NGINX_SITE};
use crate::snapshot::Snapshot;
use crate::trouble::{Trouble, trouble};

const NGINX_CONF: &str = "/usr/local/etc/nginx/nginx.conf";
const CACHE: &str = "/var/db/gotosocial/storage/certs/social.example.org";
const CHAIN: &str = "/usr/local/etc/gts-bootstrap/tls/social.example.org.pem";
const KEY: &str = "/usr/local/etc/gts-bootstrap/tls/social.example.org.key";
const OUR_RULES: &str = "uid:209:tcp:80,uid:209:tcp:443";
/// A user of the base system who has a rule, and the rule.
const FOREIGN: &str = "uid:53:tcp:53";
/// After how many changes a switch is killed, counted from the stop before. It has some thirty.
const STOPS: [usize; 6] = [1, 5, 5, 5, 4, 3];
/// A port that is no privileged one, for a site of somebody else's.
const OTHER_PORT: u16 = 8081;
/// nginx as somebody else has set it up: a site of their own, on another port.
const OTHERS: &str = "# mine\nevents {\n}\nhttp {\n    server {\n        listen 8081;\n        server_name \
                      www.example.org;\n        root /usr/local/www;\n    }\n}\n";

/// Seconds of a trial: what is to be proved is seen long before a minute is over.
const TRIAL: [&str; 2] = ["--trial", "15"];

fn to(bench: &Bench, server: &WebServer) -> Result<Outcome, String> {
    bench.run(&[&["switch-to-proxy", server.name, "--yes"][..], &TRIAL].concat())
}

pub(super) fn to_direct(bench: &Bench) -> Result<Outcome, String> {
    bench.run(&[&["switch-to-direct", "--yes"][..], &TRIAL].concat())
}

/// The host as a switch has to leave it: no times, no data and logs of the servers, no folders that may be there anyway.
fn system(bench: &Bench) -> Result<Snapshot, String> {
    let taken = Snapshot::take(bench)?.system().without_data().without("/var/log").without("/var/run");
    Ok(taken.without_folders(&FOLDERS))
}

/// Who has ports 80 and 443, that GoToSocial listens on loopback alone and may have neither.
pub(super) fn is_in_front(bench: &Bench, server: &WebServer) -> Result<(), String> {
    let host = bench.host()?;
    let uid = host.user(USER).map_err(said)?.ok_or("there is no user gotosocial")?.uid;
    for user in [uid, NOBODY] {
        for port in [80, 443, 25] {
            bench.may_bind(user, port, false)?;
        }
    }
    let listeners = host.listeners().map_err(said)?;
    let workers = host.user("www").map_err(said)?.map(|user| user.uid);
    let theirs = |it: &Listener| it.command == server.command && (it.uid == Some(0) || it.uid == workers);
    for port in [80, 443] {
        let mut on_port = listeners.iter().filter(|listener| listener.port == port).peekable();
        let held = on_port.peek().is_some() && on_port.all(theirs);
        ensure(held, format!("port {port} is not {}'s: {listeners:?}", server.name))?;
    }
    let mut behind = listeners.iter().filter(|listener| listener.uid == Some(uid)).peekable();
    let hidden = behind.peek().is_some()
        && behind.all(|there| there.port == 8080 && there.address.is_some_and(|address| address.is_loopback()));
    ensure(hidden, format!("GoToSocial does not listen on loopback alone, port 8080: {listeners:?}"))?;
    let config = bench.text(CONFIG)?;
    for line in ["letsencrypt-enabled: false", "bind-address: \"127.0.0.1\"", "port: 8080", "trusted-proxies:"] {
        ensure(config.contains(line), format!("{line} is not in {config}"))?;
    }
    let check = bench.run(&["check", "--json"])?.exits(0)?;
    for name in ["front", "listens 80", "listens 443", "backend", "https", "http", "hidden", "readyz"] {
        let status = check.check(name)?;
        ensure(status == "pass", format!("the check {name:?} says {status}"))?;
    }
    Ok(())
}

pub(super) fn is_direct(bench: &Bench) -> Result<(), String> {
    bench.ports_are_guarded()?;
    bench.run(&["check"])?.exits(0).map(drop)
}

/// A second run finds nothing to do, and does nothing.
fn once_is_enough(bench: &Bench, command: &[&str]) -> Result<(), String> {
    let (before, pid) = (Snapshot::take(bench)?.without("/var/log"), bench.pid()?);
    bench.run(command)?.exits(0)?.says("Nothing to change")?.does_not_say("were refused for")?;
    before.is_still(&Snapshot::take(bench)?.without("/var/log"))?;
    ensure(bench.pid()? == pid, "the service was restarted")
}

/// There and back again, by way of these.
fn there_and_back(bench: &Bench, servers: &[&WebServer]) -> Result<(), String> {
    let (before, certificate) = (system(bench)?, bench.text(CACHE)?);
    for server in servers {
        to(bench, server)?
            .exits(0)?
            .says("Connections to 80 and 443 were refused for")?
            .says("gotosocial (209) 443 tcp4 ok may not")?
            .does_not_say("remove package")?;
        is_in_front(bench, server)?;
        for other in [&NGINX, &HTTPD] {
            ensure(bench.exists(other.site)? == (other.name == server.name), format!("{} is not right", other.site))?;
        }
        once_is_enough(bench, &[&["switch-to-proxy", server.name, "--yes"][..], &TRIAL].concat())?;
    }
    to_direct(bench)?.exits(0)?.says("Connections to 80 and 443 were refused for")?;
    is_direct(bench)?;
    before.is_still(&system(bench)?)?;
    ensure(bench.text(CACHE)? == certificate, "GoToSocial has another certificate")?;
    once_is_enough(bench, &[&["switch-to-direct", "--yes"][..], &TRIAL].concat())
}

pub(super) fn to_nginx_and_back(bench: &Bench) -> Result<(), String> {
    there_and_back(bench, &[&NGINX])
}

pub(super) fn to_httpd_and_back(bench: &Bench) -> Result<(), String> {
    there_and_back(bench, &[&HTTPD])
}

pub(super) fn from_front_to_front(bench: &Bench) -> Result<(), String> {
    there_and_back(bench, &[&NGINX, &HTTPD])
}

pub(super) fn planned_first(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    let json = bench.run(&["switch-to-proxy", "--plan", "--json"])?.exits(0)?.json()?;
    ensure(json["command"] == "switch-to-proxy" && json["changed"] == true, json.to_string())?;
    let changes = json["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    for kind in ["front-include", "front-test", "service", "sysctl"] {
        ensure(changes.iter().any(|change| change["kind"] == kind), format!("no {kind} in {json}"))?;
    }
    bench.run(&["switch-to-proxy"])?.exits(4)?.says("nothing was changed")?.says("--yes")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn way_back_planned_first(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    bench.run(&["switch-to-direct", "--plan"])?.exits(0)?.says("nginx stops and lets go of 80 and 443")?;
    bench.run(&["switch-to-direct"])?.exits(4)?.says("nothing was changed")?.says("--yes")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn on_trial(bench: &Bench) -> Result<(), String> {
    // In direct mode this is what it is anyway; behind a web server it leads past it.
    bench.install(&format!("{ANSWERS}\n[config]\nbind-address = \"0.0.0.0\"\n"))?.exits(0)?;
    let before = system(bench)?;
    bench
        .run(&["switch-to-proxy", "--yes", "--trial", "5"])?
        .exits(1)?
        .says("the checks did not pass within 5 s")?
        .says("it can be reached past the web server and its filters")?
        .says("All changes were undone")?;
    before.is_still(&system(bench)?)?;
    is_direct(bench)
}

/// The switch that was made is made once more, killed again and again, each time some changes further on, until it goes to its
/// end.
pub(super) fn killed_at_a_change(bench: &Bench) -> Result<(), String> {
    let command = [&["switch-to-proxy", "--yes"][..], &TRIAL].concat();
    let uninterrupted = system(bench)?;
    to_direct(bench)?.exits(0)?;
    let direct = system(bench)?;
    let back = || to_direct(bench)?.exits(0).and_then(|_| direct.is_still(&system(bench)?));
    let mut hit = Vec::new();
    for stop in STOPS {
        let mut tries = 0..TRIES;
        let count = loop {
            ensure(tries.next().is_some(), format!("no run could be killed after {stop} changes, and {hit:?} before"))?;
            if let Some(count) = run_and_kill(bench, &command, stop)? {
                break count;
            }
            // It came to its end before it was hit.
            back()?;
        };
        hit.push(count);
    }
    let told = |why: String| format!("killed after {hit:?} changes: {why}");
    let run = bench.run(&command)?.exits(0);
    run.and_then(|run| run.says("An earlier `switch-to-proxy` was interrupted")).map_err(told)?;
    uninterrupted.is_still(&system(bench)?).map_err(told)?;
    is_in_front(bench, &NGINX).map_err(told)?;
    println!("        killed after {hit:?} changes");
    Ok(())
}

/// Answers with a certificate of the administrator's own in front.
fn behind(server: &WebServer, certificate: &str, key: &str) -> String {
    let named = format!("[tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n");
    format!("{}\n[exposure]\nmode = \"{}\"\n", ANSWERS.replace("[tls]\n", &named), server.name)
}

pub(super) fn installed_behind_a_front(bench: &Bench) -> Result<(), String> {
    // There is no certificate authority on a machine without internet: a pair of one's own is named instead.
    let pair = certificate()?;
    let (chain, key) = (format!("{OWN_FOLDER}/chain.pem"), format!("{OWN_FOLDER}/key.pem"));
    for (path, text) in [(&chain, pair.chain_pem().as_str()), (&key, pair.key_pem().expose())] {
        bench.host()?.write_file(Path::new(path), text.as_bytes(), 0o600, Owner::ROOT).map_err(said)?;
    }
    let answers = behind(&NGINX, &chain, &key);
    bench
        .install(&answers)?
        .exits(0)?
        .says(&format!("https://{HOST} is up"))?
        .says("gotosocial (209) 80 tcp4 ok may not")?
        .does_not_say("were refused for")?;
    is_in_front(bench, &NGINX)?;
    bench.install(&answers)?.exits(0)?.says("Nothing to change")?;
    bench.run(&["certificate", "status"])?.exits(0)?.says("managed by the administrator")?;
    bench.run(&["certificate", "renew", "--yes"])?.exits(0)?.says("it is not renewed here")?;
    ensure(!bench.exists(CHAIN)?, "what the administrator keeps was copied")?;
    for path in [&chain, &key] {
        bench.remove(path)?;
    }
    Ok(())
}

pub(super) fn what_cannot_is_refused(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    for command in [&["switch-to-proxy", "--yes"][..], &["switch-to-direct", "--yes"]] {
        bench.run(command)?.exits(1)?.says("was not installed here")?;
    }
    for command in [&["certificate", "status"][..], &["certificate", "renew", "--yes"]] {
        bench.run(command)?.exits(1)?.says("deployment.toml is missing")?;
    }
    bench.run(&["switch-to-proxy", "lighttpd", "--yes"])?.exits(2)?.says("nginx, httpd")?;
    before.is_still(&Snapshot::take(bench)?)?;
    refused(bench, &behind(&NGINX, "/no.pem", "/no.key"), &["/no.pem", "is not there"])
}

pub(super) fn site_with_our_name(bench: &Bench) -> Result<(), String> {
    bench.write(NGINX_CONF, OTHERS.replace("http {\n", "http {\n    include gts-acceptance.conf;\n"))?;
    bench.write(NGINX_SITE, format!("server {{\n    listen 80;\n    server_name www.example.org {HOST};\n}}\n"))?;
    bench.write(HTTPD_SITE, format!("# mine\n<VirtualHost *:443>\n    ServerName {HOST}\n</VirtualHost>\n"))?;
    let before = Snapshot::take(bench)?;
    for (server, place) in [(NGINX, format!("{NGINX_SITE}:3")), (HTTPD, format!("{HTTPD_SITE}:3"))] {
        to(bench, &server)?.exits(1)?.says(&place)?.says(HOST)?;
        before.is_still(&Snapshot::take(bench)?)?;
    }
    Ok(())
}

pub(super) fn broken_web_server(bench: &Bench) -> Result<(), String> {
    // What nginx alone can say: the program reads this file without a complaint.
    let broken = "listen 8444 ssl;\n        ssl_certificate /nowhere.pem;\n        ssl_certificate_key /nowhere.key;";
    bench.write(NGINX_CONF, OTHERS.replace("listen 8081;", broken))?;
    let before = system(bench)?;
    to(bench, &NGINX)?.exits(1)?.says("/nowhere.pem")?.says("What runs now has not been touched")?;
    before.is_still(&system(bench)?)?;
    is_direct(bench)
}

pub(super) fn sites_of_others_go_on(bench: &Bench) -> Result<(), String> {
    bench.write(NGINX_CONF, OTHERS)?;
    let host = bench.host()?;
    host.set_rc_variable("nginx_enable", Some("YES")).map_err(said)?;
    host.service_action(NGINX.service, ServiceAction::Start).map_err(said)?;
    drop(host);
    let before = system(bench)?;
    let served = || {
        let listeners = bench.host()?.listeners().map_err(said)?;
        let theirs = listeners.iter().any(|there| there.port == OTHER_PORT && there.command == NGINX.command);
        ensure(theirs, format!("nobody serves port {OTHER_PORT} any more: {listeners:?}"))
    };
    served()?;
    to(bench, &NGINX)?.exits(0)?;
    is_in_front(bench, &NGINX)?;
    served()?;
    let edited = bench.text(NGINX_CONF)?;
    let ours = edited.lines().filter(|line| !OTHERS.lines().any(|theirs| theirs == *line)).collect::<Vec<_>>();
    ensure(ours.len() == 1 && ours[0].contains("# gts-bootstrap"), format!("it is now {edited}"))?;
    to_direct(bench)?.exits(0)?.says("nginx reloads and lets go of 80 and 443")?.does_not_say("nginx stops")?;
    served()?;
    is_direct(bench)?;
    before.is_still(&system(bench)?)
}

/// A process of the service's user keeps its socket when its rule is gone, and calls itself nginx.
pub(super) fn name_lends_no_port(bench: &Bench) -> Result<(), String> {
    let before = system(bench)?;
    let impostor = Impostor::on(bench, 443)?;
    let words = [format!("nginx (user gotosocial, uid 209, pid {})", impostor.pid()), "listens on port 443".to_owned()];
    let found = |outcome: Outcome| words.iter().try_fold(outcome, |outcome, word| outcome.says(word));
    // Before the web server binds its ports beside it.
    found(to(bench, &NGINX)?.exits(1)?.says(&format!("`kill {}`", impostor.pid()))?.says("All changes were undone")?)?;
    before.is_still(&system(bench)?)?;
    // After its rule is gone, and whatever it is called.
    found(bench.run(&["portacl", "revoke", USER, "443", "--yes"])?.exits(3)?)?;
    ensure(!bench.sysctl(RULES)?.contains("tcp:443"), "the rule is still there")?;
    bench.run(&["portacl", "grant", USER, "443", "--yes"])?.exits(0)?;
    drop(impostor);
    to(bench, &NGINX)?.exits(0)?;
    is_in_front(bench, &NGINX)?;
    // Behind the web server: it was there before that started.
    let host = bench.host()?;
    let (rules, high) = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
    host.service_action(NGINX.service, ServiceAction::Stop).map_err(said)?;
    host.set_sysctl(RULES, "uid:209:tcp:80").and_then(|()| host.set_sysctl(RESERVED_HIGH, "79")).map_err(said)?;
    drop(host);
    let impostor = Impostor::on(bench, 80)?;
    let host = bench.host()?;
    host.set_sysctl(RESERVED_HIGH, &high).and_then(|()| host.set_sysctl(RULES, &rules)).map_err(said)?;
    host.service_action(NGINX.service, ServiceAction::Start).map_err(said)?;
    drop(host);
    let word = format!("nginx (user gotosocial, uid 209, pid {}) listens on port 80", impostor.pid());
    bench.run(&["check"])?.exits(3)?.says(&word)?;
    bench.run(&["status", "--brief", "--offline"])?.exits(3)?.says(&word)?;
    drop(impostor);
    is_in_front(bench, &NGINX)
}

pub(super) fn foreign_rules(bench: &Bench) -> Result<(), String> {
    bench.run(&["portacl", "grant", "uid:53", "53", "--allow-unknown", "--yes"])?.exits(0)?;
    let rules = |wanted: &[&str]| {
        let (now, high) = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
        let (mut there, mut wanted): (Vec<&str>, Vec<&str>) = (now.split(',').collect(), wanted.to_vec());
        there.sort_unstable();
        wanted.sort_unstable();
        ensure(there == wanted && high == "52", format!("the rules are {now}, and {RESERVED_HIGH} is {high}"))
    };
    let ours: Vec<&str> = OUR_RULES.split(',').collect();
    let all = [&[FOREIGN], &ours[..]].concat();
    rules(&all)?;
    let switched = bench.run(&[&["switch-to-proxy", NGINX.name, "--yes", "--json"][..], &TRIAL].concat())?;
    let json = switched.exits(0)?.json()?;
    ensure(json["refused_ms"].is_u64(), format!("no time is told in {json}"))?;
    rules(&[FOREIGN])?;
    bench.may_bind(53, 53, true)?;
    bench.run(&["portacl", "lint"])?.exits(0)?;
    to_direct(bench)?.exits(0)?;
    rules(&all)?;
    bench.may_bind(53, 53, true)?;
    is_direct(bench)
}

pub(super) fn certificates(bench: &Bench) -> Result<(), String> {
    bench
        .run(&["certificate", "status"])?
        .exits(0)?
        .says(HOST)?
        .says("managed by gts-bootstrap")?
        .says("next renewal")?;
    // The very same certificate is shown on.
    let cached = Bundle::from_pem(bench.text(CACHE)?.as_bytes()).map_err(|error| error.to_string())?;
    ensure(bench.text(CHAIN)? == cached.chain_pem(), "it is another certificate")?;
    ensure(bench.text(KEY)? == cached.key_pem().expose(), "it is another key")?;
    let mode = match bench.host()?.entry(Path::new(KEY)).map_err(said)? {
        Some(gts_bootstrap::host::Entry::File { mode, owner: Owner::ROOT, .. }) => mode,
        other => return Err(format!("the key is {other:?}")),
    };
    ensure(mode == 0o600, format!("the key's mode is {mode:o}"))?;
    bench.run(&["certificate", "renew", "--yes"])?.exits(0)?.says("not due; valid until")?;
    // An authority that nobody is at: the old one stays in service.
    if bench.is_rehearsal() {
        trouble(bench, Trouble::Unreachable)?;
    }
    let nowhere = ["--acme-directory", "https://127.0.0.1:9/directory"];
    bench
        .run(&[&["certificate", "renew", "--yes", "--force"], &nowhere[..]].concat())?
        .exits(1)?
        .says("cannot be reached")?;
    ensure(bench.text(CHAIN)? == cached.chain_pem(), "the certificate was not put back")?;
    bench.run(&["certificate", "status"])?.exits(0)?.says("last failure")?;
    ensure(bench.host()?.service(SERVICE).map_err(said)?.is_running(), "GoToSocial was stopped")?;
    is_in_front(bench, &NGINX)
}

/// From the server that was named with `--acme`.
pub(super) fn ordered_certificate(bench: &Bench) -> Result<(), String> {
    let server = bench.acme.as_ref().ok_or("no server that issues certificates was named")?;
    let before = bench.text(CHAIN)?;
    let trusted = server.trusted.as_ref().map(|file| file.display().to_string());
    let environment: Vec<(&str, &str)> = trusted.iter().map(|file| ("SSL_CERT_FILE", file.as_str())).collect();
    let order = ["certificate", "renew", "--yes", "--force", "--acme-directory", &server.directory];
    bench.run_with(&order, &environment)?.exits(0)?;
    ensure(bench.text(CHAIN)? != before, "it is the same certificate")?;
    let pair = [CHAIN, KEY].map(|path| bench.text(path));
    let [chain, key] = pair;
    let pair = Bundle::from_files(key?.as_bytes(), chain?.as_bytes()).map_err(|error| error.to_string())?;
    ensure(pair.leaf().names == [HOST], format!("it is for {:?}", pair.leaf().names))?;
    bench.run(&["certificate", "status"])?.exits(0)?.says("managed by gts-bootstrap")?;
    is_in_front(bench, &NGINX)
}
