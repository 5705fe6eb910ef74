//! `rehearsal`: what one would do to the machine itself.

use clap::Subcommand;

use super::Global;
use super::exit::Exit;
use super::open::Opened;
use super::report::Report;
use super::screen::Screen;
use super::transaction::Stop;

/// What can be done to the model of a rehearsal.
#[derive(Debug, Clone, Subcommand)]
pub enum Action {
    /// Reboot it: forget the kernel's state and boot from the files in the folder
    Reboot,
    /// Have somebody write a post on the instance, which must be running
    Post {
        /// What it says
        text: String,
    },
}

/// Does it.
#[must_use]
pub fn run(global: &Global, action: &Action, screen: &Screen) -> Exit {
    let report = Report::new("rehearsal");
    let rehearsal = match Opened::open(global, screen) {
        Ok(Opened::Rehearsal(rehearsal)) => rehearsal,
        Ok(Opened::Real(_)) => {
            let why = "`rehearsal` needs --rehearse DIR: it never touches this machine";
            return report.fail(screen, Stop::usage(why));
        }
        Err(stop) if global.rehearse.is_none() => {
            return report.fail(screen, Stop::usage(format!("`rehearsal` needs --rehearse DIR ({})", stop.why)));
        }
        Err(stop) => return report.fail(screen, stop),
    };
    let (done, text) = match action {
        Action::Reboot => (rehearsal.reboot(), "The rehearsal was rebooted."),
        Action::Post { text } => (rehearsal.post(text), "A post was written."),
    };
    match done {
        Ok(()) => {
            screen.line(text);
            report.finish(screen, Exit::Done)
        }
        Err(error) => report.fail(screen, Stop::from(error)),
    }
}
