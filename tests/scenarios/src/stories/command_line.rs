//! The contract of the command line: exit codes, `--json`, colours, nonsense, and readers that go away.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use super::said;
use crate::bench::{ANSWERS, Bench, CONFIG, ensure};
use crate::snapshot::Snapshot;

pub(super) fn json_for_programs(bench: &Bench) -> Result<(), String> {
    let plan = bench.install_with(ANSWERS, &["--plan", "--json"])?.exits(0)?.json()?;
    ensure(plan["changed"] == true && plan["changes"].as_array().is_some_and(|all| !all.is_empty()), plan.to_string())?;
    let refused = bench.install_with("hots = \"a.example\"\n", &["--yes", "--json"])?.exits(2)?.json()?;
    let named = refused["error"].as_str().is_some_and(|error| error.contains("hots"));
    ensure(named && refused["changed"] == false, refused.to_string())?;
    let nothing = bench.run(&["check", "--json"])?.exits(3)?.json()?;
    ensure(nothing["command"] == "check", nothing.to_string())?;

    let outcome = bench.install_with(ANSWERS, &["--yes", "--json"])?.exits(0)?;
    ensure(outcome.stdout.lines().count() == 1, "it is more than one line")?;
    let json = outcome.json()?;
    for (key, value) in [
        ("schema", json!(1)),
        ("command", json!("install")),
        ("changed", json!(true)),
        ("reboot_required", json!(false)),
        ("error", Value::Null),
    ] {
        ensure(json[key] == value, format!("{key} is {}", json[key]))?;
    }
    let list = |json: &Value, key: &str| json[key].as_array().cloned().unwrap_or_default();
    let changes = list(&json, "changes");
    let user = json!({ "part": "account", "kind": "user", "target": "gotosocial", "action": "create" });
    ensure(changes.contains(&user), format!("{changes:?}"))?;
    for change in &changes {
        let keys: Vec<&str> =
            change.as_object().into_iter().flat_map(|object| object.keys().map(String::as_str)).collect();
        ensure(keys == ["part", "kind", "target", "action"], change.to_string())?;
    }
    let checks = list(&json, "checks");
    let proved = |check: &Value| check["name"] == "bind nobody 80/tcp4" && check["status"] == "pass";
    ensure(checks.iter().any(proved), format!("{checks:?}"))?;
    for check in &checks {
        let status = check["status"].as_str().unwrap_or_default();
        let known = ["pass", "fail", "warn", "skip"].contains(&status) && check["detail"].is_string();
        ensure(known, check.to_string())?;
    }
    let check = bench.run(&["--json", "check"])?.exits(0)?.json()?;
    ensure(list(&check, "checks").iter().all(|check| check["status"] != "fail"), check.to_string())
}

pub(super) fn bad_answers_are_told_at_once(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    bench
        .install("hots = \"a.example\"\n[tls]\nemial = \"x@a.example\"\n[release]\nversion = 3\n")?
        .exits(2)?
        .says("answers.toml:1: hots: there is no such answer. Did you mean host?")?
        .says("answers.toml:3: tls.emial: there is no such answer. Did you mean email?")?
        .says("answers.toml:5: release.version")?
        .says("Add this line at the top: host = \"social.example.org\"")?;
    for (set, word) in [
        ("host=https://a.example", "host"),
        ("host=a.example:443", "port"),
        ("tls.email=nobody", "mail"),
        ("admin.username=Alice", "lower"),
        ("account-domain=b.example", "account-domain"),
        ("config.port=8443", "port"),
        ("config.smtp-password=x", "secret"),
        ("config.trusted-proxies=10.0.0.1", "list"),
        ("config.accounts-registration-open=\"yes\"", "accounts-registration-open"),
        ("release.sha256=abc", "sha256"),
        ("exposure.mode=caddy", "mode"),
        ("=x", "--set"),
    ] {
        bench.install_with(ANSWERS, &["--yes", "--set", set])?.exits(2)?.says(word)?;
    }
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn nonsense_is_refused(bench: &Bench) -> Result<(), String> {
    bench.run(&["instal"])?.exits(2)?.says("install")?;
    bench.run(&["install", "--yes", "--plan"])?.exits(2)?.says("--plan")?;
    bench.run(&["install", "--answers", "nowhere.toml", "--yes"])?.exits(2)?.says("nowhere.toml")?;
    bench.run(&["install", "-q", "-v"])?.exits(2)?;
    bench.run(&["--color", "purple", "check"])?.exits(2)?.says("auto")?;
    bench.run(&[])?.exits(2)?.says("Usage")?;
    bench.run(&["--help"])?.exits(0)?.says("Exit codes")?;
    bench.run(&["--version"])?.exits(0)?.says("gts-bootstrap 0.").map(drop)
}

pub(super) fn errors_lead_to_what_is_behind_them(bench: &Bench) -> Result<(), String> {
    let code = "GTSB-NOT-INSTALLED";
    bench.run(&["upgrade", "--yes"])?.exits(1)?.says(&format!("more: gts-bootstrap help {code}"))?;
    let told = bench.run(&["upgrade", "--yes", "--json"])?.exits(1)?.json()?;
    ensure(told["code"] == code, told.to_string())?;
    bench.run(&["help", code])?.exits(0)?.says(code)?.says("`gts-bootstrap install` installs it")?;
    bench.run(&["help", &code.to_lowercase()])?.exits(0)?.says(code)?;
    bench.run(&["help", "GTSB-NOTHING"])?.exits(2)?.says("no topic GTSB-NOTHING")?;
    // Two findings of one run, each with its own.
    let refused = bench.install_with(&format!("{ANSWERS}[config]\nlog-level = \"warn\"\n"), &["--yes"])?.exits(1)?;
    refused.says("[GTSB-LOG-LEVEL]")?.says("more: gts-bootstrap help GTSB-PREFLIGHT")?;
    Ok(())
}

pub(super) fn help(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    let list = bench.run(&["help"])?.exits(0)?.says("Usage: gts-bootstrap")?.says("gts-bootstrap help TOPIC")?;
    list.says("tutorial From an empty server to the first post")?;
    bench.run(&["help", "install"])?.exits(0)?.says("--answers <FILE>")?.says("gts-bootstrap help install.md")?;
    bench.run(&["help", "portacl", "grant"])?.exits(0)?.says("--allow-unknown")?;
    bench.run(&["portacl", "help", "grant"])?.exits(0)?.says("--allow-unknown")?;
    let page =
        bench.run(&["help", "portacl.md"])?.exits(0)?.says("mac_portacl, readable =====")?.does_not_say("```")?;
    // Nobody reads at a terminal here: the width is that of the smallest.
    ensure(page.stdout.lines().all(|line| line.starts_with("    ") || line.chars().count() < 80), page.stdout)?;
    bench.run(&["help", "anwsers"])?.exits(2)?.says("no topic anwsers. Did you mean answers?")?;
    bench.run(&["help", "portacl", "gant"])?.exits(2)?.says("Did you mean grant?")?;
    bench.run(&["help", "--json"])?.exits(2)?.says("no --json")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn completions(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    for (shell, mark) in [
        ("bash", "complete -F "),
        ("fish", "complete -c gts-bootstrap"),
        ("tcsh", "complete gts-bootstrap"),
        ("zsh", "#compdef gts-bootstrap"),
    ] {
        bench.run(&["completions", shell])?.exits(0)?.says(mark)?.says("switch-to-direct")?;
    }
    let asked =
        bench.run_with(&["completions", "tcsh", "--options"], &[("COMMAND_LINE", "gts-bootstrap install -")])?;
    asked.exits(0)?.says("--answers")?;
    bench.run(&["completions", "ksh"])?.exits(2)?.says("tcsh")?;
    before.is_still(&Snapshot::take(bench)?)
}

/// The warnings in a text, each with its further lines.
fn warnings(text: &str) -> Vec<String> {
    let mut warnings: Vec<String> = Vec::new();
    let mut warns = false;
    for line in text.lines() {
        let begins = line.starts_with("  warn ");
        warns = begins || (warns && line.starts_with("       "));
        match warnings.last_mut() {
            Some(last) if warns && !begins => *last += &format!("{line}\n"),
            _ if warns => warnings.push(format!("{line}\n")),
            _ => {}
        }
    }
    warnings
}

pub(super) fn as_much_as_is_wanted(bench: &Bench) -> Result<(), String> {
    let plan = |color: &[&str]| bench.install_with(ANSWERS, &[&["--plan"], color].concat())?.exits(0);
    let plain = plan(&[])?;
    ensure(!plain.stdout.contains('\x1b'), "there are colours, and no terminal")?;
    ensure(plan(&["--color", "always"])?.stdout.contains("\x1b["), "there are no colours")?;
    ensure(!plan(&["--color", "never"])?.stdout.contains('\x1b'), "there are colours")?;
    // A digest is longer than that.
    for line in plain.stdout.lines().filter(|line| !line.contains("SHA-256")) {
        let longest_word = line.split(' ').map(str::len).max().unwrap_or(0);
        ensure(line.chars().count() <= 80 || longest_word > 60, format!("not 80 columns: {line}"))?;
    }
    let quiet = bench.install_with(ANSWERS, &["--yes", "-q"])?.exits(0)?;
    // Nothing but the warnings that the machine has to give: those of the plan, and of the checks those that it still has.
    let warned = warnings(&quiet.stdout);
    ensure(quiet.stdout == warned.concat(), format!("not quiet: {}", quiet.stdout))?;
    let planned = warnings(&plain.stdout);
    let checked = warnings(&bench.run(&["check"])?.exits(0)?.stdout);
    let is_due =
        warned.starts_with(&planned) && warned[planned.len()..].iter().all(|warning| checked.contains(warning));
    ensure(is_due, format!("it warns of {warned:?}; the plan of {planned:?}, and a check of {checked:?}"))?;
    let level = bench.host()?.system().map_err(said)?.securelevel;
    let verbose = bench.install_with(ANSWERS, &["--yes", "-v"])?.exits(0)?;
    verbose.says(&format!("securelevel: {level}")).map(drop)
}

pub(super) fn unreadable_files_are_named(bench: &Bench) -> Result<(), String> {
    for (path, bytes, word) in [
        (CONFIG, &b"host: \xff\xfe\n"[..], "is not UTF-8 text"),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", b"schema = 1\n", "deployment.lock"),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", b"schema = 99\n", "deployment.lock"),
        ("/usr/local/etc/gts-bootstrap/deployment.secrets.toml", b"db-pasword = 'x'\n", "db-pasword"),
        ("/var/db/gts-bootstrap/journal", b"not json\n", "journal"),
    ] {
        let good = bench.host()?.read(Path::new(path)).map_err(said)?;
        bench.write(path, bytes)?;
        let before = Snapshot::take(bench)?.system();
        let outcome = bench.install(&ANSWERS.replace("admin@", "ops@"))?.says(word)?.does_not_say("panicked")?;
        ensure(matches!(outcome.code, Some(1 | 2)), format!("{path}: ended with {:?}", outcome.code))?;
        before.is_still(&Snapshot::take(bench)?.system())?;
        match good {
            Some(bytes) => bench.write(path, bytes)?,
            None => bench.remove(path)?,
        }
    }
    bench.install(ANSWERS)?.exits(0)?.says("Nothing to change").map(drop)
}

pub(super) fn two_runs_are_kept_apart(bench: &Bench) -> Result<(), String> {
    let answers = ANSWERS.replace("admin@", "ops@");
    let before = Snapshot::take(bench)?.system();
    let host = bench.host()?;
    let held = host.lock(Path::new("/var/db/gts-bootstrap/lock"), "a story").map_err(said)?;
    bench.install(&answers)?.exits(6)?.says("another gts-bootstrap is running")?.says("then run this again")?;
    drop(held);
    drop(host);
    before.is_still(&Snapshot::take(bench)?.system())?;
    bench.install(&answers)?.exits(0).map(drop)
}

pub(super) fn reader_goes_away(bench: &Bench) -> Result<(), String> {
    let answers = ANSWERS.replace("admin@", "ops@");
    let (file, mirror) = (bench.answers(&answers)?, bench.mirror.place());
    let mut command = bench.command(&["install", "--yes", "--answers", &file, "--mirror", &mirror])?;
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("the program cannot be run: {error}"))?;
    drop(child.stdout.take());
    drop(child.stderr.take());
    let status = child.wait().map_err(|error| error.to_string())?;
    ensure(status.code() == Some(0), format!("it ended with {status}"))?;
    bench.install(&answers)?.exits(0)?.says("Nothing to change").map(drop)
}
