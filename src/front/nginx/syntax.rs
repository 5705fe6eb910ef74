//! The syntax of nginx's configuration files, as `ngx_conf_read_token()` in `src/core/ngx_conf_file.c` reads it.
//!
//! Works on bytes, since a comment may be in any encoding.

use std::path::Path;

use crate::front::config_files::{ConfigError, ConfigPlace, Directive};

/// Reads the text of a file.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Program`].
pub(super) fn parse(file: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    Reader { file, text, at: 0, line: 1 }.block(None)
}

struct Reader<'a> {
    file: &'a Path,
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

    fn place(&self, line: usize) -> ConfigPlace {
        ConfigPlace { file: self.file.to_owned(), line }
    }

    fn fault<T>(&self, line: usize, what: &'static str) -> Result<T, ConfigError> {
        Err(ConfigError::Syntax { place: self.place(line), what })
    }

    /// Reads up to the closing brace, or to the end of the file. `opened` is the line of the opening brace.
    fn block(&mut self, opened: Option<usize>) -> Result<Vec<Directive>, ConfigError> {
        let mut directives = Vec::new();
        let mut words: Vec<String> = Vec::new();
        let (mut start, mut line) = (self.at, self.line);
        loop {
            match (self.peek(), opened) {
                (Some(b' ' | b'\t' | b'\r' | b'\n'), _) => drop(self.next()),
                (Some(b'#'), _) => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                (Some(end @ (b';' | b'{')), _) => {
                    self.at += 1;
                    let block = match words.first() {
                        None if end == b';' => return self.fault(self.line, "a semicolon with nothing before it"),
                        None => return self.fault(self.line, "a brace with nothing before it"),
                        Some(_) if end == b';' => None,
                        Some(name) if name.ends_with("_by_lua_block") => {
                            return Err(ConfigError::Program { place: self.place(line), directive: name.clone() });
                        }
                        Some(_) => Some(self.block(Some(line))?),
                    };
                    let (place, words) = (self.place(line), std::mem::take(&mut words));
                    directives.push(Directive { place, words, span: start..self.at, block });
                }
                (Some(b'}'), _) if !words.is_empty() => {
                    return self.fault(line, "the directive that begins here has no semicolon");
                }
                (Some(b'}'), None) => return self.fault(self.line, "a closing brace with no block to close"),
                (Some(b'}'), Some(_)) => {
                    self.at += 1;
                    return Ok(directives);
                }
                (Some(_), _) => {
                    if words.is_empty() {
                        (start, line) = (self.at, self.line);
                    }
                    words.push(self.word()?);
                }
                (None, _) if !words.is_empty() => {
                    return self.fault(line, "the directive that begins here has no end (; or {)");
                }
                (None, Some(opened)) => return self.fault(opened, "the block that begins here is never closed"),
                (None, None) => return Ok(directives),
            }
        }
    }

    /// Reads one word, quoted or bare.
    fn word(&mut self) -> Result<String, ConfigError> {
        let line = self.line;
        let quote = self.peek().filter(|byte| matches!(byte, b'"' | b'\''));
        self.at += usize::from(quote.is_some());
        let mut word = Vec::new();
        // A brace belongs to a bare word only directly behind a dollar sign: ${name}.
        let mut dollar = false;
        loop {
            match (self.peek(), quote) {
                (None, Some(_)) => return self.fault(line, "the quotes that begin here are never closed"),
                (None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';'), None) => break,
                (Some(b'{'), None) if !dollar => break,
                (Some(b'\\'), _) => {
                    self.at += 1;
                    self.escaped(&mut word);
                    dollar = false;
                }
                (next, _) => {
                    self.next();
                    if next == quote {
                        break;
                    }
                    word.extend(next);
                    dollar = next == Some(b'$');
                }
            }
        }
        // A parenthesis may follow in the condition of an `if`, and begins the next word.
        let ends = matches!(self.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n' | b';' | b'{' | b')'));
        if quote.is_some() && !ends {
            return self.fault(self.line, "something stands directly behind closing quotes");
        }
        Ok(String::from_utf8_lossy(&word).into_owned())
    }

    /// What stands behind a backslash: blanks by their letter, quotes and the backslash itself; before anything else
    /// the backslash stays.
    fn escaped(&mut self, word: &mut Vec<u8>) {
        match self.next() {
            Some(byte @ (b'"' | b'\'' | b'\\')) => word.push(byte),
            Some(b't') => word.push(b'\t'),
            Some(b'r') => word.push(b'\r'),
            Some(b'n') => word.push(b'\n'),
            other => word.extend([b'\\'].into_iter().chain(other)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
        parse(Path::new("/f"), text)
    }

    fn words(text: &str) -> Vec<Vec<String>> {
        parsed(text.as_bytes()).unwrap().into_iter().map(|directive| directive.words).collect()
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
        let all = parsed(text).unwrap();
        assert_eq!(&text[all[1].span.clone()], &text[3..text.len() - 3]);
        let server = &all[1].block.as_ref().unwrap()[0];
        assert_eq!((all[1].place.line, server.place.line, all[2].place.line), (2, 4, 7));
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
            let Err(ConfigError::Syntax { place, what }) = parsed(text.as_bytes()) else {
                panic!("{text:?} was taken")
            };
            // A bare word takes a brace in, so one more way to the same end.
            assert!(place.line == line && what.contains(part), "{text:?}: {place} {what}");
        }
        let lua = parsed(b"http {\n content_by_lua_block { s = \"}\" } }");
        let place = ConfigPlace { file: "/f".into(), line: 2 };
        assert_eq!(lua, Err(ConfigError::Program { place, directive: "content_by_lua_block".to_owned() }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(text in proptest::collection::vec(
            prop_oneof![Just(b'{'), Just(b'}'), Just(b';'), Just(b'"'), Just(b'\\'), Just(b'$'), Just(b'#'), Just(b'\n'), any::<u8>()], 0..60)) {
            if let Ok(directives) = parsed(&text) {
                prop_assert!(directives.windows(2).all(|pair| pair[0].span.end <= pair[1].span.start));
            }
        }
    }
}
