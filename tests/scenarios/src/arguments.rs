//! The command line.

use std::path::PathBuf;

use super::stories::{BEFORE_REBOOT, Story};

const USAGE: &str =
    "usage: run --yes-change-this-machine [--before-reboot | --after-reboot] [STORY …]\n       run --list";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The program under test.
    pub program: PathBuf,
    /// The mirror with the stand-in releases.
    pub mirror: PathBuf,
    /// Print the names of the stories only.
    pub list: bool,
    /// A folder to rehearse in.
    pub rehearse: Option<PathBuf>,
    reboot: Option<Reboot>,
    names: Vec<String>,
}

/// The two halves of the boot story.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reboot {
    Before,
    After,
}

impl Arguments {
    /// Reads them. Without consent, or a folder to rehearse in, nothing is agreed to but the list.
    pub fn read(given: &[String]) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut consent = false;
        let mut rest = given.iter();
        while let Some(argument) = rest.next() {
            let mut value =
                || rest.next().map(PathBuf::from).ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--yes-change-this-machine" => consent = true,
                "--before-reboot" => arguments.reboot = Some(Reboot::Before),
                "--after-reboot" => arguments.reboot = Some(Reboot::After),
                "--list" => arguments.list = true,
                "--program" => arguments.program = value()?,
                "--mirror" => arguments.mirror = value()?,
                "--rehearse" => arguments.rehearse = Some(value()?),
                other if other.starts_with('-') => return Err(format!("{other} is not known\n{USAGE}")),
                name => arguments.names.push(name.to_owned()),
            }
        }
        if !(consent || arguments.list || arguments.rehearse.is_some()) {
            return Err(format!(
                "this installs, breaks and removes GoToSocial on this machine, loads kernel modules and changes port access \
                 and accounts. Run it on a throwaway machine only, and then say --yes-change-this-machine\n{USAGE}"
            ));
        }
        Ok(arguments)
    }

    /// Whether the machine has been rebooted since the first half.
    pub fn is_after_reboot(&self) -> bool {
        self.reboot == Some(Reboot::After)
    }

    /// The stories that were asked for: all but the boot story, or those that were named.
    pub fn choose<'a>(&self, stories: &'a [Story]) -> Result<Vec<&'a Story>, String> {
        if let Some(unknown) = self.names.iter().find(|name| !stories.iter().any(|story| story.name == name.as_str())) {
            return Err(format!("there is no story {unknown}; --list tells which there are"));
        }
        let chosen = stories.iter().filter(|story| match self.reboot {
            Some(_) => story.name == BEFORE_REBOOT,
            None if self.names.is_empty() => story.name != BEFORE_REBOOT,
            None => self.names.iter().any(|name| name == story.name),
        });
        Ok(chosen.collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stories::STORIES;
    use super::*;

    fn read(line: &str) -> Result<Arguments, String> {
        Arguments::read(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn names(line: &str) -> Vec<&'static str> {
        read(line).unwrap().choose(STORIES).unwrap().iter().map(|story| story.name).collect()
    }

    #[test]
    fn without_consent_nothing_is_done() {
        for line in ["", "--before-reboot", "--program p --mirror m"] {
            assert!(read(line).unwrap_err().contains("--yes-change-this-machine"), "{line}");
        }
        assert!(read("--list").unwrap().list);
    }

    #[test]
    fn the_boot_story_is_told_only_when_asked_for() {
        assert_eq!(names("--yes-change-this-machine").len(), STORIES.len() - 1);
        assert!(!names("--yes-change-this-machine").contains(&BEFORE_REBOOT));
        assert_eq!(names("--yes-change-this-machine --before-reboot"), [BEFORE_REBOOT]);
        assert!(read("--yes-change-this-machine --after-reboot").unwrap().is_after_reboot());
    }

    #[test]
    fn stories_are_chosen_by_name() {
        let name = STORIES[1].name;
        assert_eq!(names(&format!("--yes-change-this-machine {name}")), [name]);
        let unknown = read("--yes-change-this-machine nosuch").unwrap().choose(STORIES).unwrap_err();
        assert!(unknown.contains("nosuch"), "{unknown}");
    }

    #[test]
    fn mistakes_are_told() {
        assert!(read("--frobnicate").unwrap_err().contains("--frobnicate is not known"));
        assert!(read("--mirror").unwrap_err().contains("--mirror needs a value"));
    }
}
