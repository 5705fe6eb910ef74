//! loader(8): which files it reads, what it takes from a line, and which modules it loads.
//!
//! After `stand/lua/config.lua` of FreeBSD 14. A root without `/boot/defaults/loader.conf` is taken for one that has
//! that of 14.1.

use std::path::Path;

use super::super::{Entry, HostError};
use super::machine::Machine;
use super::{fresh_root, kernel};

const DEFAULTS: &str = "/boot/defaults/loader.conf";

/// What has been read so far.
struct Reader {
    files: Vec<String>,
    /// `loader_conf_files` as the file at hand has set it.
    next_files: Option<String>,
}

/// Reads the configuration and loads the modules; what is set is left for the kernel.
pub(super) fn run(machine: &mut Machine) -> Result<(), HostError> {
    let mut reader = Reader { files: Vec::new(), next_files: None };
    read_conf(machine, &mut reader, DEFAULTS)?;
    let folders = machine.model.kernel_environment.get("loader_conf_dirs").cloned().unwrap_or_default();
    for folder in words(&folders) {
        for name in machine.files.list(Path::new(folder))? {
            // Lua: any character and “conf” at the end
            if name.len() > 4 && name.ends_with("conf") {
                read_conf(machine, &mut reader, &format!("{folder}/{name}"))?;
            }
        }
    }
    let local = machine.model.kernel_environment.get("local_loader_conf_files").cloned().unwrap_or_default();
    for file in words(&local) {
        read_conf(machine, &mut reader, file)?;
    }
    for module in machine.model.compiled_in.clone() {
        kernel::take_tunables(&mut machine.model, &module);
    }
    load_modules(machine);
    Ok(())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_ascii_graphic()).filter(|word| !word.is_empty())
}

fn read_conf(machine: &mut Machine, reader: &mut Reader, file: &str) -> Result<(), HostError> {
    if reader.files.iter().any(|there| there == file) {
        return Ok(());
    }
    reader.files.push(file.to_string());
    reader.next_files = None;
    let path = Path::new("/").join(file);
    let is_file = matches!(machine.files.entry(&machine.resolve(&path)), Ok(Some(Entry::File { .. })));
    let text = match is_file {
        true => machine.text(&path)?,
        false if file == DEFAULTS => fresh_root::DEFAULTS_LOADER_CONF.to_string(),
        false => return Ok(()),
    };
    for line in text.lines() {
        let Some((name, value)) = assignment(line) else { continue };
        if name == "loader_conf_files" {
            reader.next_files = Some(value);
        } else {
            machine.model.kernel_environment.insert(name, value);
        }
    }
    for file in words(&reader.next_files.take().unwrap_or_default()) {
        read_conf(machine, reader, file)?;
    }
    Ok(())
}

/// `name="value"` or `name=word`, and nothing but a comment after it. A quoted value reaches to the last quote.
fn assignment(line: &str) -> Option<(String, String)> {
    let blank = |character: char| matches!(character, ' ' | '\t'..='\r');
    let of_word = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.');
    let line = line.trim_start_matches(blank);
    let name = &line[..line.find(|character| !of_word(character))?];
    if !name.starts_with(|first: char| first.is_ascii_alphanumeric()) || name == "exec" {
        return None;
    }
    let value = line[name.len()..].trim_start_matches(blank).strip_prefix('=')?.trim_start_matches(blank);
    let (value, rest) = match value.strip_prefix('"') {
        Some(rest) => rest.rsplit_once('"')?,
        None => value.split_at(value.find(|character| !of_word(character)).unwrap_or(value.len())),
    };
    let bare_start = |first: char| first.is_ascii_alphanumeric() || first == '-';
    let rest = rest.trim_start_matches(blank);
    let quoted = line.contains('"');
    if !(rest.is_empty() || rest.starts_with('#')) || !(quoted || value.starts_with(bare_start)) {
        return None;
    }
    let value = if is_about_a_module(name) { value.to_string() } else { without_backslashes(value)? };
    Some((name.to_string(), value))
}

fn is_about_a_module(name: &str) -> bool {
    ["load", "name", "type", "flags", "before", "after", "error"].iter().any(|what| {
        let module = name.strip_suffix(what).and_then(|rest| rest.strip_suffix('_'));
        module.is_some_and(|module| !module.is_empty() && !module.contains('.'))
    })
}

/// `processEnvVar()`: a quote inside the value makes the loader pass the line over.
fn without_backslashes(value: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next()?),
            '"' => return None,
            _ => plain.push(character),
        }
    }
    Some(plain)
}

fn load_modules(machine: &mut Machine) {
    let environment = machine.model.kernel_environment.clone();
    let blacklist = environment.get("module_blacklist").cloned().unwrap_or_default();
    let in_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    for (key, value) in &environment {
        let Some(key) = key.strip_suffix("_load") else { continue };
        let name = environment.get(&format!("{key}_name")).map_or(key, String::as_str);
        let barred = blacklist.split(|character| !in_name(character)).any(|word| word == name);
        if value.eq_ignore_ascii_case("yes") && !barred && machine.model.modules_available.contains(name) {
            kernel::attach_module(&mut machine.model, name);
        }
    }
}
