//! The suite: stories that drive the real `gts-bootstrap`, told on two hosts.
//!
//! On a real host it is the acceptance: it runs without Cargo and without internet, on the host itself.
//!
//! It changes the machine that it runs on, as root, and puts it back. It is meant for a throwaway FreeBSD machine, and made
//! and run as `docs/acceptance.md` tells. With `--rehearse` the stories are told on a folder instead, all but those that a
//! rehearsal cannot tell. That is how `cargo test` tells them, each on a fresh one (`tests/scenarios.rs`).

mod arguments;
mod bench;
mod http_mirror;
mod impostor;
mod meter;
mod mirror;
mod outcome;
mod report;
mod reset;
mod restore;
mod snapshot;
mod stage;
mod stories;
mod transcript;
mod trouble;

use std::path::Path;
use std::process::ExitCode;

use arguments::Arguments;
use bench::{Bench, HTTPD, LOG, NGINX, OWN_FOLDER};
use gts_bootstrap::child::{self, CHILD_ARGUMENT};
use gts_bootstrap::host::{CHILD_ROLES, Host, Observe, Owner};
use meter::{METER, Meter, Used};
use report::{Tally, mebibytes};
use stage::Stage;
use stories::{STORIES, Story, Verdict};

/// Where the transcript of each failed story is.
const FAILED_FOLDER: &str = "/var/db/gts-acceptance/failed";
/// How many lines of the server's log belong to it.
const LOG_LINES: usize = 60;
/// The largest memory of a run, in KiB; none for a program that is not built as it is shipped.
const MEMORY: Option<u64> = if cfg!(debug_assertions) { None } else { Some(16 * 1024) };

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match given.first().map(String::as_str) {
        // The child of a bind probe, which is this very program again.
        Some(CHILD_ARGUMENT) => return child::main(CHILD_ROLES),
        Some(METER) => return meter::main(&given[1..]),
        _ => {}
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
    let mut installations = 0;
    if arguments.is_after_reboot() {
        let meter = Meter::start(&bench)?;
        let verdict = stories::after_reboot(&bench);
        report(&bench, &mut tally, stories::AFTER_REBOOT, &verdict, &meter.used(&bench)?)?;
    } else {
        with_web_servers(&bench)?;
        reset::prepare(&bench)?;
        bench.remove(FAILED_FOLDER)?;
        let mut stage = Stage::new(&bench)?;
        let mut stays = false;
        for story in chosen {
            let meter = Meter::start(&bench)?;
            let verdict = tell(&bench, &mut stage, story);
            stays = story.stays && verdict == Verdict::Passed;
            report(&bench, &mut tally, story.name, &verdict, &meter.used(&bench)?)?;
        }
        if !stays && let Err(why) = stage.clear() {
            let verdict = Verdict::Failed(why);
            report(&bench, &mut tally, "the-machine-is-put-back", &verdict, &Used::default())?;
        }
        installations = stage.installations;
    }
    println!("{}", tally.sum(installations));
    if tally.has_failures() {
        println!(
            "What the failed stories did stands in {FAILED_FOLDER}, without secrets. docs/acceptance.md: what to send."
        );
    }
    Ok(tally)
}

/// Gives a rehearsal what somebody installs on a real machine beforehand: no story does.
fn with_web_servers(bench: &Bench) -> Result<(), String> {
    let Some(rehearsal) = bench.rehearsal()? else { return Ok(()) };
    for server in [&NGINX, &HTTPD] {
        if rehearsal.package(server.service).map_err(|error| error.to_string())?.is_none() {
            rehearsal.install_package(server.service).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// One story, and the machine brought to where the next can begin, unless a reboot is to come first.
fn tell(bench: &Bench, stage: &mut Stage, story: &Story) -> Verdict {
    let told = match story.missing(bench) {
        Ok(Some(why)) => return Verdict::Skipped(why),
        Ok(None) => stage.bring(story.start).and_then(|()| story.tell(bench)),
        Err(why) => Err(why),
    };
    let told = told.and_then(|()| match (MEMORY, bench.peak()) {
        (Some(limit), peak) if peak > limit && story.measures_the_program_alone(bench) => {
            let (peak, limit) = (mebibytes(peak), mebibytes(limit));
            Err(format!("a run of the program took {peak:.1} MiB of memory; {limit:.0} are allowed"))
        }
        _ => Ok(()),
    });
    match told {
        Ok(()) if story.stays => Verdict::Passed,
        Ok(()) => match stage.after(story.leaves, story.changes_data) {
            Ok(()) => Verdict::Passed,
            Err(why) => Verdict::Failed(format!("the machine was not put back: {why}")),
        },
        Err(first) => {
            if let Ok(log) = bench.text(LOG) {
                let lines: Vec<&str> = log.lines().collect();
                let last = lines[lines.len().saturating_sub(LOG_LINES)..].join("\n");
                bench.transcript.borrow_mut().add_text(&format!("The end of {LOG}:\n{last}\n"));
            }
            match stage.clear() {
                Ok(()) => Verdict::Failed(first),
                Err(why) => Verdict::Failed(format!("{first}\nand it was not put back: {why}")),
            }
        }
    }
}

/// Counts a story; for one that failed there is a file with its transcript.
fn report(bench: &Bench, tally: &mut Tally, name: &str, verdict: &Verdict, used: &Used) -> Result<(), String> {
    let mut transcript = bench.transcript.borrow_mut();
    let text = transcript.take();
    let Verdict::Failed(why) = verdict else {
        tally.count(name, verdict, used);
        return Ok(());
    };
    let why = transcript.clean(why);
    let host = bench.host()?;
    let system = host.system().map_err(|error| error.to_string())?;
    let text = format!("{name}\non {system:?}\n\n{why}\n\n{text}");
    for folder in [OWN_FOLDER, FAILED_FOLDER] {
        host.make_directory(Path::new(folder), 0o700, Owner::ROOT).map_err(|error| error.to_string())?;
    }
    let file = format!("{FAILED_FOLDER}/{name}.txt");
    host.write_file(Path::new(&file), text.as_bytes(), 0o600, Owner::ROOT).map_err(|error| error.to_string())?;
    tally.count(name, &Verdict::Failed(why), used);
    Ok(())
}
