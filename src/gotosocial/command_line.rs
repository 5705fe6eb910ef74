//! The program's command line taken apart, in cobra's way: flags stand before or after the subcommands.

use super::config_keys::config_key;
use super::value::Kind;

/// Flags that are no keys of the configuration.
const OTHER_FLAGS: &[&str] = &["config-path", "help", "version"];

/// Subcommands and flags.
#[derive(Debug, Default)]
pub struct CommandLine {
    words: Vec<String>,
    /// All flags, without their dashes.
    pub flags: Vec<(String, String)>,
}

impl CommandLine {
    /// Takes the arguments apart.
    ///
    /// # Errors
    /// In cobra's words: a flag that it does not know, or one without its argument.
    pub fn read(arguments: &[String]) -> Result<Self, String> {
        let mut line = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let Some(flag) = argument.strip_prefix("--") else {
                line.words.push(argument.clone());
                continue;
            };
            let (name, value) = flag.split_once('=').map_or((flag, None), |(name, value)| (name, Some(value)));
            let key = config_key(name);
            if key.is_none() && !OTHER_FLAGS.contains(&name) {
                return Err(format!("unknown flag: --{name}"));
            }
            let is_switch = matches!(name, "help" | "version") || key.is_some_and(|key| key.kind == Kind::Boolean);
            let value = value.or(is_switch.then_some("true")).or_else(|| rest.next().map(String::as_str));
            let value = value.ok_or_else(|| format!("flag needs an argument: --{name}"))?;
            line.flags.push((name.to_owned(), value.to_owned()));
        }
        Ok(line)
    }

    /// The last value given for a flag.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// The subcommands.
    pub fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }

    /// Refuses where a flag is missing that is taken from the command line only.
    ///
    /// # Errors
    /// In cobra's words.
    pub fn require(&self, flags: &[&str]) -> Result<(), String> {
        let missing: Vec<String> =
            flags.iter().filter(|flag| self.flag(flag).is_none()).map(|flag| format!("\"{flag}\"")).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("required flag(s) {} not set", missing.join(", "))) }
    }
}
