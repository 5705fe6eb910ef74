//! Apache httpd's configuration language: files, with what they include, as a tree of directives and sections, in which
//! `IfModule`, `IfDefine` and `IfFile` are resolved as Apache does while it reads (`server/config.c`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::super::Entry;
use super::machine::Machine;
use super::packages::HTTPD_MODULES;

/// How deep includes may be nested, `AP_MAX_INCLUDE_DEPTH`.
const INCLUDE_DEPTH: u32 = 20;

/// One directive, or a section with what stands in it.
#[derive(Debug)]
pub(super) struct Directive {
    /// As it is written; a section begins with `<`.
    pub(super) name: String,
    /// Its arguments, without quotes.
    pub(super) arguments: Vec<String>,
    /// What is in the section.
    pub(super) section: Vec<Directive>,
    /// Where it stands.
    pub(super) file: PathBuf,
    /// The line.
    pub(super) line: usize,
}

impl Directive {
    /// Whether it has that name, in any case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The first argument, or nothing.
    pub(super) fn first(&self) -> &str {
        self.arguments.first().map_or("", String::as_str)
    }

    /// An error at this directive, in Apache's words.
    pub(super) fn wrong(&self, what: &str) -> String {
        format!("AH00526: Syntax error on line {} of {}:\n{what}", self.line, self.file.display())
    }
}

/// A configuration that has been read.
#[derive(Debug)]
pub(super) struct Configuration {
    /// What stands in it, in order.
    pub(super) directives: Vec<Directive>,
    /// The modules that it loads, without `_module`.
    pub(super) modules: BTreeSet<String>,
    /// Where relative paths begin.
    pub(super) root: PathBuf,
}

/// Reads a main file; `defined` are the names of `httpd -D`.
///
/// # Errors
/// What `httpd -t` would say.
pub(super) fn read(machine: &Machine, main: &Path, defined: &[&str]) -> Result<Configuration, String> {
    let mut reading = Reading {
        machine,
        configuration: Configuration { directives: Vec::new(), modules: BTreeSet::new(), root: "/usr/local".into() },
        defined: defined.iter().map(ToString::to_string).collect(),
    };
    let missing = || format!("httpd: Could not open configuration file {}: No such file or directory", main.display());
    let text = reading.text(main).ok_or_else(missing)?;
    let directives = reading.file(main, &text, 0).map_err(|error| {
        // Errors of the language begin with the program's name, those of a directive with a number.
        if error.starts_with("AH") { error } else { format!("httpd: {error}") }
    })?;
    Ok(Configuration { directives, ..reading.configuration })
}

struct Reading<'a> {
    machine: &'a Machine,
    configuration: Configuration,
    defined: BTreeSet<String>,
}

/// A line with its number.
type Lines<'a> = std::iter::Peekable<std::vec::IntoIter<(usize, String)>>;

/// Joins lines that end in a backslash, and leaves out comments and empty ones.
fn lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut joined = String::new();
    for (index, line) in text.lines().enumerate() {
        match line.strip_suffix('\\') {
            Some(start) => joined.push_str(start),
            None => {
                joined.push_str(line);
                let whole = std::mem::take(&mut joined).trim().to_string();
                if !whole.is_empty() && !whole.starts_with('#') {
                    lines.push((index + 1, whole));
                }
            }
        }
    }
    lines
}

/// `ap_getword_conf()`: words in quotes or without; a backslash counts before a quote or a backslash.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    while let Some(first) = characters.next() {
        if first.is_whitespace() {
            continue;
        }
        let mut word = String::new();
        if matches!(first, '"' | '\'') {
            while let Some(next) = characters.next() {
                match next {
                    '\\' if characters.peek().is_some_and(|c| *c == first || *c == '\\') => {
                        word.extend(characters.next())
                    }
                    close if close == first => break,
                    other => word.push(other),
                }
            }
        } else {
            word.push(first);
            while let Some(next) = characters.next_if(|c| !c.is_whitespace()) {
                word.push(next);
            }
        }
        words.push(word);
    }
    words
}

impl Reading<'_> {
    fn text(&self, path: &Path) -> Option<String> {
        let bytes = self.machine.files.read(path).ok().flatten()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn file(&mut self, path: &Path, text: &str, depth: u32) -> Result<Vec<Directive>, String> {
        let mut lines = lines(text).into_iter().peekable();
        self.directives(path, &mut lines, None, depth)
    }

    fn directives(
        &mut self,
        path: &Path,
        lines: &mut Lines<'_>,
        open: Option<(&str, usize)>,
        depth: u32,
    ) -> Result<Vec<Directive>, String> {
        let mut directives = Vec::new();
        while let Some((line, text)) = lines.next() {
            let at = |error: String| format!("Syntax error on line {line} of {}: {error}", path.display());
            if let Some(name) = text.strip_prefix("</") {
                let name = name.trim_end_matches('>').trim();
                return match open {
                    Some((opened, _)) if opened.eq_ignore_ascii_case(name) => Ok(directives),
                    Some((opened, _)) => Err(at(format!("Expected </{opened}> but saw </{name}>"))),
                    None => Err(at(format!("</{name}> without matching <{name}> section"))),
                };
            }
            let mut all = words(&text);
            let name = all.remove(0);
            let mut directive = Directive { name, arguments: all, section: Vec::new(), file: path.to_path_buf(), line };
            if let Some(section) = directive.name.clone().strip_prefix('<') {
                let section = section.trim_end_matches('>').to_string();
                self.open(&mut directive, &text)?;
                let inner = self.section(path, lines, (&section, line), &directive, depth)?;
                match inner {
                    // A condition that does not hold, and one that does.
                    None => {}
                    Some(inner) if is_condition(&section) => directives.extend(inner),
                    Some(inner) => directives.push(Directive { section: inner, ..directive }),
                }
                continue;
            }
            match directive.name.to_ascii_lowercase().as_str() {
                "serverroot" => self.configuration.root = directive.first().into(),
                "define" => drop(self.defined.insert(directive.first().to_string())),
                "undefine" => drop(self.defined.remove(directive.first())),
                "loadmodule" => self.load(&directive).map_err(at)?,
                "include" | "includeoptional" => {
                    directives.extend(
                        self.include(&directive, depth)
                            .map_err(|error| if error.starts_with("AH") { error } else { at(error) })?,
                    );
                    continue;
                }
                _ => {}
            }
            directives.push(directive);
        }
        match open {
            None => Ok(directives),
            Some((name, line)) => {
                let shown = path.display();
                Err(format!("Syntax error on line {line} of {shown}: {shown}:{line}: <{name}> was not closed."))
            }
        }
    }

    /// Takes the bracket off the head of a section.
    fn open(&mut self, directive: &mut Directive, text: &str) -> Result<(), String> {
        if !text.ends_with('>') {
            return Err(directive.wrong(&format!("{}> directive missing closing '>'", directive.name)));
        }
        match directive.arguments.last_mut() {
            Some(last) => {
                let end = last.trim_end_matches('>').len();
                last.truncate(end);
            }
            None => directive.name.truncate(directive.name.trim_end_matches('>').len()),
        }
        directive.arguments.retain(|argument| !argument.is_empty());
        if directive.arguments.is_empty() && !directive.is("<RequireAll") && !directive.is("<RequireAny") {
            return Err(directive.wrong(&format!("{}> directive requires additional arguments", directive.name)));
        }
        Ok(())
    }

    /// What is in a section; `None` if its condition does not hold, and then nothing in it is looked at.
    fn section(
        &mut self,
        path: &Path,
        lines: &mut Lines<'_>,
        open: (&str, usize),
        directive: &Directive,
        depth: u32,
    ) -> Result<Option<Vec<Directive>>, String> {
        if is_condition(open.0) && !self.holds(directive) {
            let mut nested = 1_u32;
            let closing = format!("</{}>", open.0).to_ascii_lowercase();
            let opening = format!("<{}", open.0).to_ascii_lowercase();
            for (_, text) in lines.by_ref() {
                let text = text.to_ascii_lowercase();
                nested += u32::from(text.starts_with(&opening));
                nested -= u32::from(text.starts_with(&closing));
                if nested == 0 {
                    return Ok(None);
                }
            }
            let (shown, line) = (path.display(), open.1);
            return Err(format!(
                "Syntax error on line {line} of {shown}: {shown}:{line}: <{}> was not closed.",
                open.0
            ));
        }
        self.directives(path, lines, Some(open), depth).map(Some)
    }

    fn holds(&self, directive: &Directive) -> bool {
        let (not, condition) = match directive.first().strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, directive.first()),
        };
        let name = directive.name.to_ascii_lowercase();
        let holds = match name.as_str() {
            // By the module's name, or by its file's: `ssl_module` and `mod_ssl.c`.
            "<ifmodule" => {
                let file = condition.strip_prefix("mod_").and_then(|rest| rest.strip_suffix(".c"));
                let name = file.or_else(|| condition.strip_suffix("_module")).unwrap_or(condition);
                self.configuration.modules.contains(name) || matches!(name, "core" | "so" | "http")
            }
            "<ifdefine" => self.defined.contains(condition),
            "<iffile" => matches!(self.machine.files.entry(&self.configuration.root.join(condition)), Ok(Some(_))),
            // The version is 2.4, whatever is compared with it.
            _ => true,
        };
        holds != not
    }

    fn load(&mut self, directive: &Directive) -> Result<(), String> {
        let (name, file) = (directive.first(), directive.arguments.get(1).map_or("", String::as_str));
        let path = self.configuration.root.join(file);
        let shown = path.display();
        if !matches!(self.machine.files.entry(&self.machine.resolve(&path)), Ok(Some(Entry::File { .. }))) {
            // dlopen(3) of FreeBSD.
            return Err(format!("Cannot load {shown} into server: Cannot open \"{shown}\""));
        }
        let short = name.strip_suffix("_module").unwrap_or(name);
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.strip_prefix("mod_"));
        let ours = stem.is_none_or(|stem| HTTPD_MODULES.split_whitespace().any(|there| there == stem));
        if ours && stem != Some(short) {
            return Err(format!(
                "Can't locate API module structure `{name}' in file {shown}: Undefined symbol \"{name}\""
            ));
        }
        self.configuration.modules.insert(short.to_string());
        Ok(())
    }

    fn include(&mut self, directive: &Directive, depth: u32) -> Result<Vec<Directive>, String> {
        if depth >= INCLUDE_DEPTH {
            return Err("Exceeded maximum include depth of 20, There appears to be a recursion".into());
        }
        let optional = directive.is("IncludeOptional");
        let path = self.configuration.root.join(directive.first());
        let shown = path.display().to_string();
        let mut files: Vec<PathBuf> = Vec::new();
        let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if pattern.contains(['*', '?', '[']) {
            let folder = path.parent().unwrap_or(Path::new("/"));
            let is_folder =
                matches!(self.machine.files.entry(&self.machine.resolve(folder)), Ok(Some(Entry::Directory { .. })));
            if !is_folder && !optional {
                let folder = folder.display();
                return Err(format!(
                    "Include/IncludeOptional: Could not open directory {folder}: No such file or directory"
                ));
            }
            let names = self.machine.files.list(folder).unwrap_or_default();
            files.extend(names.iter().filter(|name| fits(pattern, name)).map(|name| folder.join(name)));
            if files.is_empty() && !optional {
                let folder = folder.display();
                return Err(format!(
                    "Include/IncludeOptional: No matches for the wildcard '{pattern}' in '{folder}', failing"
                ));
            }
        } else {
            self.collect(&path, &mut files);
            if files.is_empty()
                && !optional
                && !matches!(self.machine.files.entry(&self.machine.resolve(&path)), Ok(Some(_)))
            {
                return Err(format!("Could not open configuration file {shown}: No such file or directory"));
            }
        }
        let mut directives = Vec::new();
        for file in files {
            let text = self.text(&file).unwrap_or_default();
            directives.extend(self.file(&file, &text, depth + 1)?);
        }
        Ok(directives)
    }

    /// A file, or all files below a folder in the order of their names.
    fn collect(&self, path: &Path, files: &mut Vec<PathBuf>) {
        match self.machine.files.entry(&self.machine.resolve(path)) {
            Ok(Some(Entry::Directory { .. })) => {
                for name in self.machine.files.list(path).unwrap_or_default() {
                    self.collect(&path.join(name), files);
                }
            }
            Ok(Some(_)) => files.push(path.to_path_buf()),
            _ => {}
        }
    }
}

/// Sections that are resolved while they are read.
fn is_condition(section: &str) -> bool {
    ["ifmodule", "ifdefine", "iffile", "ifversion"].iter().any(|name| section.eq_ignore_ascii_case(name))
}

/// fnmatch(3) with `*`, `?` and `[…]`. A name with a dot in front is never taken.
fn fits(pattern: &str, name: &str) -> bool {
    fn rest(pattern: &[char], name: &[char]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some(('*', after)) => (0..=name.len()).any(|skip| rest(after, &name[skip..])),
            Some(('?', after)) => !name.is_empty() && rest(after, &name[1..]),
            Some(('[', after)) => {
                let Some(end) = after.iter().position(|c| *c == ']') else { return false };
                let Some((first, tail)) = name.split_first() else { return false };
                let (class, after) = (&after[..end], &after[end + 1..]);
                let in_class = class.contains(first)
                    || class.windows(3).any(|range| range[1] == '-' && (range[0]..=range[2]).contains(first));
                in_class && rest(after, tail)
            }
            Some((character, after)) => name.first() == Some(character) && rest(after, &name[1..]),
        }
    }
    let characters = |text: &str| text.chars().collect::<Vec<char>>();
    !name.starts_with('.') && rest(&characters(pattern), &characters(name))
}
