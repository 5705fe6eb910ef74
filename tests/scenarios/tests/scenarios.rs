//! Every story as a test of its own, on a rehearsal of its own: `cargo test --test scenarios`.
//!
//! The list of stories is the suite's own (`--list`), so none can be forgotten here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod machine;

use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use machine::Machine;

fn main() -> ExitCode {
    let list = Command::new(env!("CARGO_BIN_EXE_acceptance")).args(["--list"]).output().unwrap();
    let names = String::from_utf8(list.stdout).unwrap();
    assert!(names.lines().count() > 1, "there are no stories");
    let stories = names.lines().map(str::to_owned).map(|name| Trial::ignorable_test(name.clone(), move || tell(&name)));
    libtest_mimic::run(&Arguments::from_args(), stories.collect()).exit_code()
}

/// Tells a story on a machine of its own, which has every package that a story may need.
fn tell(name: &str) -> Result<Completion, Failed> {
    let machine = Machine::fresh();
    machine.with_portacl_rc();
    let output = machine.tell(&[name, "--acme", "https://acme.example/directory"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    match (output.status.code(), said.strip_prefix(&format!("skipped {name}: "))) {
        (Some(0), Some(why)) => Ok(Completion::ignored_with(why.lines().next().unwrap_or_default())),
        (Some(0), None) if said.contains("1 passed, 0 failed, 0 skipped") => Ok(Completion::Completed),
        _ => Err(said.into()),
    }
}
