//! An rc.conf that people have written, with whatever sysrc(8) cannot be trusted with: nothing in it is lost.

use crate::machine::{ANSWERS, Machine};

/// A machine with these lines at the end of its rc.conf, and what it has there then.
fn with(lines: &str, osreldate: u32) -> (Machine, String) {
    let machine = Machine::with(|model| model.osreldate = osreldate);
    let text = machine.read("/etc/rc.conf") + lines;
    machine.write("/etc/rc.conf", &text);
    (machine, text)
}

#[test]
fn an_installation_and_its_end_leave_everything_that_is_there() {
    for lines in [
        "a=\"1\"; b=\"2\"\n",
        "a=\"1 \\\n 2\"\n",
        ": ${a:=dflt}\nexport b=1\n",
        "if true; then\n  a='x'\nfi\n",
        "gotosocial_enable='NO' # not yet\n",
        "gotosocial_enable=\"NO\"; b=\"2\"\n",
        "if true; then\n  gotosocial_enable=\"NO\"\nfi\n",
    ] {
        for osreldate in [1_302_001, 1_501_000] {
            let (machine, before) = with(lines, osreldate);
            machine.install(ANSWERS).exits(0);
            machine.run(&["uninstall", "--yes"]).exits(0);
            assert_eq!(machine.read("/etc/rc.conf"), before, "{lines} on {osreldate}");
        }
    }
}

#[test]
fn a_last_line_without_an_end_gets_one_and_stays_a_line() {
    for osreldate in [1_302_001, 1_501_000] {
        for lines in ["last=1", "gotosocial_enable=\"NO\"\nlast=1"] {
            let (machine, before) = with(lines, osreldate);
            machine.install(ANSWERS).exits(0);
            assert!(machine.read("/etc/rc.conf").contains("\nlast=1\n"), "{}", machine.read("/etc/rc.conf"));
            machine.run(&["uninstall", "--yes"]).exits(0);
            assert_eq!(machine.read("/etc/rc.conf"), before + "\n", "on {osreldate}");
        }
    }
}

#[test]
fn a_value_over_two_lines_is_refused_and_stays() {
    let (machine, before) = with("gotosocial_enable=\"N\\\nO\"\n", 1_501_000);
    let line = before.lines().count() - 1;
    let outcome = machine.install(ANSWERS).exits(1);
    outcome
        .says(&format!(
            "cannot edit /etc/rc.conf: line {line} sets gotosocial_enable, and its value goes on in the next line"
        ))
        .says("give it a line of its own and run this again");
    assert_eq!(machine.read("/etc/rc.conf"), before);
}

#[test]
fn what_somebody_has_put_into_our_line_is_not_taken_out_with_it() {
    let machine = Machine::installed(ANSWERS);
    let text =
        machine.read("/etc/rc.conf").replace("gotosocial_enable=\"YES\"\n", "gotosocial_enable=\"YES\"; mine=\"1\"\n");
    machine.write("/etc/rc.conf", &text);
    let outcome = machine.run(&["uninstall", "--yes"]);
    let outcome = outcome.says("there is more than this variable in the line");
    assert_ne!(outcome.code, 0);
    assert!(machine.read("/etc/rc.conf").contains("gotosocial_enable=\"YES\"; mine=\"1\"\n"));
    machine.write("/etc/rc.conf", &machine.read("/etc/rc.conf").replace("; mine", "\nmine"));
    machine.run(&["uninstall", "--yes"]).exits(0);
    assert!(machine.read("/etc/rc.conf").ends_with("mine=\"1\"\n"));
}

#[test]
fn an_immutable_rc_conf_is_named_with_the_way_out() {
    let machine = Machine::with(|model| model.immutable = ["/etc/rc.conf".into()].into());
    let before = machine.read("/etc/rc.conf");
    let outcome = machine.install(ANSWERS).exits(1);
    outcome.says("sysrc: cannot create /etc/rc.conf: Operation not permitted").says("chflags");
    assert_eq!(machine.read("/etc/rc.conf"), before);
}
