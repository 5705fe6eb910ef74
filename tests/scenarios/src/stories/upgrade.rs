//! Another release, with the database that fits it; and the way back.

use std::path::Path;

use crate::bench::{ANSWERS, Bench, ensure};
use crate::mirror::Mirror;
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;

const CURRENT: &str = "/usr/local/libexec/gotosocial/current";
const BACKUPS: &str = "/var/backups/gotosocial";

fn with_admin() -> String {
    format!("{ANSWERS}\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n")
}

fn upgrade(bench: &Bench, more: &[&str]) -> Result<Outcome, String> {
    let mirror = bench.mirror.place();
    bench.run(&[&["upgrade", "--release", &bench.mirror.newest, "--mirror", &mirror], more].concat())
}

fn is_at(bench: &Bench, version: &str) -> Result<(), String> {
    let current = std::fs::read_link(bench.local("/usr/local/libexec/gotosocial")?.join("current"));
    ensure(
        current.as_deref().is_ok_and(|to| to == Path::new(version)),
        format!("{CURRENT} is {current:?}, not {version}"),
    )?;
    bench.run(&["check"])?.exits(0)?.says(&format!("gotosocial {version}"))?;
    bench.install_with_record()?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn there_and_back(bench: &Bench) -> Result<(), String> {
    let Mirror { middle: old, newest: new, is_stand_in, .. } = &bench.mirror;
    bench.install(&with_admin())?.exits(0)?;
    // A real server takes posts from its users only.
    let post = |text: &str| if *is_stand_in { bench.post(text) } else { Ok(()) };
    let counted = |words| if *is_stand_in { words } else { "post" };
    post("hello")?;
    upgrade(bench, &["--yes"])?
        .exits(0)?
        .says(counted("migrations, 1 posts"))?
        .says("The instance was down for")?
        .says("update migration")?;
    is_at(bench, new)?;
    ensure(bench.exists(&format!("{BACKUPS}/{old}-to-{new}/database.json"))?, "there is no copy of the database")?;
    post("written after it")?;
    bench.run(&["rollback", "--plan"])?.exits(0)?.says(counted("1 post (1 then, 2 now)"))?;
    bench.run(&["rollback", "--yes"])?.exits(0)?.says("The instance was down for")?;
    is_at(bench, old)?;
    // The way back from the way back.
    let json = bench.run(&["rollback", "--yes", "--json"])?.exits(0)?.json()?;
    ensure(json["to"] == *new && json["changed"] == true, json.to_string())?;
    is_at(bench, new)
}

pub(super) fn plan_and_refusals_touch_nothing(bench: &Bench) -> Result<(), String> {
    let (before, pid) = (Snapshot::take(bench)?.system(), bench.pid()?);
    upgrade(bench, &["--plan"])?.exits(0)?.says("This is the plan")?;
    upgrade(bench, &[])?.exits(4)?.says("no terminal to ask on")?;
    upgrade(bench, &["--yes", "--sha256", &"0".repeat(64)])?.exits(1)?;
    bench.run(&["upgrade", "--release", &bench.mirror.oldest, "--yes"])?.exits(1)?.says("rollback")?;
    bench.run(&["rollback", "--yes"])?.exits(1)?.says("there is no copy of a database")?;
    ensure(bench.pid()? == pid, "the service was restarted")?;
    before.is_still(&Snapshot::take(bench)?.system())
}
