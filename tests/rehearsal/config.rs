//! config.yaml is tried before it goes live.

use crate::machine::{ANSWERS, Machine, differences};

#[test]
fn a_configuration_that_the_release_does_not_read_is_taken_back() {
    let machine = Machine::with(|model| model.faults.debug_config_without_host = true);
    let before = machine.system_files();
    machine.install(ANSWERS).exits(1).says("does not give back host").says("the host is as it was");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_line_at_the_end_is_no_conflict_with_a_setting_that_comes_from_the_answers() {
    const CONFIG: &str = "/usr/local/etc/gotosocial/config.yaml";
    let machine = Machine::installed(ANSWERS);
    machine.write(CONFIG, &format!("{}instance-expose-peers: true\n", machine.read(CONFIG)));
    machine.run(&["install", "--yes", "--set", "config.accounts-registration-open=true"]).exits(0);
    machine.run(&["install", "--yes", "--set", "config.instance-languages=[\"en\"]"]).exits(0);
    let merged = machine.read(CONFIG);
    for line in ["instance-expose-peers: true", "accounts-registration-open: true", "instance-languages"] {
        assert_eq!(merged.matches(line).count(), 1, "{merged}");
    }
    assert!(merged.ends_with("instance-expose-peers: true\n"), "{merged}");
}
