//! The stories. Each begins on the machine as it was found, and what it leaves is put back after it.

mod boot;
mod install;
mod port_access;
mod refusals;
mod service;

use super::bench::Bench;

/// The first half of the boot story, which is told only when asked for.
pub const BEFORE_REBOOT: &str = "boot-before-the-reboot";
/// The second half.
pub const AFTER_REBOOT: &str = "boot-after-the-reboot";

/// How a story ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed(String),
    /// It could not be told here.
    Skipped(String),
}

/// What a story needs besides a fresh machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    Nothing,
    /// Real processes and sockets, which a rehearsal has not.
    RealMachine,
    /// A package.
    Package(&'static str),
}

/// A story.
#[derive(Debug)]
pub struct Story {
    /// Its name, for the report and for choosing it.
    pub name: &'static str,
    /// Whether what it leaves has to stay if it went well.
    pub stays: bool,
    needs: Needs,
    told: fn(&Bench) -> Result<(), String>,
}

impl Story {
    /// Tells it, unless something is missing that it needs.
    pub fn tell(&self, bench: &Bench) -> Verdict {
        match self.missing(bench) {
            Err(why) => Verdict::Failed(why),
            Ok(Some(why)) => Verdict::Skipped(why),
            Ok(None) => match (self.told)(bench) {
                Ok(()) => Verdict::Passed,
                Err(why) => Verdict::Failed(why),
            },
        }
    }

    fn missing(&self, bench: &Bench) -> Result<Option<String>, String> {
        Ok(match self.needs {
            Needs::RealMachine if bench.is_rehearsal() => Some("it needs a real machine".to_owned()),
            Needs::Package(name) if bench.host()?.package(name).map_err(|error| error.to_string())?.is_none() => {
                Some(format!("the package {name} is not installed"))
            }
            _ => None,
        })
    }
}

const fn story(name: &'static str, needs: Needs, told: fn(&Bench) -> Result<(), String>) -> Story {
    Story { name, stays: false, needs, told }
}

/// All stories, in the order in which they are told.
pub const STORIES: &[Story] = &[
    story("install-from-the-mirror", Needs::Nothing, install::from_the_mirror),
    story("the-server-answers", Needs::RealMachine, install::the_server_answers),
    story("second-run-changes-nothing", Needs::Nothing, install::second_run_changes_nothing),
    story("plan-touches-nothing", Needs::Nothing, install::plan_touches_nothing),
    story("edits-are-kept-and-a-conflict-is-refused", Needs::Nothing, install::edits_are_kept),
    story("damage-is-put-right", Needs::Nothing, install::damage_is_put_right),
    story("reinstall-keeps-the-data", Needs::Nothing, install::reinstall_keeps_the_data),
    story("first-account", Needs::Nothing, install::first_account),
    story("upgrade-and-no-way-back", Needs::Nothing, install::upgrade),
    story("uid-209-taken-is-refused", Needs::Nothing, refusals::uid_taken),
    story("port-80-taken-is-refused", Needs::RealMachine, refusals::port_taken),
    story("wrong-digest-is-refused", Needs::Nothing, refusals::wrong_digest),
    story("foreign-file-is-refused", Needs::Nothing, refusals::foreign_file),
    story("foreign-rules-and-lines-are-kept", Needs::Nothing, port_access::foreign_rules_are_kept),
    story("open-ports-are-told-and-closed", Needs::Nothing, port_access::open_ports_are_told),
    story("boot-guard-closes-the-ports", Needs::RealMachine, port_access::guard_closes_the_ports),
    story("portacl-rc-owns-the-rules", Needs::Package("portacl-rc"), port_access::portacl_rc_owns_the_rules),
    story("stopped-service-is-started-again", Needs::Nothing, service::stopped_is_started_again),
    story("clean-stop", Needs::Nothing, service::clean_stop),
    story("slow-start-is-waited-for", Needs::RealMachine, service::slow_start),
    story("dying-service-is-taken-back", Needs::RealMachine, service::dying_service),
    story("killed-service-comes-back", Needs::RealMachine, service::killed_service),
    story("no-certificate-is-told", Needs::RealMachine, service::no_certificate),
    story("log-rotation", Needs::RealMachine, service::log_rotation),
    Story { name: BEFORE_REBOOT, stays: true, needs: Needs::Nothing, told: boot::before },
];

/// The second half of the boot story. The machine is put back after it.
pub fn after_reboot(bench: &Bench) -> Verdict {
    let told = boot::after(bench);
    match (told, super::reset::reset(bench)) {
        (Ok(()), Ok(())) => Verdict::Passed,
        (Err(why), Ok(())) => Verdict::Failed(why),
        (Ok(()), Err(why)) => Verdict::Failed(format!("the machine was not put back: {why}")),
        (Err(first), Err(why)) => Verdict::Failed(format!("{first}\nand it was not put back: {why}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_can_be_typed() {
        let mut names: Vec<&str> = STORIES.iter().map(|story| story.name).collect();
        assert!(
            names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'))
        );
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), STORIES.len());
    }

    #[test]
    fn only_the_boot_story_leaves_the_machine_changed() {
        let staying: Vec<&str> = STORIES.iter().filter(|story| story.stays).map(|story| story.name).collect();
        assert_eq!(staying, [BEFORE_REBOOT]);
    }
}
