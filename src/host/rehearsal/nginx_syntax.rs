//! nginx's configuration language: files, with what they include, as a tree of directives, in which each stands where it
//! may (`ngx_conf_file.c`).

use std::path::{Path, PathBuf};

use super::machine::Machine;
use super::nginx_directives::{self as directives, Place};

/// How deep includes may be nested before a file is taken to include itself.
const INCLUDE_DEPTH: u32 = 8;

/// One directive, with what stands between its braces.
#[derive(Debug, Default)]
pub(super) struct Directive {
    /// The name and the arguments.
    pub(super) words: Vec<String>,
    /// What is in its block.
    pub(super) block: Vec<Directive>,
    /// ` in FILE:LINE`, for messages.
    pub(super) place: String,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// The directives of a name in the block.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Directive> {
        self.block.iter().filter(move |directive| directive.name() == name)
    }

    /// The first argument of the first directive of a name.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        let found = self.block.iter().find(|directive| directive.name() == name)?;
        found.arguments().first().map(String::as_str)
    }
}

/// Reads a main file.
///
/// # Errors
/// What `nginx -t` would say.
pub(super) fn read(machine: &Machine, main: &Path) -> Result<Directive, String> {
    let folder = main.parent().unwrap_or(Path::new("/"));
    let mut reading = Reading { machine, folder, knows_all: true };
    Ok(Directive { block: reading.file(main, Place::Main, 0, "")?, ..Directive::default() })
}

struct Reading<'a> {
    machine: &'a Machine,
    /// Of the main file, where relative paths begin.
    folder: &'a Path,
    /// Whether no module has been loaded that may bring directives of its own.
    knows_all: bool,
}

/// A file that is being read.
struct Text<'a> {
    path: &'a Path,
    characters: std::iter::Peekable<std::vec::IntoIter<char>>,
    line: u32,
}

enum Token {
    Word(String),
    Semicolon,
    Open,
    Close,
}

impl Text<'_> {
    fn place(&self) -> String {
        format!(" in {}:{}", self.path.display(), self.line)
    }

    fn next(&mut self) -> Option<char> {
        let next = self.characters.next();
        self.line += u32::from(next == Some('\n'));
        next
    }

    /// The next token; `None` at the end of the file.
    fn token(&mut self) -> Result<Option<Token>, String> {
        loop {
            match self.next() {
                None => return Ok(None),
                Some('#') => while self.characters.peek().is_some_and(|c| *c != '\n') && self.next().is_some() {},
                Some(';') => return Ok(Some(Token::Semicolon)),
                Some('{') => return Ok(Some(Token::Open)),
                Some('}') => return Ok(Some(Token::Close)),
                Some(quote @ ('"' | '\'')) => return self.quoted(quote).map(Some),
                Some(blank) if blank.is_whitespace() => {}
                Some(first) => return Ok(Some(self.bare(first))),
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, String> {
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err(self.ends_early()),
                Some('\\') => {
                    let next = self.next();
                    escape(&mut word, next);
                }
                Some(close) if close == quote => break,
                Some(other) => word.push(other),
            }
        }
        match self.characters.peek().copied() {
            Some(next) if !next.is_whitespace() && !matches!(next, ';' | '{' | ')') => {
                Err(format!("unexpected \"{next}\"{}", self.place()))
            }
            _ => Ok(Token::Word(word)),
        }
    }

    /// Braces belong to a word only as in `${name}`.
    fn bare(&mut self, first: char) -> Token {
        let mut word = String::new();
        let mut next = Some(first);
        while let Some(character) = next {
            if character == '\\' {
                let after = self.next();
                escape(&mut word, after);
            } else {
                word.push(character);
            }
            let variable = word.ends_with('$') || word.rfind("${").is_some_and(|at| !word[at..].contains('}'));
            let goes_on = |c: &char| !c.is_whitespace() && *c != ';' && (variable || *c != '{');
            next = if self.characters.peek().is_some_and(goes_on) { self.next() } else { None };
        }
        Token::Word(word)
    }

    fn ends_early(&self) -> String {
        format!("unexpected end of file, expecting \";\" or \"}}\"{}", self.place())
    }
}

/// What a backslash makes of the character behind it: with most it stays.
fn escape(word: &mut String, next: Option<char>) {
    match next {
        Some(quoted @ ('"' | '\'' | '\\')) => word.push(quoted),
        Some('t') => word.push('\t'),
        Some('r') => word.push('\r'),
        Some('n') => word.push('\n'),
        other => {
            word.push('\\');
            word.extend(other);
        }
    }
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, place: Place, depth: u32, asked: &str) -> Result<Vec<Directive>, String> {
        if depth > INCLUDE_DEPTH {
            return Err(format!("too many open files: {} includes itself", path.display()));
        }
        let bytes = self.machine.files.read(path).ok().flatten();
        let missing = || format!("open() \"{}\" failed (2: No such file or directory){asked}", path.display());
        let text = String::from_utf8_lossy(&bytes.ok_or_else(missing)?).into_owned();
        let characters = text.chars().collect::<Vec<char>>().into_iter().peekable();
        self.block(&mut Text { path, characters, line: 1 }, place, depth, true)
    }

    fn block(&mut self, text: &mut Text<'_>, place: Place, depth: u32, top: bool) -> Result<Vec<Directive>, String> {
        let mut block = Vec::new();
        let mut words: Vec<String> = Vec::new();
        loop {
            let unexpected = |text: &Text<'_>, token: &str| Err(format!("unexpected \"{token}\"{}", text.place()));
            match text.token()? {
                Some(Token::Word(word)) => words.push(word),
                Some(Token::Semicolon) if words.is_empty() => return unexpected(text, ";"),
                Some(Token::Open) if words.is_empty() => return unexpected(text, "{"),
                Some(Token::Close) if top || !words.is_empty() => return unexpected(text, "}"),
                Some(Token::Close) => return Ok(block),
                Some(Token::Semicolon) => {
                    let directive = self.directive(&mut words, place, text, false)?;
                    if directive.name() == "include" {
                        for file in self.included(&directive) {
                            block.extend(self.file(&file, place, depth + 1, &directive.place)?);
                        }
                    } else {
                        block.push(directive);
                    }
                }
                Some(Token::Open) => {
                    let mut directive = self.directive(&mut words, place, text, true)?;
                    if matches!(directive.name(), "http" | "events")
                        && block.iter().any(|d| d.name() == directive.name())
                    {
                        return Err(format!("\"{}\" directive is duplicate{}", directive.name(), directive.place));
                    }
                    directive.block = self.block(text, place.within(directive.name()), depth, false)?;
                    block.push(directive);
                }
                None if !words.is_empty() => return Err(text.ends_early()),
                None if !top => return Err(format!("unexpected end of file, expecting \"}}\"{}", text.place())),
                None => return Ok(block),
            }
        }
    }

    fn directive(
        &mut self,
        words: &mut Vec<String>,
        place: Place,
        text: &Text<'_>,
        block: bool,
    ) -> Result<Directive, String> {
        let directive = Directive { words: std::mem::take(words), block: Vec::new(), place: text.place() };
        let name = directive.name();
        self.knows_all &= name != "load_module";
        if self.knows_all || directives::is_known(name) {
            let judged = directives::check(place, name, directive.arguments(), block);
            judged.map_err(|error| format!("{error}{}", directive.place))?;
        }
        Ok(directive)
    }

    /// The files of an include; `*` may stand in the last part of the path, and then none at all is fine.
    fn included(&self, directive: &Directive) -> Vec<PathBuf> {
        let path = self.folder.join(directive.arguments().first().map_or("", String::as_str));
        let pattern = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((start, end)) = pattern.split_once('*') else { return vec![path] };
        let folder = path.parent().unwrap_or(Path::new("/"));
        let names = self.machine.files.list(folder).unwrap_or_default();
        let fits = |name: &String| {
            // glob(3): a star does not stand for a dot at the beginning.
            let long_enough = name.len() >= start.len() + end.len() && (!start.is_empty() || !name.starts_with('.'));
            long_enough && name.starts_with(start) && name.ends_with(end)
        };
        names.into_iter().filter(fits).map(|name| folder.join(name)).collect()
    }
}
