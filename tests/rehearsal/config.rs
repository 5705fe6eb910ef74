//! config.yaml is tried before it goes live.

use super::machine::{ANSWERS, Machine, differences};

#[test]
fn a_configuration_that_the_release_does_not_read_is_taken_back() {
    let machine = Machine::with(|model| model.faults.debug_config_without_host = true);
    let before = machine.system_files();
    machine.install(ANSWERS).exits(1).says("does not give back host").says("the host is as it was");
    assert_eq!(differences(&before, &machine.system_files()), Vec::<std::path::PathBuf>::new());
}
