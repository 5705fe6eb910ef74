//! config.yaml: only what was asked for, tried before it goes live, and edits by hand are kept.

use super::machine::{ANSWERS, Machine, differences};

const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";

#[test]
fn edits_by_hand_are_kept_and_new_answers_are_merged() {
    let machine = Machine::installed(ANSWERS);
    let edited = machine.read(CONFIG) + "\n# by hand\nlog-level: \"debug\"\n";
    machine.write(CONFIG, &edited);
    machine.install(ANSWERS).exits(0).says("Nothing to change");
    assert_eq!(machine.read(CONFIG), edited);
    let answers = ANSWERS.replace("admin@example.org", "ops@example.org");
    machine.install(&answers).exits(0).says("stop service gotosocial").says("start service gotosocial");
    let merged = machine.read(CONFIG);
    assert!(merged.contains("# by hand\nlog-level: \"debug\"\n") && merged.contains("ops@example.org"), "{merged}");
    machine.install(&answers).exits(0).says("Nothing to change");
}

#[test]
fn a_conflict_stops_before_anything_is_changed() {
    let machine = Machine::installed(ANSWERS);
    machine.write(CONFIG, &machine.read(CONFIG).replace("admin@example.org", "mine@example.org"));
    let before = machine.snapshot();
    machine
        .install(&ANSWERS.replace("admin@example.org", "ops@example.org"))
        .exits(1)
        .says("was edited by hand")
        .says("mine@example.org")
        .says("ops@example.org")
        .does_not_say("social.example.org\" #");
    assert_eq!(differences(&before, &machine.snapshot()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_key_that_this_version_would_ignore_is_named_with_the_nearest() {
    let machine = Machine::fresh();
    let answers = format!("{ANSWERS}\n[config]\naccounts-registration-opne = true\n");
    machine
        .install_with(&answers, &["--plan"])
        .exits(0)
        .says("accounts-registration-opne is no setting that is known here; did you mean accounts-registration-open?");
    machine
        .install(&answers)
        .exits(0)
        .says("does not know `accounts-registration-opne`")
        .says("did you mean `accounts-registration-open`?");
}

#[test]
fn a_configuration_that_the_release_does_not_read_is_taken_back() {
    let machine = Machine::with(|model| model.faults.debug_config_without_host = true);
    let before = machine.system_files();
    machine.install(ANSWERS).exits(1).says("does not give back host").says("the host is as it was");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_broken_edit_never_goes_live() {
    let machine = Machine::installed(ANSWERS);
    machine.write(CONFIG, &(machine.read(CONFIG) + "\thost: [\n"));
    let files = machine.system_files();
    machine.install(&ANSWERS.replace("admin@example.org", "ops@example.org")).exits(1).says("config.yaml");
    assert_eq!(differences(&files, &machine.system_files()), Vec::<std::path::PathBuf>::new());
    assert!(machine.model().gotosocial.is_some(), "the old one still serves");
}

#[test]
fn secrets_reach_config_yaml_and_nothing_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::fresh();
    let answers = format!("{ANSWERS}\n[config]\nsmtp-host = \"mail.example.org\"\n");
    std::fs::write(machine.beside("answers.toml"), &answers).unwrap();
    let secret = "hunter2-correct-horse";
    let arguments = ["install", "--answers", "answers.toml", "--yes", "-v"];
    machine.run_with(&arguments, &[("GTS_SMTP_PASSWORD", secret)]).exits(0).does_not_say(secret);
    assert!(machine.read(CONFIG).contains(secret));
    for (path, (mode, _, content)) in machine.snapshot() {
        if String::from_utf8_lossy(&content).contains(secret) {
            let group = machine.model().owners.get(&std::path::Path::new("/").join(&path)).map_or(0, |owner| owner.gid);
            assert_eq!(mode & 0o007, 0, "{} can be read by others", path.display());
            assert!(mode & 0o070 == 0 || group == 209, "{} can be read by its group", path.display());
        }
    }
    // A conflict in its very line does not show it either.
    machine.write(CONFIG, &machine.read(CONFIG).replace(secret, "edited-by-hand-secret"));
    machine
        .run_with(&arguments, &[("GTS_SMTP_PASSWORD", "new-secret-from-outside")])
        .exits(1)
        .says("smtp-password: (hidden)")
        .does_not_say("edited-by-hand-secret")
        .does_not_say("new-secret-from-outside")
        .does_not_say(secret);
    machine.write(CONFIG, &machine.read(CONFIG).replace("edited-by-hand-secret", secret));
    // Nor does the plan to change it.
    let plan = ["install", "--answers", "answers.toml", "--plan", "-v"];
    machine
        .run_with(&plan, &[("GTS_SMTP_PASSWORD", "new-secret-from-outside")])
        .exits(0)
        .says("smtp-password: (hidden)")
        .does_not_say("new-secret-from-outside")
        .does_not_say(secret);
    // The host keeps it, so that a run without the environment comes to the same.
    machine.run(&arguments).exits(0).says("Nothing to change");

    let beside = machine.beside("answers.secrets.toml");
    std::fs::write(&beside, "smtp-password = \"other-secret-words\"\n").unwrap();
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o644)).unwrap();
    machine.run(&arguments).exits(2).says("chmod 600");
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(0o600)).unwrap();
    machine.run(&arguments).exits(0);
    assert!(machine.read(CONFIG).contains("other-secret-words"));
}

#[test]
fn no_answer_can_break_out_of_a_value() {
    let machine = Machine::fresh();
    let evil = "x\\\"\\nhost: evil.example.org\\n# \\u2028";
    machine.install(&format!("{ANSWERS}\n[config]\nlanding-page-user = \"{evil}\"\n")).exits(0);
    let config = machine.read(CONFIG);
    assert_eq!(config.lines().filter(|line| line.starts_with("host:")).count(), 1, "{config}");
}
