//! What is seen while it works: at a terminal a bar and a spinner, elsewhere plain lines.

use gts_bootstrap::host::rehearsal::Model;

use super::terminal::Terminal;
use crate::machine::{ANSWERS, Machine};

const ANSWERED: [&str; 6] =
    ["install", "--yes", "--set", "host=social.example.org", "--set", "tls.email=admin@my-domain.net"];

/// A machine on which GoToSocial's start takes an hour of the model's time, and some seconds of ours.
fn slow() -> Machine {
    Machine::with(|model: &mut Model| model.faults.polls_until_ready = 1700)
}

/// What stood in one line of the screen, one after the other.
fn drawn(all: &str) -> Vec<&str> {
    all.split(['\r', '\n']).map(|line| line.trim_start_matches("\x1b[2K").trim()).collect()
}

#[test]
fn a_download_has_a_bar_with_bytes_speed_and_the_time_that_is_left() {
    let machine = Machine::fresh();
    let mut terminal = Terminal::start(&machine, &ANSWERED);
    terminal.expect("is up.");
    terminal.ends(0);
    let all = terminal.all().to_owned();
    let bars: Vec<&str> =
        drawn(&all).into_iter().filter(|line| line.starts_with('[') && line.contains("B/s")).collect();
    let last = bars.last().unwrap_or_else(|| panic!("no bar in {all:?}"));
    let (bar, rest) = last.strip_prefix('[').unwrap().split_once("] ").unwrap();
    assert!(bar.chars().count() == 20 && bar.chars().all(|sign| "=> ".contains(sign)), "{last:?}");
    let columns: Vec<&str> = rest.split("  ").collect();
    let (there, total) = columns[0].split_once('/').unwrap();
    assert!(there.ends_with('B') && total.ends_with("iB"), "{last:?}");
    assert!(columns[1].ends_with("B/s") && columns[2].ends_with("s left"), "{last:?}");
    assert!(!columns[3].is_empty() && "gotosocial_".starts_with(columns[3]), "{last:?}");
    assert!(last.chars().count() < 80, "{last:?}");
    // A line a change stays.
    assert!(
        all.contains("[ 1/50] create group gotosocial\r\n") && all.contains("[50/50] start service gotosocial"),
        "{all}"
    );
}

#[test]
fn a_start_and_a_migration_have_a_spinner_with_the_time_and_the_newest_line_of_the_log() {
    let machine = slow();
    let mut terminal = Terminal::start(&machine, &ANSWERED);
    terminal.expect("s  GoToSocial is starting: compiling WebAssembly");
    terminal.expect("changes made.");
    terminal.ends(0);
    let all = terminal.all().to_owned();
    let turns: Vec<char> = drawn(&all)
        .into_iter()
        .filter(|line| line.contains("s  GoToSocial is starting: "))
        .filter_map(|line| line.chars().next())
        .collect();
    assert!(turns.contains(&'|') && turns.iter().all(|turn| "|/-\\".contains(*turn)), "{turns:?}");
    let machine = Machine::installed(ANSWERS);
    machine.edit(|model| model.faults.polls_while_migrating = 300);
    let mut terminal = Terminal::start(&machine, &["upgrade", "--release", "0.20.0-rc1", "--yes"]);
    terminal.expect("s  the database is being migrated");
    terminal.expect("changes made.");
    terminal.ends(0);
}

#[test]
fn where_standard_error_is_no_terminal_there_are_plain_lines() {
    let outcome = slow().run(&ANSWERED).exits(0);
    assert!(![&outcome.stdout, &outcome.stderr].iter().any(|text| text.contains(['\x1b', '\r'])), "{outcome:?}");
    let lines: Vec<&str> = outcome.stdout.lines().map(str::trim).collect();
    assert!(lines.iter().any(|line| line.starts_with("downloading gotosocial_") && line.ends_with('B')), "{lines:?}");
    // One every ten seconds, and not one every time it is looked.
    let told: Vec<u64> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("GoToSocial is starting (")?.split_once(" s): ")?.0.parse().ok())
        .collect();
    assert!(told.len() > 100 && told.windows(2).all(|pair| pair[1] >= pair[0] + 10), "{told:?}");
}
