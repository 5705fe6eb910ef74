//! What is refused, with nothing changed; and what is respected, although it could have been refused.

use std::net::{Ipv4Addr, TcpListener};

use gts_bootstrap::host::{Group, User};

use super::said;
use crate::bench::{ANSWERS, Bench, RULES, USER, ensure};
use crate::mirror::in_releases;
use crate::reset::STRANGER;
use crate::snapshot::Snapshot;

/// Any ids that nobody has.
const FREE_ID: u32 = 64_209;
const OTHER_FREE_ID: u32 = 64_210;

/// An installation is refused with these words, and changes nothing.
pub(super) fn refused(bench: &Bench, answers: &str, words: &[&str]) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    let mut outcome = bench.install(answers)?.exits(1)?;
    for word in words {
        outcome = outcome.says(word)?;
    }
    before.is_still(&Snapshot::take(bench)?)
}

fn add_group(bench: &Bench, gid: u32) -> Result<(), String> {
    bench.host()?.add_group(&Group { name: STRANGER.into(), gid }).map_err(said)
}

pub(super) fn number_taken(bench: &Bench) -> Result<(), String> {
    add_group(bench, FREE_ID)?;
    let user = User {
        name: STRANGER.into(),
        uid: 209,
        gid: FREE_ID,
        gecos: "Has the number".into(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    bench.host()?.add_user(&user).map_err(said)?;
    refused(bench, ANSWERS, &["uid 209", &format!("belongs to the user {STRANGER}")])?;
    crate::reset::reset(bench)?;
    add_group(bench, 209)?;
    refused(bench, ANSWERS, &["gid 209", &format!("belongs to the group {STRANGER}")])
}

pub(super) fn another_uid_is_respected(bench: &Bench) -> Result<(), String> {
    add_group(bench, OTHER_FREE_ID)?;
    let user = User {
        name: USER.into(),
        uid: FREE_ID,
        gid: OTHER_FREE_ID,
        gecos: "Mine".into(),
        home: "/home/gts".into(),
        shell: "/bin/sh".into(),
    };
    bench.host()?.add_user(&user).map_err(said)?;
    let passwd = bench.text("/etc/master.passwd")?;
    bench.install(ANSWERS)?.exits(0)?.says(&format!("gotosocial ({FREE_ID}) 80 tcp4 ok"))?;
    ensure(bench.text("/etc/master.passwd")? == passwd, "the account was touched")?;
    let rotation = bench.text("/usr/local/etc/newsyslog.conf.d/gotosocial.conf")?;
    ensure(rotation.contains(&format!("root:{STRANGER} ")), format!("not its group's name: {rotation}"))?;
    let rules = bench.sysctl(RULES)?;
    ensure(rules == format!("uid:{FREE_ID}:tcp:80,uid:{FREE_ID}:tcp:443"), format!("the rules are {rules}"))?;
    bench.ports_are_guarded()?;
    let data = bench.host()?.entry("/var/db/gotosocial".as_ref()).map_err(said)?;
    let text = format!("{data:?}");
    let owned = matches!(data, Some(gts_bootstrap::host::Entry::Directory { owner, .. })
        if (owner.uid, owner.gid) == (FREE_ID, OTHER_FREE_ID));
    ensure(owned, format!("the data folder is {text}"))
}

pub(super) fn port_taken(bench: &Bench) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).map_err(|error| format!("port 80: {error}"))?;
    let outcome = refused(bench, ANSWERS, &["port 80: taken by acceptance", &format!("pid {}", std::process::id())]);
    drop(listener);
    outcome
}

pub(super) fn foreign_file(bench: &Bench) -> Result<(), String> {
    for (path, words) in [
        ("/usr/local/bin/gotosocial", "/usr/local/bin/gotosocial is a file, where a link into the release belongs"),
        ("/usr/local/etc/gotosocial/config.yaml", "was not written by gts-bootstrap"),
        ("/usr/local/etc/rc.d/gotosocial", "was not written by gts-bootstrap"),
        (&in_releases(&bench.mirror.middle), "is a file, where the release's folder belongs"),
        ("/var/db/gotosocial", "/var/db/gotosocial is a file"),
    ] {
        bench.remove(path)?;
        bench.write(path, "somebody else's\n")?;
        refused(bench, ANSWERS, &[words])?;
        ensure(bench.text(path)? == "somebody else's\n", format!("{path} is another one"))?;
        bench.remove(path)?;
    }
    Ok(())
}
