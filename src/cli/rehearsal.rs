//! `rehearsal`: what one would do to the machine itself.

use clap::Subcommand;

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

/// Runs `rehearsal`.
pub(super) fn run(command: &RehearsalCommand, screen: &Screen) -> Exit {
    let needed = "`rehearsal` needs --rehearse DIR";
    let opened = Opened::open(screen).map_err(|stop| match screen.global.rehearse {
        Some(_) => stop,
        None => Stop::usage(format!("{needed} ({})", stop.why)),
    });
    let ended = opened.and_then(|opened| {
        let never = || Stop::usage(format!("{needed}: it never touches this machine"));
        let rehearsal = opened.rehearsal().ok_or_else(never)?;
        screen.line(match command {
            RehearsalCommand::Reboot => {
                rehearsal.reboot()?;
                "The rehearsal was rebooted."
            }
            RehearsalCommand::Post { text } => {
                rehearsal.post(text)?;
                "A post was written."
            }
        });
        Ok(Exit::Done)
    });
    report::finish(Report::new("rehearsal"), screen, ended)
}
