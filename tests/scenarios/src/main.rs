//! The suite: stories that drive the real `gts-bootstrap`, told on two hosts.
//!
//! On a real host it is the acceptance: it runs without Cargo and without internet, on the host itself.
//!
//! It changes the machine that it runs on, as root, and puts it back after each story. It is meant for a throwaway
//! FreeBSD machine, and made and run as `docs/acceptance.md` tells. With `--rehearse` the stories are told on a folder
//! instead, all but those that a rehearsal cannot tell. That is how `cargo test` tells them, each on a fresh one
//! (`tests/scenarios.rs`).

mod arguments;
mod bench;
mod impostor;
mod outcome;
mod report;
mod reset;
mod snapshot;
mod stories;
mod trouble;

use std::process::ExitCode;

use arguments::Arguments;
use bench::Bench;
use gts_bootstrap::child::{self, CHILD_ARGUMENT};
use gts_bootstrap::host::CHILD_ROLES;
use report::Tally;
use stories::{STORIES, Story, Verdict};

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    // The child of a bind probe, which is this very program again.
    if given.first().is_some_and(|first| first == CHILD_ARGUMENT) {
        return child::main(CHILD_ROLES);
    }
    match Arguments::read(&given).and_then(|arguments| run(&arguments)) {
        Ok(tally) => tally.exit_code(),
        Err(why) => {
            eprintln!("acceptance: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<Tally, String> {
    let chosen: Vec<&Story> = arguments.choose(STORIES)?;
    if arguments.list {
        chosen.iter().for_each(|story| println!("{}", story.name));
        return Ok(Tally::default());
    }
    let bench = Bench::new(arguments)?;
    let mut tally = Tally::default();
    if arguments.is_after_reboot() {
        tally.count(stories::AFTER_REBOOT, &stories::after_reboot(&bench));
    } else {
        reset::prepare(&bench)?;
        for story in chosen {
            tally.count(story.name, &tell(&bench, story));
        }
    }
    tally.print();
    Ok(tally)
}

/// One story, and the machine put back after it, unless a reboot is to come first.
fn tell(bench: &Bench, story: &Story) -> Verdict {
    let before = match reset::state(bench) {
        Ok(state) => state,
        Err(why) => return Verdict::Failed(why),
    };
    let verdict = story.tell(bench);
    if story.stays && verdict == Verdict::Passed {
        return verdict;
    }
    match (reset::put_back(bench, &before), verdict) {
        (Ok(()), verdict) => verdict,
        (Err(why), Verdict::Failed(first)) => Verdict::Failed(format!("{first}\nand it was not put back: {why}")),
        (Err(why), _) => Verdict::Failed(format!("the machine was not put back: {why}")),
    }
}
