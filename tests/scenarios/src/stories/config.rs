//! config.yaml: only what was asked for, tried before it goes live, and edits by hand are kept.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use gts_bootstrap::host::{Entry, Owner};

use super::refusals::refused;
use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, LOG, OWN_FOLDER, ensure};
use crate::snapshot::Snapshot;

pub(super) fn edits_are_kept(bench: &Bench) -> Result<(), String> {
    let edited = bench.text(CONFIG)? + "\n# by hand\nlog-level: \"debug\"\n";
    bench.write(CONFIG, &edited)?;
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change")?;
    ensure(bench.text(CONFIG)? == edited, "the edit was touched")?;
    let answers = ANSWERS.replace("admin@example.org", "ops@example.org");
    bench.install(&answers)?.exits(0)?.says("stop service gotosocial")?.says("start service gotosocial")?;
    let merged = bench.text(CONFIG)?;
    ensure(merged.contains("# by hand\nlog-level: \"debug\"\n") && merged.contains("ops@example.org"), &merged)?;
    bench.install(&answers)?.exits(0)?.says("Nothing to change")?;
    bench.write(CONFIG, merged.replace("ops@example.org", "mine@example.org"))?;
    let before = Snapshot::take(bench)?;
    bench
        .install(&answers.replace("ops@example.org", "third@example.org"))?
        .exits(1)?
        .says("was edited by hand")?
        .says("mine@example.org")?
        .says("third@example.org")?
        .does_not_say("social.example.org\" #")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn unknown_key_is_named(bench: &Bench) -> Result<(), String> {
    let answers = format!("{ANSWERS}\n[config]\naccounts-registration-opne = true\n");
    bench
        .install_with(&answers, &["--plan"])?
        .exits(0)?
        .says("accounts-registration-opne is not a known setting; did you mean accounts-registration-open?")?;
    bench
        .install(&answers)?
        .exits(0)?
        .says("does not know `accounts-registration-opne`")?
        .says("did you mean `accounts-registration-open`?")
        .map(drop)
}

pub(super) fn broken_edit_never_goes_live(bench: &Bench) -> Result<(), String> {
    bench.write(CONFIG, bench.text(CONFIG)? + "\thost: [\n")?;
    let (before, pid) = (Snapshot::take(bench)?.system(), bench.pid()?);
    let answers = ANSWERS.replace("admin@example.org", "ops@example.org");
    bench.install(&answers)?.exits(1)?.says("config.yaml")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    ensure(bench.pid()? == pid, "the old one does not serve any more")
}

pub(super) fn no_breaking_out(bench: &Bench) -> Result<(), String> {
    let evil = "x\\\"\\nhost: evil.example.org\\n# \\u2028";
    bench.install(&format!("{ANSWERS}\n[config]\nlanding-page-user = \"{evil}\"\n"))?.exits(0)?;
    let config = bench.text(CONFIG)?;
    ensure(config.lines().filter(|line| line.starts_with("host:")).count() == 1, &config)
}

fn with_quiet_log() -> String {
    format!("{ANSWERS}\n[config]\nlog-level = \"warn\"\n")
}

pub(super) fn quiet_log_is_refused_at_first(bench: &Bench) -> Result<(), String> {
    refused(bench, &with_quiet_log(), &["log-level", "after the first installation"])
}

pub(super) fn quiet_log_is_taken_later(bench: &Bench) -> Result<(), String> {
    bench.install(&with_quiet_log())?.exits(0)?;
    ensure(bench.text(CONFIG)?.contains("log-level: \"warn\""), "it was not taken")
}

pub(super) fn secrets_stay_secret(bench: &Bench) -> Result<(), String> {
    const SECRET: &str = "hunter2-correct-horse";
    const NEW: &str = "new-secret-from-outside";
    const EDITED: &str = "edited-by-hand-secret";
    let file = bench.answers(&format!("{ANSWERS}\n[config]\nsmtp-host = \"mail.example.org\"\n"))?;
    let mirror = bench.mirror.place();
    let arguments = ["install", "--mirror", &mirror, "--answers", &file, "--yes", "-v"];
    bench.run_with(&arguments, &[("GTS_SMTP_PASSWORD", SECRET)])?.exits(0)?.does_not_say(SECRET)?;
    ensure(bench.text(CONFIG)?.contains(SECRET), "it is not in config.yaml")?;
    ensure(!bench.text(LOG)?.contains(SECRET), "it is in the log")?;
    let host = bench.host()?;
    for path in Snapshot::take(bench)?.containing(SECRET) {
        let Some(Entry::File { mode, owner: Owner { gid, .. }, .. }) = host.entry(path).map_err(said)? else {
            return Err(format!("{} is no file", path.display()));
        };
        let told = format!("{} can be read by others: mode {mode:o}, group {gid}", path.display());
        ensure(mode & 0o007 == 0 && (mode & 0o070 == 0 || gid == 209), told)?;
    }
    drop(host);
    // A conflict in its very line does not show it either.
    bench.write(CONFIG, bench.text(CONFIG)?.replace(SECRET, EDITED))?;
    bench
        .run_with(&arguments, &[("GTS_SMTP_PASSWORD", NEW)])?
        .exits(1)?
        .says("smtp-password: (hidden)")?
        .does_not_say(EDITED)?
        .does_not_say(NEW)?
        .does_not_say(SECRET)?;
    bench.write(CONFIG, bench.text(CONFIG)?.replace(EDITED, SECRET))?;
    // Nor does the plan to change it.
    bench
        .run_with(&["install", "--answers", &file, "--plan", "-v"], &[("GTS_SMTP_PASSWORD", NEW)])?
        .exits(0)?
        .says("smtp-password: (hidden)")?
        .does_not_say(NEW)?
        .does_not_say(SECRET)?;
    // The host keeps it, so that a run without the environment comes to the same.
    bench.run(&arguments)?.exits(0)?.says("Nothing to change")?;

    let beside = bench.local(OWN_FOLDER)?.join("answers.secrets.toml");
    let readable = |mode: u32| {
        let written = fs::write(&beside, "smtp-password = \"other-secret-words\"\n");
        let set = written.and_then(|()| fs::set_permissions(&beside, Permissions::from_mode(mode)));
        set.map_err(|error| format!("{}: {error}", beside.display()))
    };
    let others_can_read = readable(0o644).and_then(|()| bench.run(&arguments)?.exits(2)?.says("chmod 600").map(drop));
    let only_root_can = readable(0o600).and_then(|()| bench.run(&arguments)?.exits(0).map(drop));
    // Every story has its answers there, and no other is to have these secrets.
    fs::remove_file(&beside).map_err(|error| format!("{}: {error}", beside.display()))?;
    others_can_read.and(only_root_can)?;
    ensure(bench.text(CONFIG)?.contains("other-secret-words"), "the secret beside the answers was not taken")
}
