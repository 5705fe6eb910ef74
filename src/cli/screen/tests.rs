//! Text from anywhere, through everything that prints.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::change::{Action, Change, Operator, Plan, Remove, Step, WriteFile};
use crate::check::{Check, Matter, Status};
use crate::cli::dialogue::conversation::Console;
use crate::cli::people::Attendants;
use crate::cli::plan_view;
use crate::cli::progress::Progress;
use crate::cli::report;
use crate::cli::surroundings::Captured;
use crate::deployment::Mode;
use crate::host::Owner;
use crate::host::rehearsal::Rehearsal;
use crate::run::{Exit, Manner, People, Report, Stop};
use crate::shown::Shown;

/// The words of a line that a message tries to forge.
const FORGED: &str = "FORGED";

/// What is printed on a screen with colours, without the escape sequences of our own tones.
fn printed(lines: &str, print: impl FnOnce(&Screen)) -> String {
    let (output, errors) = (Captured::default(), Captured::default());
    let around = Surroundings::piped(lines, &output, &errors);
    let global =
        Global { rehearse: None, json: false, color: Color::Always, verbose: true, quiet: false, on_interrupt: None };
    print(&Screen::new(global, Arc::new(around)));
    let tones = [Tone::HEADING, Tone::GOOD, Tone::CAUTION, Tone::BAD, Tone::ALARM, Tone::DIM, Tone("0")];
    let both = output.text() + &errors.text();
    tones.iter().fold(both, |text, Tone(parameters)| text.replace(&format!("\x1b[{parameters}m"), ""))
}

/// Nothing that a terminal obeys, and no line that the message has made for itself.
#[track_caller]
fn is_safe(printed: &str) {
    let seen = crate::shown::text(printed);
    assert_eq!(seen, printed, "{printed:?} has what cannot be seen");
    for line in printed.lines() {
        let words = line.trim_start_matches(' ');
        assert!(!words.starts_with(FORGED) || line.len() - words.len() >= LATER, "a forged line in {printed:?}");
    }
}

/// Letters and signs of all kinds, with many that a terminal obeys.
fn hostile() -> impl Strategy<Value = String> {
    let unseen = "[\u{0}-\u{1f}\u{7f}-\u{9f}\u{61c}\u{200b}-\u{200f}\u{2028}-\u{202e}\u{2060}-\u{2069}\u{feff}]";
    let pieces = format!("\\PC|{unseen}|\n| |\x1b\\[[0-9;]{{0,4}}[mJHK]|\x1b\\]0;|\n *{FORGED} ");
    proptest::string::string_regex(&format!("({pieces}){{0,30}}"))
        .unwrap()
        .prop_map(|text| format!("x{text}\n{FORGED}"))
}

fn step(action: Action, change: impl Into<Change>) -> Step {
    Step::new("part", action, change)
}

/// Steps whose paths, and the content of whose files, are this text.
fn steps(text: &str) -> Vec<Step> {
    let path = PathBuf::from(format!("/etc/{}", text.replace(['/', '\0'], "")));
    let content = crate::change::Content::new(text);
    let file = WriteFile { path: path.clone(), content, mode: 0o644, owner: Owner::ROOT };
    vec![step(Action::Create, file), step(Action::Remove, Remove { path })]
}

proptest! {
    #[test]
    fn no_message_steers_the_terminal_or_forges_a_line(text in hostile()) {
        let text = text.as_str();
        let told = |manner| is_safe(&printed("", |screen| Attendants { screen, asks: true }.tell(manner, text)));
        for manner in [
            Manner::Heading, Manner::Line, Manner::Text(0), Manner::Text(6), Manner::Good, Manner::Result, Manner::Attention,
            Manner::Notice, Manner::Warning, Manner::Reboot, Manner::Concern, Manner::Item,
        ] {
            told(manner);
        }
        is_safe(&printed("", |screen| Attendants { screen, asks: true }.error(ErrorCode::File, text)));
        is_safe(&printed("", |screen| {
            let stop = Stop::new(Exit::Failed, ErrorCode::File, text);
            report::finish(Report::new("test"), screen, Err(stop));
        }));
        is_safe(&printed("", |screen| {
            let matter = Matter("service", ErrorCode::ServiceDown);
            let named = |status| Check { name: text.shown().into_owned(), status, detail: text.to_owned(), code: None, startup: None };
            let all = [matter.pass(text), matter.warn(text), matter.fail(text), named(Status::Skip)];
            report::show_checks(screen, text.lines().next().unwrap_or_default(), &all, true);
        }));
    }

    #[test]
    fn no_progress_does(text in hostile()) {
        let text = text.as_str();
        is_safe(&printed("", |screen| {
            let progress = Progress::new(screen);
            progress.note(text);
            progress.waiting(text, Duration::from_secs(60), Some(text));
            for step in &steps(text) {
                Operator::begin(&progress, 1, 2, step);
                progress.undoing(step);
            }
            let download = progress.progress();
            download.begin(text, Some(9));
            download.retry(text, Duration::from_secs(1));
            download.done();
        }));
        is_safe(&printed("", |screen| Attendants { screen, asks: true }.trial(Mode::Direct, 9, false).say(text)));
    }

    #[test]
    fn no_plan_does(text in hostile()) {
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let host = Rehearsal::open(folder.path().join("root")).unwrap();
        let plan = Plan { steps: steps(&text), ..Plan::default() };
        let lines = |shown: Vec<Text<'_>>| printed("", |screen| shown.iter().for_each(|line| screen.line(line)));
        for all in [plan_view::list, plan_view::differences] {
            let mut shown = Vec::new();
            printed("", |screen| shown = all(screen, &host, &plan));
            // The lines of a file begin with a sign.
            let shown = lines(shown);
            let tones = ["1", "2", "31", "32", "33", "0"];
            is_safe(&tones.iter().fold(shown, |text, tone| text.replace(&format!("\x1b[{tone}m"), "")));
        }
    }

    #[test]
    fn no_question_and_no_answer_does(text in hostile()) {
        let default = text.replace('\n', "");
        is_safe(&printed(&text.replace('\n', "\u{85}"), |screen| {
            let mut console: &Surroundings = &screen.around;
            let _ = console.read(&text.shown(), Some(&default));
            console.say(text.lines().next().unwrap_or_default());
        }));
    }

    #[test]
    fn no_raw_text_does(text in hostile()) {
        let line = text.lines().next().unwrap_or_default();
        is_safe(&printed("", |screen| {
            screen.line(line);
            screen.attention(screen.paint(Tone::BAD, line) + line);
            screen.print(screen.paint(Tone::GOOD, line.to_owned()));
        }));
    }

    #[test]
    fn what_is_for_programs_stays_exact(text in hostile()) {
        let (output, errors) = (Captured::default(), Captured::default());
        let around = Arc::new(Surroundings::piped("", &output, &errors));
        let global =
            Global { rehearse: None, json: true, color: Color::Always, verbose: false, quiet: false, on_interrupt: None };
        let stop = Stop::new(Exit::Failed, ErrorCode::File, text.clone());
        report::finish(Report::new("test"), &Screen::new(global, around), Err(stop));
        let object: serde_json::Value = serde_json::from_str(&output.text()).unwrap();
        prop_assert_eq!(object["error"].as_str(), Some(text.as_str()));
    }
}
