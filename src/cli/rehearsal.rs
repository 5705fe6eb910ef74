//! `rehearsal`: what one would do to the machine itself.

use clap::Subcommand;

use super::global::Global;
use super::open::Opened;
use super::report;
use super::screen::Screen;
use crate::run::{Exit, Report, Stop};

/// What can be done to the model of a rehearsal.
#[derive(Debug, Clone, Subcommand)]
pub enum RehearsalCommand {
    /// Reboot it: discard the kernel's state and boot from the files in the folder
    Reboot,
    /// Let a user write a post on the instance, which must be running
    Post {
        /// The text of the post
        text: String,
    },
}

/// Does it.
pub fn run(global: &Global, action: &RehearsalCommand, screen: &Screen) -> Exit {
    let needed = "`rehearsal` needs --rehearse DIR";
    let done = Opened::open(global, screen).map_err(|stop| match global.rehearse {
        Some(_) => stop,
        None => Stop::usage(format!("{needed} ({})", stop.why)),
    });
    let done = done.and_then(|opened| {
        let never = || Stop::usage(format!("{needed}: it never touches this machine"));
        let rehearsal = opened.rehearsal().ok_or_else(never)?;
        match action {
            RehearsalCommand::Reboot => rehearsal.reboot()?,
            RehearsalCommand::Post { text } => rehearsal.post(text)?,
        }
        screen.line(match action {
            RehearsalCommand::Reboot => "The rehearsal was rebooted.",
            RehearsalCommand::Post { .. } => "A post was written.",
        });
        Ok(Exit::Done)
    });
    let report = Report::new("rehearsal");
    match done {
        Ok(exit) => report::finish(&report, screen, exit),
        Err(stop) => report::fail(report, screen, &stop),
    }
}
