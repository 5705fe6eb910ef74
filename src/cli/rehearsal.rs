//! `rehearsal`: what one would do to the machine itself.

use clap::Subcommand;

use super::Global;
use super::exit::Exit;
use super::open::Opened;
use super::report::Report;
use super::screen::Screen;

/// What can be done to the model of a rehearsal.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Action {
    /// Reboot it: forget the kernel's state and boot from the files in the folder
    Reboot,
}

/// Does it.
#[must_use]
pub fn run(global: &Global, action: &Action, screen: &Screen) -> Exit {
    let report = Report::new("rehearsal");
    let rehearsal = match Opened::open(global) {
        Ok(Opened::Rehearsal(rehearsal)) => rehearsal,
        Ok(Opened::Real(_)) => {
            return report.fail(screen, Exit::Usage, "`rehearsal` needs --rehearse DIR: it never touches this machine");
        }
        Err(why) if global.rehearse.is_none() => {
            return report.fail(screen, Exit::Usage, &format!("`rehearsal` needs --rehearse DIR ({why})"));
        }
        Err(why) => return report.fail(screen, Exit::Usage, &why),
    };
    match action {
        Action::Reboot => match rehearsal.reboot() {
            Ok(()) => {
                screen.line("The rehearsal was rebooted.");
                report.finish(screen, Exit::Done)
            }
            Err(error) => report.fail(screen, Exit::Failed, &error.to_string()),
        },
    }
}
