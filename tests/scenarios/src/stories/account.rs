//! The first account: after the service is ready, with a password that is told once and kept nowhere.

use crate::bench::{ANSWERS, Bench, LOG, ensure};
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;

fn with_admin() -> String {
    format!("{ANSWERS}\n[admin]\nusername = \"alice\"\nemail = \"alice@example.org\"\n")
}

/// The password in a text for people.
fn password(outcome: &Outcome, text: &str) -> Result<String, String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let place = words.windows(5).find(|words| words[..4] == ["user", "name", "alice", "password"]);
    place.map(|words| words[4].to_owned()).ok_or_else(|| format!("`{}` tells no password", outcome.command))
}

pub(super) fn first_account(bench: &Bench) -> Result<(), String> {
    let outcome = bench.install(&with_admin())?.exits(0)?;
    let outcome = outcome.says("user name alice")?.says("is not valid any more")?;
    let first = password(&outcome, &outcome.stdout).or_else(|_| password(&outcome, &outcome.stderr))?;
    ensure(first.len() >= 26, "the password is short")?;
    let snapshot = Snapshot::take(bench)?;
    let places = snapshot.containing(&first);
    ensure(places.is_empty() && !bench.text(LOG)?.contains(&first), format!("the password is kept in {places:?}"))?;
    // What the running server has written may still be in the log beside its database.
    let database = bench.text("/var/db/gotosocial/sqlite.db")? + &bench.text("/var/db/gotosocial/sqlite.db-wal")?;
    ensure(database.contains("alice@example.org"), "the account is not in the database")?;
    bench.install(&with_admin())?.exits(0)?.says("Nothing to change")?.does_not_say("password")?;
    differs_from_others(bench, &first)
}

/// No password comes twice.
fn differs_from_others(bench: &Bench, password: &str) -> Result<(), String> {
    ensure(bench.transcript.borrow_mut().keep_secret(password), "a password came twice")
}

/// Even the quiet are told.
pub(super) fn told_to_the_quiet(bench: &Bench) -> Result<(), String> {
    let quiet = bench.install_with(&with_admin(), &["--yes", "-q"])?.exits(0)?;
    differs_from_others(bench, &password(&quiet, &quiet.stderr)?)
}

/// Whoever reads JSON has it on standard error.
pub(super) fn told_beside_json(bench: &Bench) -> Result<(), String> {
    let json = bench.install_with(&with_admin(), &["--yes", "--json"])?.exits(0)?;
    let told = password(&json, &json.stderr)?;
    ensure(!json.stdout.contains(&told), "the password is in the JSON")?;
    differs_from_others(bench, &told)
}

pub(super) fn asked_for_later(bench: &Bench) -> Result<(), String> {
    let pid = bench.pid()?;
    bench.install(&with_admin())?.exits(0)?.says("is not valid any more")?.does_not_say("stop service")?;
    ensure(bench.pid()? == pid, "the service was restarted for it")
}

pub(super) fn made_by_hand(bench: &Bench) -> Result<(), String> {
    bench.install(&with_admin())?.exits(0)?;
    // Without receipts and without a certificate nothing tells of it beforehand.
    bench.remove("/var/db/gts-bootstrap/receipts")?;
    bench.remove("/var/db/gotosocial/storage/certs/social.example.org")?;
    let again = bench.install(&with_admin())?.exits(0)?;
    again.says("there is an account alice already")?.does_not_say("user name alice").map(drop)
}
