//! The main story: one command, and the host is as documented.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use gts_bootstrap::host::{BindOutcome, Carried, Entry, Family, User, WebRequest};

use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, HOST, NOBODY, RESERVED_HIGH, RULES, USER, ensure};
use crate::mirror::in_releases;
use crate::snapshot::Snapshot;

pub(super) fn from_the_mirror(bench: &Bench) -> Result<(), String> {
    let mut outcome = bench
        .install(ANSWERS)?
        .exits(0)?
        .says(&format!("https://{HOST} is up"))?
        .says("can never be changed")?
        .says("gotosocial (209) 80 tcp4 ok may bind (EADDRINUSE: it is in use)")?
        .says("gotosocial (209) 25 tcp4 ok may not (EPERM: no mac_portacl rule)")?
        .says("nobody (65534) 443 tcp4 ok may not (EPERM: no mac_portacl rule)")?;
    if bench.bind(NOBODY, 1024, Family::V6)? != BindOutcome::NoAddress {
        outcome = outcome
            .says("gotosocial (209) 443 tcp6 ok may bind (EADDRINUSE: it is in use)")?
            .says("nobody (65534) 80 tcp6 ok may not (EPERM: no mac_portacl rule)")?;
    }
    drop(outcome);
    let host = bench.host()?;
    for port in [80, 443] {
        let listeners = host.listeners().map_err(said)?;
        let by_us = listeners.iter().any(|listener| listener.port == port && listener.uid == Some(209));
        ensure(by_us, format!("uid 209 does not listen on port {port}: {listeners:?}"))?;
    }
    bench.ports_are_guarded()?;
    let (rules, high) = (bench.sysctl(RULES)?, bench.sysctl(RESERVED_HIGH)?);
    ensure(rules == "uid:209:tcp:80,uid:209:tcp:443", format!("the rules are {rules:?}"))?;
    ensure(high == "79", format!("{RESERVED_HIGH} is {high}"))?;
    for_the_next_boot(bench)?;
    let check = bench.run(&["check", "--json"])?.exits(0)?;
    for name in ["port gates", "port access at boot", "boot guard", "service", "listens 80", "listens 443", "readyz"] {
        let status = check.check(name)?;
        ensure(status == "pass", format!("the check {name:?} says {status}"))?;
    }
    // The stand-in signs its certificate itself.
    let livez = Duration::from_secs(30);
    let request = WebRequest::to(SocketAddr::from((Ipv4Addr::LOCALHOST, 443)), true, HOST, "/livez", livez);
    let trusted = host.web(&WebRequest { verify: true, ..request });
    let wanted = if trusted.is_ok() { "pass" } else { "warn" };
    let status = check.check("certificate")?;
    ensure(status == wanted, format!("the check of the certificate says {status}, not {wanted}"))
}

/// The files from which the next boot comes.
fn for_the_next_boot(bench: &Bench) -> Result<(), String> {
    let loader = bench.text("/boot/loader.conf")?;
    ensure(loader.contains("mac_portacl_load=\"YES\"\n"), &loader)?;
    let sysctl = bench.text("/etc/sysctl.conf")?;
    let rules = sysctl.find("security.mac.portacl.rules=uid:209:tcp:80,uid:209:tcp:443\n");
    let high = sysctl.find("net.inet.ip.portrange.reservedhigh=79\n");
    ensure(rules.zip(high).is_some_and(|(rules, high)| rules < high), format!("not the rules first: {sysctl}"))?;
    let rc = bench.text("/etc/rc.conf")?;
    for variable in ["gotosocial_enable=\"YES\"", "gotosocial_direct=\"YES\"", "gts_portacl_guard_enable=\"YES\""] {
        ensure(rc.contains(variable), format!("{variable} is not in {rc}"))?;
    }
    Ok(())
}

pub(super) fn modes_and_owners(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    let release = in_releases(&bench.mirror.middle);
    let program = format!("{release}/gotosocial");
    for (path, mode, uid, gid) in [
        ("/usr/local/etc/gotosocial", 0o750, 0, 209),
        ("/usr/local/etc/gotosocial/config.yaml", 0o640, 0, 209),
        ("/usr/local/etc/rc.d/gotosocial", 0o555, 0, 0),
        ("/usr/local/etc/gts-bootstrap/deployment.toml", 0o640, 0, 0),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", 0o644, 0, 0),
        (&release, 0o755, 0, 0),
        (&program, 0o755, 0, 0),
        ("/var/db/gotosocial", 0o750, 209, 209),
        ("/var/db/gotosocial/storage", 0o750, 209, 209),
        ("/var/db/gotosocial/storage/certs", 0o750, 209, 209),
        ("/var/db/gotosocial/tmp", 0o750, 209, 209),
        ("/var/db/gotosocial/wazero", 0o750, 209, 209),
        ("/var/db/gts-bootstrap", 0o700, 0, 0),
        ("/var/log/gotosocial", 0o750, 0, 209),
        ("/var/log/gotosocial/gotosocial.log", 0o640, 0, 209),
    ] {
        let shown = |mode: u32, uid: u32, gid: u32| format!("{mode:o}, {uid}:{gid}");
        let seen = match host.entry(Path::new(path)).map_err(said)? {
            Some(Entry::File { mode, owner, .. } | Entry::Directory { mode, owner }) => {
                shown(mode, owner.uid, owner.gid)
            }
            other => return Err(format!("at {path} there is {other:?}")),
        };
        let wanted = shown(mode, uid, gid);
        ensure(seen == wanted, format!("{path} is {seen}, not {wanted}"))?;
    }
    for (path, to) in [
        ("/usr/local/libexec/gotosocial/current", bench.mirror.middle.as_str()),
        ("/usr/local/bin/gotosocial", "../libexec/gotosocial/current/gotosocial"),
    ] {
        let seen = host.entry(Path::new(path)).map_err(said)?;
        let leads = matches!(&seen, Some(Entry::Symlink { target }) if target == Path::new(to));
        ensure(leads, format!("{path} is {seen:?}"))?;
    }
    let user = host.user(USER).map_err(said)?;
    let wanted = User {
        name: USER.into(),
        uid: 209,
        gid: 209,
        gecos: "Gotosocial user".into(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    ensure(user.as_ref() == Some(&wanted), format!("{user:?}"))?;
    let passwd = bench.text("/etc/master.passwd")?;
    let no_password = "gotosocial:*:209:209::0:0:Gotosocial user:/nonexistent:/usr/sbin/nologin\n";
    ensure(passwd.contains(no_password), "the account has a password")?;
    let groups = bench.text("/etc/group")?;
    ensure(groups.contains("gotosocial:*:209:\n"), &groups)
}

pub(super) fn the_server_answers(bench: &Bench) -> Result<(), String> {
    let ask = |tls: bool, path: &str| {
        let request = WebRequest {
            tls,
            host: HOST.to_owned(),
            address: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, if tls { 443 } else { 80 }))),
            path: path.to_owned(),
            carries: Carried::default(),
            verify: false,
            timeout: Duration::from_secs(30),
        };
        bench.host()?.web(&request).map_err(|why| format!("{path}: {why}"))
    };
    let nodeinfo = ask(true, "/nodeinfo/2.0")?;
    let text = String::from_utf8_lossy(&nodeinfo.body).into_owned();
    ensure(nodeinfo.status == 200 && text.contains(&bench.mirror.middle), format!("nodeinfo: {text}"))?;
    let names = nodeinfo.certificate.map(|certificate| certificate.names).unwrap_or_default();
    ensure(names == [HOST], format!("the certificate is for {names:?}"))?;
    let redirect = ask(false, "/livez")?;
    let to = redirect.location.unwrap_or_default();
    ensure(redirect.status == 307 && to == format!("https://{HOST}/livez"), format!("{} to {to}", redirect.status))
}

pub(super) fn plan_touches_nothing(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    bench
        .install_with(ANSWERS, &["--plan"])?
        .exits(0)?
        .says("create user gotosocial")?
        .says("config.yaml")?
        .says("set sysctl net.inet.ip.portrange.reservedhigh = 79")?
        .says("nothing was changed")?;
    bench.install_with(ANSWERS, &[])?.exits(4)?.says("nothing was changed")?.says("--yes")?;
    bench.run(&["install"])?.exits(4)?.says("nothing was changed")?.says("--answers FILE")?;
    bench.run(&["check"])?.exits(3)?.says("run `gts-bootstrap install`")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn flags_fill_the_answers(bench: &Bench) -> Result<(), String> {
    let mirror = bench.mirror.place();
    let host = format!("host={HOST}");
    let arguments = ["install", "--yes", "--mirror", &mirror, "--set", &host, "--set", "tls.email=admin@example.org"];
    let more = ["--set", "config.landing-page-user=alice", "--release", &bench.mirror.oldest];
    bench.run(&[&arguments[..], &more].concat())?.exits(0)?;
    let answers = bench.text("/usr/local/etc/gts-bootstrap/deployment.toml")?;
    for text in [HOST, &bench.mirror.oldest, "landing-page-user"] {
        ensure(answers.contains(text), format!("{text} is not in {answers}"))?;
    }
    let config = bench.text(CONFIG)?;
    ensure(config.contains("landing-page-user: \"alice\""), &config)
}

/// The dialogue without a terminal: what is wrong or missing changes nothing, what is right installs, and a second time what was
/// answered is there.
pub(super) fn answers_come_line_by_line(bench: &Bench) -> Result<(), String> {
    let mirror = bench.mirror.place();
    let release = format!("release.version={}", bench.mirror.middle);
    let arguments = ["install", "--ask", "--set", &release, "--mirror", &mirror];
    let lines = [HOST, "direct", "admin@example.org", "alice", "", "y"];
    let before = Snapshot::take(bench)?;
    bench.run_typed(&arguments, &lines[..3])?.exits(4)?.says("the input ended")?.says("nothing was changed")?;
    bench.run_typed(&arguments, &["localhost"])?.exits(2)?.says("always means the machine itself")?;
    bench.run_typed(&arguments, &[&lines[..5], &["n"]].concat())?.exits(4)?.says("not confirmed")?;
    before.is_still(&Snapshot::take(bench)?)?;
    bench.run_typed(&arguments, &lines)?.exits(0)?.says("is up.")?.says("as admin@example.org")?;
    bench
        .run_typed(&["install", "--ask"], &["", "", "", ""])?
        .exits(0)?
        .says("Its name cannot change")?
        .says("Nothing to change")?;
    Ok(())
}

pub(super) fn checks_can_be_left_out(bench: &Bench) -> Result<(), String> {
    let installed = bench.install_with(&ANSWERS.replace("admin@", "ops@"), &["--yes", "--no-check"])?.exits(0)?;
    installed.says("changes made")?.does_not_say("Bind check")?.does_not_say("FAIL").map(drop)
}
