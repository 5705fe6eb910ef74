//! The command line taken apart, in cobra's way: flags stand before or after the subcommands.

use super::gotosocial_config::{is_key, is_switch};

/// Flags that are no keys of the configuration.
const OTHER_FLAGS: &[&str] = &["config-path", "help", "version"];

/// Subcommands and flags.
#[derive(Debug, Default)]
pub(super) struct CommandLine {
    words: Vec<String>,
    flags: Vec<(String, String)>,
}

impl CommandLine {
    /// Takes the arguments apart. The error is cobra's.
    pub(super) fn read(arguments: &[String]) -> Result<Self, String> {
        let mut line = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                line.words.push(argument.clone());
                continue;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            if !is_key(name) && !OTHER_FLAGS.contains(&name) {
                return Err(format!("unknown flag: --{name}"));
            }
            let value = match value {
                Some(value) => value,
                None if matches!(name, "help" | "version") || is_switch(name) => "true".into(),
                None => rest.next().cloned().ok_or_else(|| format!("flag needs an argument: --{name}"))?,
            };
            line.flags.push((name.to_owned(), value));
        }
        Ok(line)
    }

    /// The subcommands.
    pub(super) fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// All flags, without their dashes.
    pub(super) fn flags(&self) -> &[(String, String)] {
        &self.flags
    }

    /// The last value given for a flag.
    pub(super) fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// Refuses where a flag is missing that is taken from the command line only.
    pub(super) fn require(&self, flags: &[&str]) -> Result<(), String> {
        let missing: Vec<String> =
            flags.iter().filter(|flag| self.flag(flag).is_none()).map(|flag| format!("\"{flag}\"")).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("required flag(s) {} not set", missing.join(", "))) }
    }
}
