//! The syntax of nginx's configuration files, as `ngx_conf_read_token()` in `src/core/ngx_conf_file.c` reads it.
//!
//! Works on bytes, since a comment may be in any encoding.

use std::ops::Range;
use std::path::Path;

use crate::front::config_files::{ConfigError, ConfigPlace};

/// A directive: words that end with a semicolon, or with a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    /// The words, without their quotes. Bytes that are not UTF-8 come as U+FFFD.
    pub words: Vec<String>,
    /// The line on which it begins, from 1 on.
    pub line: usize,
    /// From the first word to behind the semicolon or the closing brace.
    pub span: Range<usize>,
    /// What stands between its braces, if it has any.
    pub block: Option<Vec<Directive>>,
}

impl Directive {
    pub(super) fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    pub(super) fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// What is wrong, and on which line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    Syntax(usize, &'static str),
    Program(usize, String),
}

/// Reads a whole file; `path` is for messages.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Program`].
pub(super) fn parsed(path: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    let place = |line| ConfigPlace { file: path.to_owned(), line };
    parse(text).map_err(|fault| match fault {
        Fault::Syntax(line, what) => ConfigError::Syntax { place: place(line), what },
        Fault::Program(line, directive) => ConfigError::Program { place: place(line), directive },
    })
}

/// Reads a whole file.
pub(super) fn parse(text: &[u8]) -> Result<Vec<Directive>, Fault> {
    let mut reader = Reader { text, at: 0, line: 1 };
    reader.block(None)
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// Reads up to the closing brace, or to the end of the file. `opened` is the line of the opening brace.
    fn block(&mut self, opened: Option<usize>) -> Result<Vec<Directive>, Fault> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let (mut start, mut line) = (self.at, self.line);
        loop {
            let Some(byte) = self.peek() else {
                return match (opened, words.is_empty()) {
                    (None, true) => Ok(directives),
                    (_, false) => Err(Fault::Syntax(line, "the directive that begins here has no end (; or {)")),
                    (Some(opened), true) => Err(Fault::Syntax(opened, "the block that begins here is never closed")),
                };
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => drop(self.next()),
                b'#' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1
                    }
                }
                b';' => {
                    self.at += 1;
                    if words.is_empty() {
                        return Err(Fault::Syntax(self.line, "a semicolon with nothing before it"));
                    }
                    let words = std::mem::take(&mut words);
                    directives.push(Directive { words, line, span: start..self.at, block: None });
                }
                b'{' => {
                    self.at += 1;
                    match words.first() {
                        None => return Err(Fault::Syntax(self.line, "a brace with nothing before it")),
                        Some(name) if name.ends_with("_by_lua_block") => {
                            return Err(Fault::Program(line, name.clone()));
                        }
                        Some(_) => {}
                    }
                    let block = Some(self.block(Some(line))?);
                    let words = std::mem::take(&mut words);
                    directives.push(Directive { words, line, span: start..self.at, block });
                }
                b'}' => {
                    if !words.is_empty() {
                        return Err(Fault::Syntax(line, "the directive that begins here has no semicolon"));
                    }
                    if opened.is_none() {
                        return Err(Fault::Syntax(self.line, "a closing brace with no block to close"));
                    }
                    self.at += 1;
                    return Ok(directives);
                }
                _ => {
                    if words.is_empty() {
                        (start, line) = (self.at, self.line);
                    }
                    words.push(self.word()?);
                }
            }
        }
    }

    /// Reads one word, quoted or bare.
    fn word(&mut self) -> Result<String, Fault> {
        let line = self.line;
        let mut word = Vec::new();
        if let Some(quote @ (b'"' | b'\'')) = self.peek() {
            self.at += 1;
            loop {
                match self.next() {
                    None => return Err(Fault::Syntax(line, "the quotes that begin here are never closed")),
                    Some(b'\\') => self.escaped(&mut word),
                    Some(byte) if byte == quote => break,
                    Some(byte) => word.push(byte),
                }
            }
            // A parenthesis may follow in the condition of an `if`, and begins the next word.
            return match self.peek() {
                None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')') => Ok(owned(&word)),
                Some(_) => Err(Fault::Syntax(self.line, "something stands directly behind closing quotes")),
            };
        }
        // A brace belongs to a word only directly behind a dollar sign: ${name}.
        let mut dollar = false;
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' => break,
                b'{' if !dollar => break,
                b'\\' => {
                    self.at += 1;
                    self.escaped(&mut word);
                    dollar = false;
                    continue;
                }
                _ => word.push(byte),
            }
            dollar = byte == b'$';
            self.at += 1;
        }
        Ok(owned(&word))
    }

    /// What stands behind a backslash: blanks by their letter, quotes and the backslash itself; before anything else
    /// the backslash stays.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        match self.next() {
            Some(byte @ (b'"' | b'\'' | b'\\')) => word.push(byte),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            Some(byte) => word.extend([b'\\', byte]),
            None => word.push(b'\\'),
        }
    }
}

fn owned(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(text: &str) -> Vec<Vec<String>> {
        parse(text.as_bytes()).unwrap().into_iter().map(|directive| directive.words).collect()
    }

    #[test]
    fn words_are_those_of_nginx() {
        assert_eq!(words("a b  c;"), [["a", "b", "c"]]);
        assert_eq!(words("a \"b;{}#\" 'c\"d';"), [["a", "b;{}#", "c\"d"]]);
        assert_eq!(words("a b\\;c \\\"d;"), [["a", "b\\;c", "\"d"]]);
        assert_eq!(words("a ${b}c$d{ } e;"), [vec!["a", "${b}c$d"], vec!["e"]]);
        assert_eq!(words("a b}c b#c b\"c;"), [["a", "b}c", "b#c", "b\"c"]]);
        assert_eq!(words("# x; {\r\na # b\n c;"), [["a", "c"]]);
        assert_eq!(words("a \"x\\ty\\n\\\\z\\.\";"), [["a", "x\ty\n\\z\\."]]);
        assert_eq!(words("if ($a = \"b\") { }"), [["if", "($a", "=", "b", ")"]]);
        assert_eq!(words(""), Vec::<Vec<String>>::new());
    }

    #[test]
    fn places_are_exact() {
        let text = b"x;\nhttp {\n  # {\n  server\n    { listen 80; }\n}\ny;";
        let all = parse(text).unwrap();
        assert_eq!(&text[all[1].span.clone()], &text[3..text.len() - 3]);
        let server = &all[1].block.as_ref().unwrap()[0];
        assert_eq!((all[1].line, server.line, all[2].line), (2, 4, 7));
        assert_eq!(&text[server.block.as_ref().unwrap()[0].span.clone()], b"listen 80;");
    }

    #[test]
    fn faults_are_named_with_their_line() {
        for (text, line, part) in [
            ("a\n b", 1, "no end"),
            ("a;\nb {\n c;", 2, "never closed"),
            ("\n;", 2, "semicolon with nothing"),
            ("\n{", 2, "brace with nothing"),
            ("a {\nb }", 2, "no semicolon"),
            ("a;\n}", 2, "no block to close"),
            ("a\n 'b\n", 2, "quotes that begin here"),
            ("a 'b'c;", 1, "directly behind"),
        ] {
            let Err(Fault::Syntax(found, what)) = parse(text.as_bytes()) else { panic!("{text:?} was taken") };
            // A bare word takes a brace in, so one more way to the same end.
            assert!(found == line && what.contains(part), "{text:?}: {found} {what}");
        }
        let lua = parse(b"http {\n content_by_lua_block { s = \"}\" } }");
        assert_eq!(lua, Err(Fault::Program(2, "content_by_lua_block".to_owned())));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(
            prop_oneof![Just(b'{'), Just(b'}'), Just(b';'), Just(b'"'), Just(b'\\'), Just(b'$'), Just(b'#'), Just(b'\n'), any::<u8>()], 0..60)) {
            if let Ok(directives) = parse(&text) {
                prop_assert!(directives.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            }
        }
    }
}
