//! The contract of the command line: exit codes, `--json`, colours, nonsense.

use super::machine::{ANSWERS, Machine};

#[test]
fn json_is_one_object_of_the_documented_form() {
    let machine = Machine::fresh();
    let outcome = machine.install_with(ANSWERS, &["--yes", "--json"]).exits(0);
    assert_eq!(outcome.stdout.lines().count(), 1, "{}", outcome.stdout);
    let json = outcome.json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["command"], "install");
    assert_eq!(json["changed"], true);
    assert_eq!(json["reboot_required"], false);
    let changes = json["changes"].as_array().unwrap();
    assert!(changes.contains(&serde_json::json!({
        "part": "account", "kind": "user", "target": "gotosocial", "action": "create"
    })));
    for change in changes {
        let keys: Vec<&String> = change.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["part", "kind", "target", "action"]);
    }
    let checks = json["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "bind nobody 80/tcp4" && check["status"] == "pass"));
    for check in checks {
        assert!(["pass", "fail", "warn", "skip"].contains(&check["status"].as_str().unwrap()), "{check}");
        assert!(check["detail"].is_string());
    }
    assert!(json.get("error").is_none());
}

#[test]
fn json_of_a_plan_a_refusal_and_a_check() {
    let machine = Machine::fresh();
    let plan = machine.install_with(ANSWERS, &["--plan", "--json"]).exits(0).json();
    assert_eq!(plan["changed"], true, "it would be");
    assert!(!plan["changes"].as_array().unwrap().is_empty());
    let refused = machine.install_with("hots = \"a.example\"\n", &["--yes", "--json"]).exits(2).json();
    assert_eq!(refused["changed"], false);
    assert!(refused["error"].as_str().unwrap().contains("hots"), "{refused}");
    let nothing = machine.run(&["check", "--json"]).exits(3).json();
    assert_eq!(nothing["command"], "check");
    machine.install(ANSWERS).exits(0);
    let check = machine.run(&["--json", "check"]).exits(0).json();
    assert!(check["checks"].as_array().unwrap().iter().all(|check| check["status"] != "fail"));
}

#[test]
fn bad_answers_are_told_all_at_once_with_key_line_and_cure() {
    let machine = Machine::fresh();
    let answers = "hots = \"a.example\"\n[tls]\nemial = \"x@a.example\"\n[release]\nversion = 3\n";
    machine
        .install(answers)
        .exits(2)
        .says("answers.toml:1: hots: there is no such answer. Did you mean host?")
        .says("answers.toml:3: tls.emial: there is no such answer. Did you mean email?")
        .says("answers.toml:5: release.version")
        .says("Add this line at the top: host = \"social.example.org\"");
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
        machine.install_with(ANSWERS, &["--yes", "--set", set]).exits(2).says(word);
    }
    assert!(!machine.exists("/var/db/gotosocial"), "nothing was changed");
}

#[test]
fn nonsense_is_refused_with_exit_code_2() {
    let machine = Machine::fresh();
    machine.run(&["instal"]).exits(2).says("install");
    machine.run(&["install", "--yes", "--plan"]).exits(2).says("--plan");
    machine.run(&["install", "--answers", "nowhere.toml", "--yes"]).exits(2).says("nowhere.toml");
    machine.run(&["install", "-q", "-v"]).exits(2);
    machine.run(&["--color", "purple", "check"]).exits(2).says("auto");
    machine.run(&[]).exits(2).says("Usage");
    machine.run(&["--help"]).exits(0).says("Exit codes");
    machine.run(&["--version"]).exits(0).says("gts-bootstrap 0.");
}

#[test]
fn a_folder_with_something_else_in_it_is_left_alone() {
    let machine = Machine::fresh();
    let other = machine.beside("photos");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("cat.jpg"), "cat").unwrap();
    machine.run(&["install", "--yes", "--rehearse", other.to_str().unwrap()]).exits(2);
    let outcome = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["--rehearse", other.to_str().unwrap(), "check"])
        .output()
        .unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("not empty"));
    assert_eq!(std::fs::read_dir(&other).unwrap().count(), 1);
}

#[test]
fn colours_only_where_they_are_wanted() {
    let machine = Machine::fresh();
    assert!(!machine.install_with(ANSWERS, &["--plan"]).stdout.contains('\x1b'), "no terminal");
    assert!(machine.install_with(ANSWERS, &["--plan", "--color", "always"]).stdout.contains("\x1b["));
    assert!(!machine.install_with(ANSWERS, &["--plan", "--color", "never"]).stdout.contains('\x1b'));
}

#[test]
fn quiet_says_only_what_needs_attention_and_verbose_says_what_passed() {
    let machine = Machine::fresh();
    let quiet = machine.install_with(ANSWERS, &["--yes", "-q"]).exits(0);
    assert_eq!(quiet.stdout, "");
    machine.install_with(ANSWERS, &["--yes", "-v"]).exits(0).says("securelevel: -1");
}

#[test]
fn lines_fit_eighty_columns() {
    let machine = Machine::fresh();
    let outcome = machine.install_with(ANSWERS, &["--plan"]).exits(0);
    for line in outcome.stdout.lines().filter(|line| !line.contains("SHA-256")) {
        let longest_word = line.split(' ').map(str::len).max().unwrap_or(0);
        assert!(line.chars().count() <= 80 || longest_word > 60, "{line}");
    }
}

#[cfg(not(target_os = "freebsd"))]
#[test]
fn on_another_system_only_rehearsals_are_possible() {
    let outcome = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .args(["install", "--yes", "--set", "host=a.example"])
        .output()
        .unwrap();
    assert_eq!(outcome.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&outcome.stderr).contains("--rehearse DIR"));
}

#[test]
fn files_that_cannot_be_understood_are_named_and_nothing_is_changed() {
    for (path, bytes, word) in [
        ("/usr/local/etc/gotosocial/config.yaml", &b"host: \xff\xfe\n"[..], "is not UTF-8 text"),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", b"schema = 1\n", "deployment.lock"),
        ("/usr/local/etc/gts-bootstrap/deployment.lock", b"schema = 99\n", "deployment.lock"),
        ("/usr/local/etc/gts-bootstrap/deployment.secrets.toml", b"db-pasword = 'x'\n", "db-pasword"),
        ("/var/db/gts-bootstrap/journal", b"not json\n", "journal"),
    ] {
        let machine = Machine::installed(ANSWERS);
        std::fs::write(machine.path(path), bytes).unwrap();
        let before = machine.system_files();
        let outcome = machine.install(&ANSWERS.replace("admin@", "ops@"));
        assert!([1, 2].contains(&outcome.code), "{path}: {}", outcome.said());
        assert!(outcome.said().contains(word), "{path}: {}", outcome.said());
        assert!(!outcome.said().contains("panicked"), "{}", outcome.said());
        assert_eq!(super::machine::differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn two_runs_at_once_are_kept_apart() {
    let machine = Machine::fresh();
    let folder = std::fs::File::open(machine.path("/.rehearsal")).unwrap();
    let held = nix::fcntl::Flock::lock(folder, nix::fcntl::FlockArg::LockExclusiveNonblock).unwrap();
    machine.install(ANSWERS).exits(1).says("another gts-bootstrap is at work").says("then run this again");
    held.unlock().unwrap();
    machine.install(ANSWERS).exits(0);
}

#[test]
fn a_reader_that_goes_away_does_not_stop_a_change_half_way() {
    let machine = Machine::fresh();
    std::fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .arg("--rehearse")
        .arg(machine.root())
        .args(["install", "--yes", "--answers"])
        .arg(machine.beside("answers.toml"))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    machine.install(ANSWERS).exits(0).says("Nothing to change");
}
