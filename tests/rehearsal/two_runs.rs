//! Two runs at once, as two real processes: the second says who is at work, and ends.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::machine::{ANSWERS, Machine};

#[test]
fn the_second_run_says_who_is_at_work_and_ends() {
    let machine = Machine::with(|model| model.faults.polls_until_ready = 1700);
    fs::write(machine.beside("answers.toml"), ANSWERS).unwrap();
    let mut first = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap"))
        .arg("--rehearse")
        .arg(machine.root())
        .args(["install", "--answers", "answers.toml", "--yes"])
        .current_dir(machine.root().parent().unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !machine.exists("/var/db/gts-bootstrap/journal") {
        assert!(Instant::now() < until, "the first run does not begin");
        thread::sleep(Duration::from_micros(200));
    }
    let holder = format!("another gts-bootstrap is running (pid {}, `install`, since ", first.id());
    machine.run(&["recover", "--undo", "--yes"]).exits(6).says(&holder);
    machine.install(ANSWERS).exits(6).says(&holder).says(" GMT)").says("wait until it has ended");
    // Who only looks is told too, and goes on.
    machine.run(&["recover", "--plan"]).exits(6).says(&holder);
    first.kill().unwrap();
    first.wait().unwrap();
    // The lock went with the process.
    machine.edit(|model| model.faults.polls_until_ready = 0);
    machine.run(&["recover"]).exits(4).says("was interrupted").says("not confirmed");
    machine.run(&["recover", "--plan"]).exits(0).says("was interrupted").says("Nothing was changed");
    machine.run(&["recover", "--yes"]).exits(0).says("run `gts-bootstrap install` again");
    machine.install(ANSWERS).exits(0);
}
