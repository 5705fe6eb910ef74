//! The commands besides the server.

use std::process::Output;

use crate::instance::{HOST, Instance, copy_program};

const PASSWORD: &str = "fQ9-mZ2_xLp7.Tw4";

#[track_caller]
fn ended(output: &Output, status: i32, words: &str) {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(text.contains(words), "{words:?} is not in:\n{text}");
}

fn create<'a>(username: &'a str, password: &'a str) -> Vec<&'a str> {
    vec![
        "--log-level",
        "warn",
        "admin",
        "account",
        "create",
        "--username",
        username,
        "--email",
        "alice@example.org",
        "--password",
        password,
    ]
}

#[test]
fn the_version_is_that_of_its_folder_or_of_the_file_beside_it() {
    let instance = Instance::direct("0.20.0-rc1");
    assert_eq!(instance.run(&["--version"]).stdout, b"gotosocial version 0.20.0-rc1\n");
    std::fs::write(instance.program().with_file_name("VERSION"), "v0.19.1\n").unwrap();
    assert_eq!(instance.run(&["--version"]).stdout, b"gotosocial version 0.19.1\n");
    let elsewhere = Instance::direct("0.19.2");
    let stray = elsewhere.layout().data.join("gotosocial");
    copy_program(&elsewhere.program(), &stray);
    ended(&std::process::Command::new(stray).arg("--version").output().unwrap(), 1, "does not know its version");
}

#[test]
fn debug_config_prints_what_is_in_force_in_the_form_of_its_series() {
    for (version, timeout) in [("0.19.2", "/http-client/timeout"), ("0.20.0-rc1", "/http-client-timeout")] {
        let instance = Instance::direct(version);
        let output = instance.run_configured(&["debug", "config"]);
        ended(&output, 0, HOST);
        let printed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed["host"], HOST);
        assert_eq!(printed["port"], instance.port);
        assert_eq!(printed["software-version"], version);
        assert_eq!(printed.pointer(timeout).unwrap(), 30_000_000_000_u64);
    }
}

#[test]
fn flags_stand_before_or_after_and_win() {
    let instance = Instance::direct("0.19.2");
    let config = instance.config();
    let after = ["debug", "config", "--config-path", config.to_str().unwrap(), "--host=other.example.org"];
    ended(&instance.run(&after), 0, "\"host\": \"other.example.org\"");
    ended(&instance.run(&["--nope", "debug", "config"]), 1, "unknown flag: --nope");
    ended(&instance.run(&["debug", "config", "--host"]), 1, "flag needs an argument: --host");
}

#[test]
fn a_mistyped_command_is_told_and_a_mistyped_subcommand_succeeds() {
    let instance = Instance::direct("0.19.2");
    ended(&instance.run(&["sevrer"]), 1, "unknown command \"sevrer\" for \"gotosocial\"");
    ended(&instance.run(&["server", "strat"]), 0, "Usage:");
    ended(&instance.run(&["admin", "account", "nosuch"]), 0, "Usage:");
}

#[test]
fn migrations_run_came_with_0_20_and_an_older_program_does_not_notice() {
    let old = Instance::proxied("0.19.2");
    ended(&old.run_configured(&["migrations", "run"]), 1, "unknown command \"migrations\"");
    let new = Instance::proxied("0.20.0-rc1");
    ended(&new.run_configured(&["migrations", "run"]), 0, "MIGRATED DATABASE");
    ended(&new.run_configured(&["migrations", "run"]), 0, "there are no new migrations to run");
    std::fs::copy(new.layout().database(), old.layout().database()).unwrap();
    let server = old.started();
    ended(&old.run_configured(&create("alice", PASSWORD)), 0, "");
    let get = |path: &str| old.get(&format!("http://{HOST}:{}{path}", old.port)).unwrap().status();
    assert_eq!(get("/readyz"), 200);
    assert_eq!(get("/@alice"), 500, "its pages fail on the newer database");
    assert_eq!(server.stop(), 0);
}

#[test]
fn accounts_are_made_while_it_runs() {
    let instance = Instance::proxied("0.19.2");
    let server = instance.started();
    let output = instance.run_configured(&create("alice", PASSWORD));
    ended(&output, 0, "");
    assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
    let get = |path: &str| instance.get(&format!("http://{HOST}:{}{path}", instance.port)).unwrap().status();
    assert_eq!(get(&format!("/.well-known/webfinger?resource=acct:alice@{HOST}")), 200);
    assert_eq!(get("/@alice"), 200);
    ended(&instance.run_configured(&["admin", "account", "promote", "--username", "alice"]), 0, "");
    let list = instance.run_configured(&["--log-level", "warn", "admin", "account", "list"]);
    ended(&list, 0, "user\taccount\tapproved\tadmin\tmoderator\tsuspended\tconfirmed\nalice\t");
    ended(&list, 0, "\tyes\tyes\tyes\tno\tyes\n");
    ended(&instance.run_configured(&["admin", "account", "promote", "--username", "bob"]), 1, "no rows in result set");
    ended(&instance.run_configured(&create("alice", PASSWORD)), 1, "username alice is already in use");
    ended(&instance.run_configured(&create("bob", PASSWORD)), 1, "alice@example.org is already in use");
    ended(&instance.run_configured(&create("Bob", PASSWORD)), 1, "given username Bob was invalid");
    let long = "aB3$".repeat(19);
    let password = |text| ["admin", "account", "password", "--username", "alice", "--password", text];
    ended(&instance.run_configured(&password("password")), 1, "% strength");
    ended(&instance.run_configured(&password(&long)), 1, "no more than 72 bytes");
    ended(&instance.run_configured(&password(PASSWORD)), 0, "");
    assert_eq!(server.stop(), 0);
    let missing = ["admin", "account", "create", "--username", "bob"];
    ended(&instance.run_configured(&missing), 1, "required flag(s) \"email\", \"password\" not set");
}

#[test]
fn an_account_made_before_the_first_start_is_half_made() {
    let instance = Instance::proxied("0.19.2");
    ended(
        &instance.run_configured(&create("alice", PASSWORD)),
        1,
        "run the server at least once *before* creating users",
    );
    let server = instance.started();
    ended(&instance.run_configured(&create("alice", PASSWORD)), 1, "username alice is already in use");
    assert_eq!(instance.get(&format!("http://{HOST}:{}/@alice", instance.port)).unwrap().status(), 500);
    assert_eq!(server.stop(), 0);
}
