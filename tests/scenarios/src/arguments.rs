//! The command line.

use std::path::PathBuf;

use super::bench::AcmeServer;
use super::stories::{BEFORE_REBOOT, Story};

const USAGE: &str = "usage: run --yes-change-this-machine [--from STORY] [--only PATTERN] [STORY …]
           [--mirror DIR] [--acme URL [--acme-ca FILE]] [--before-reboot | --after-reboot]
       run --list [--from STORY] [--only PATTERN] [STORY …]";

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// The program under test.
    pub program: PathBuf,
    /// The mirror with the releases.
    pub mirror: PathBuf,
    /// Print the names of the stories only.
    pub list: bool,
    /// A folder to rehearse in.
    pub rehearse: Option<PathBuf>,
    acme: Option<String>,
    acme_ca: Option<PathBuf>,
    reboot: Option<Reboot>,
    from: Option<String>,
    only: Vec<String>,
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
            let mut value = || rest.next().cloned().ok_or_else(|| format!("{argument} needs a value\n{USAGE}"));
            match argument.as_str() {
                "--yes-change-this-machine" => consent = true,
                "--before-reboot" => arguments.reboot = Some(Reboot::Before),
                "--after-reboot" => arguments.reboot = Some(Reboot::After),
                "--list" => arguments.list = true,
                "--program" => arguments.program = value()?.into(),
                "--mirror" => arguments.mirror = value()?.into(),
                "--rehearse" => arguments.rehearse = Some(value()?.into()),
                "--acme" => arguments.acme = Some(value()?),
                "--acme-ca" => arguments.acme_ca = Some(value()?.into()),
                "--from" => arguments.from = Some(value()?),
                "--only" => arguments.only.push(value()?),
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

    /// Where certificates can be ordered. That it is there, and its file can be read, is looked at by the story that needs it.
    pub fn acme(&self) -> Result<Option<AcmeServer>, String> {
        let trusted = match &self.acme_ca {
            None => None,
            Some(_) if self.acme.is_none() => return Err(format!("--acme-ca needs --acme\n{USAGE}")),
            Some(file) => Some(file.canonicalize().map_err(|error| format!("--acme-ca {}: {error}", file.display()))?),
        };
        match &self.acme {
            Some(url) if !url.starts_with("https://") => Err(format!("--acme {url}: the directory has an https URL")),
            url => Ok(url.clone().map(|directory| AcmeServer { directory, trusted })),
        }
    }

    /// The stories that were asked for, in their order: all but the boot story, or those that were named or have a pattern in
    /// their name; from one on.
    pub fn choose<'a>(&self, stories: &'a [Story]) -> Result<Vec<&'a Story>, String> {
        let mut named = self.names.iter().chain(&self.from);
        if let Some(unknown) = named.find(|name| !stories.iter().any(|story| story.name == name.as_str())) {
            return Err(format!("there is no story {unknown}; --list tells which there are"));
        }
        let begins = stories.iter().position(|story| self.from.as_deref() == Some(story.name)).unwrap_or(0);
        let is_chosen = |story: &&Story| match self.reboot {
            Some(_) => story.name == BEFORE_REBOOT,
            None if self.names.is_empty() && self.only.is_empty() => story.name != BEFORE_REBOOT,
            None => {
                let fits = self.only.iter().any(|pattern| matches(pattern, story.name));
                (fits && story.name != BEFORE_REBOOT) || self.names.iter().any(|name| name == story.name)
            }
        };
        let chosen: Vec<&Story> = stories[begins..].iter().filter(is_chosen).collect();
        if chosen.is_empty() {
            return Err("no story is chosen by this; --list tells which there are".to_owned());
        }
        Ok(chosen)
    }
}

/// Whether the pieces of a pattern stand in a name, in their order; `*` is between them.
fn matches(pattern: &str, name: &str) -> bool {
    let rest = pattern.split('*').try_fold(name, |rest, piece| rest.split_once(piece).map(|(_, after)| after));
    rest.is_some()
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
    fn stories_are_chosen_by_a_pattern_and_from_one_on() {
        let all = names("--list");
        assert_eq!(names(&format!("--list --from {}", all[3])), all[3..]);
        let rules: Vec<&str> = all.iter().copied().filter(|name| name.contains("rules")).collect();
        assert!(rules.len() > 3);
        assert_eq!(names("--list --only rules"), rules);
        assert_eq!(names("--list --only rules*read"), ["rules-can-be-read"]);
        assert_eq!(names(&format!("--list --only rules --from {}", rules[1])), rules[1..]);
        for line in ["--list --only read*rules-can", "--list --only nosuch"] {
            assert!(read(line).unwrap().choose(STORIES).unwrap_err().contains("no story is chosen"), "{line}");
        }
        assert!(read("--list --from nosuch").unwrap().choose(STORIES).unwrap_err().contains("no story nosuch"));
    }

    #[test]
    fn an_authority_has_a_url_and_may_have_a_file() {
        assert_eq!(read("--list").unwrap().acme().unwrap(), None);
        let given = read("--list --acme https://localhost:14000/dir --acme-ca /dev/null").unwrap().acme().unwrap();
        let expected =
            AcmeServer { directory: "https://localhost:14000/dir".into(), trusted: Some("/dev/null".into()) };
        assert_eq!(given, Some(expected));
        for (line, word) in [
            ("--list --acme http://localhost/dir", "https URL"),
            ("--list --acme-ca /dev/null", "needs --acme"),
            ("--list --acme https://a --acme-ca /no/such/file", "/no/such/file"),
        ] {
            assert!(read(line).unwrap().acme().unwrap_err().contains(word), "{line}");
        }
    }

    #[test]
    fn the_last_mirror_counts() {
        assert_eq!(read("--list --mirror ours --mirror theirs").unwrap().mirror, PathBuf::from("theirs"));
    }

    #[test]
    fn mistakes_are_told() {
        assert!(read("--frobnicate").unwrap_err().contains("--frobnicate is not known"));
        assert!(read("--mirror").unwrap_err().contains("--mirror needs a value"));
    }
}
