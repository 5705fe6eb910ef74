//! Regular expressions, as far as configurations of web servers use those of PCRE: enough to follow a `location ~` or a
//! `RewriteRule`, with groups and lookahead, by plain backtracking.

/// So many steps at most; PCRE has such a limit, too.
const STEPS: u32 = 100_000;

/// A regular expression that has been read.
#[derive(Debug)]
pub(super) struct Pattern {
    alternatives: Vec<Vec<Node>>,
    groups: usize,
    any_case: bool,
}

#[derive(Debug)]
enum Node {
    Character(char),
    Any,
    Class { ranges: Vec<(char, char)>, not: bool },
    Start,
    End,
    WordEdge,
    Group { number: Option<usize>, alternatives: Vec<Vec<Node>> },
    Look { not: bool, alternatives: Vec<Vec<Node>> },
    Repeat { node: Box<Node>, least: usize, most: usize, greedy: bool },
}

/// Where the groups were found: begin and end, in characters.
type Found = Vec<Option<(usize, usize)>>;

impl Pattern {
    /// Reads an expression.
    ///
    /// # Errors
    /// It is wrong, or has something in it that is not modelled; in words.
    pub(super) fn new(text: &str, any_case: bool) -> Result<Self, String> {
        let (text, any_case) = text.strip_prefix("(?i)").map_or((text, any_case), |rest| (rest, true));
        let characters: Vec<char> = text.chars().collect();
        let mut reader = Reader { characters: &characters, at: 0, groups: 0 };
        let alternatives = reader.alternatives()?;
        if reader.at < characters.len() {
            return Err("unmatched closing parenthesis".into());
        }
        Ok(Self { alternatives, groups: reader.groups, any_case })
    }

    /// The whole match and the groups (`$0`, `$1`, …) of the first place that fits; a group that took no part is empty.
    pub(super) fn find(&self, text: &str) -> Option<Vec<String>> {
        let characters: Vec<char> = text.chars().collect();
        let mut run = Run { text: &characters, any_case: self.any_case, steps: 0 };
        (0..=characters.len()).find_map(|start| {
            let mut found: Found = vec![None; self.groups + 1];
            let mut end = None;
            let mut keep = None;
            let fits = run.any(&self.alternatives, start, &mut found, &mut |_, at, found| {
                end = Some(at);
                keep = Some(found.clone());
                true
            });
            let (Some(end), Some(mut found), true) = (end, keep, fits) else { return None };
            found[0] = Some((start, end));
            let text = |range: Option<(usize, usize)>| {
                range.map_or_else(String::new, |(a, b)| characters[a..b].iter().collect())
            };
            Some(found.into_iter().map(text).collect())
        })
    }

    /// Whether it fits anywhere.
    pub(super) fn fits(&self, text: &str) -> bool {
        self.find(text).is_some()
    }
}

struct Reader<'a> {
    characters: &'a [char],
    at: usize,
    groups: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.characters.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let character = self.peek();
        self.at += usize::from(character.is_some());
        character
    }

    fn take(&mut self, text: &str) -> bool {
        let fits = text.chars().enumerate().all(|(index, c)| self.characters.get(self.at + index) == Some(&c));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    fn alternatives(&mut self) -> Result<Vec<Vec<Node>>, String> {
        let mut alternatives = vec![Vec::new()];
        while let Some(character) = self.peek() {
            match character {
                ')' => break,
                '|' => {
                    self.at += 1;
                    alternatives.push(Vec::new());
                }
                _ => {
                    let node = self.node()?;
                    let node = self.repeated(node)?;
                    if let Some(last) = alternatives.last_mut() {
                        last.push(node);
                    }
                }
            }
        }
        Ok(alternatives)
    }

    fn node(&mut self) -> Result<Node, String> {
        Ok(match self.next().unwrap_or_default() {
            '.' => Node::Any,
            '^' => Node::Start,
            '$' => Node::End,
            '[' => self.class()?,
            '(' => self.group()?,
            '\\' => self.escaped()?,
            '*' | '+' | '?' => return Err("quantifier does not follow a repeatable item".into()),
            other => Node::Character(other),
        })
    }

    fn group(&mut self) -> Result<Node, String> {
        let node = if self.take("?:") {
            Node::Group { number: None, alternatives: self.alternatives()? }
        } else if self.take("?=") {
            Node::Look { not: false, alternatives: self.alternatives()? }
        } else if self.take("?!") {
            Node::Look { not: true, alternatives: self.alternatives()? }
        } else {
            if self.take("?<") || self.take("?P<") {
                while self.next().ok_or("syntax error in subpattern name (missing terminator?)")? != '>' {}
            } else if self.peek() == Some('?') {
                return Err("this kind of group is not modelled".into());
            }
            self.groups += 1;
            let number = self.groups;
            Node::Group { number: Some(number), alternatives: self.alternatives()? }
        };
        if self.take(")") { Ok(node) } else { Err("missing closing parenthesis".into()) }
    }

    fn escaped(&mut self) -> Result<Node, String> {
        Ok(match self.next().ok_or("\\ at end of pattern")? {
            'b' => Node::WordEdge,
            'A' => Node::Start,
            'z' | 'Z' => Node::End,
            'n' => Node::Character('\n'),
            't' => Node::Character('\t'),
            letter @ ('d' | 'D' | 'w' | 'W' | 's' | 'S') => {
                Node::Class { ranges: shorthand(letter), not: letter.is_ascii_uppercase() }
            }
            letter if letter.is_ascii_alphanumeric() => return Err(format!("\\{letter} is not modelled")),
            other => Node::Character(other),
        })
    }

    fn class(&mut self) -> Result<Node, String> {
        let not = self.take("^");
        let mut ranges = Vec::new();
        loop {
            let first = match self.next().ok_or("missing terminating ] for character class")? {
                ']' if !ranges.is_empty() => return Ok(Node::Class { ranges, not }),
                '\\' => match self.next().ok_or("\\ at end of pattern")? {
                    letter @ ('d' | 'w' | 's') => {
                        ranges.extend(shorthand(letter));
                        continue;
                    }
                    other => other,
                },
                '[' if self.peek() == Some(':') => return Err("POSIX classes are not modelled".into()),
                other => other,
            };
            let is_range = self.peek() == Some('-') && self.characters.get(self.at + 1).is_some_and(|c| *c != ']');
            let last = if is_range {
                self.at += 1;
                self.next().unwrap_or(first)
            } else {
                first
            };
            ranges.push((first, last));
        }
    }

    fn repeated(&mut self, node: Node) -> Result<Node, String> {
        let (least, most) = match self.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            Some('{') if self.characters.get(self.at + 1).is_some_and(char::is_ascii_digit) => {
                let rest: String = self.characters[self.at + 1..].iter().take_while(|c| **c != '}').collect();
                self.at += rest.chars().count() + 1;
                let wrong = || format!("the quantifier {{{rest}}} is not modelled");
                let number = |text: &str| text.parse::<usize>().map_err(|_| wrong());
                match rest.split_once(',') {
                    None => (number(&rest)?, number(&rest)?),
                    Some((least, "")) => (number(least)?, usize::MAX),
                    Some((least, most)) => (number(least)?, number(most)?),
                }
            }
            _ => return Ok(node),
        };
        self.at += 1;
        let greedy = !self.take("?");
        Ok(Node::Repeat { node: Box::new(node), least, most, greedy })
    }
}

/// `\d`, `\w`, `\s`; capitals mean the rest.
fn shorthand(letter: char) -> Vec<(char, char)> {
    match letter.to_ascii_lowercase() {
        'd' => vec![('0', '9')],
        'w' => vec![('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => vec![(' ', ' '), ('\t', '\r')],
    }
}

/// What is to be tried behind a match: `true` ends the search.
type Next<'a> = &'a mut dyn FnMut(&mut Run<'_>, usize, &mut Found) -> bool;

struct Run<'a> {
    text: &'a [char],
    any_case: bool,
    steps: u32,
}

impl Run<'_> {
    fn any(&mut self, alternatives: &[Vec<Node>], at: usize, found: &mut Found, next: Next<'_>) -> bool {
        alternatives.iter().any(|nodes| self.all(nodes, at, found, next))
    }

    fn all(&mut self, nodes: &[Node], at: usize, found: &mut Found, next: Next<'_>) -> bool {
        self.steps += 1;
        if self.steps > STEPS {
            return false;
        }
        match nodes.split_first() {
            None => next(self, at, found),
            Some((node, rest)) => self.one(node, at, found, &mut |run, at, found| run.all(rest, at, found, next)),
        }
    }

    fn one(&mut self, node: &Node, at: usize, found: &mut Found, next: Next<'_>) -> bool {
        let fits = match node {
            Node::Start => return at == 0 && next(self, at, found),
            Node::End => return at == self.text.len() && next(self, at, found),
            Node::WordEdge => {
                let is_word = |c: Option<&char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || *c == '_');
                let before = at.checked_sub(1).and_then(|at| self.text.get(at));
                return is_word(before) != is_word(self.text.get(at)) && next(self, at, found);
            }
            Node::Group { number, alternatives } => {
                let before = found.clone();
                let fits = self.any(alternatives, at, found, &mut |run, end, found| {
                    if let Some(number) = number {
                        found[*number] = Some((at, end));
                    }
                    next(run, end, found)
                });
                if !fits {
                    *found = before;
                }
                return fits;
            }
            Node::Look { not, alternatives } => {
                let fits = self.any(alternatives, at, &mut found.clone(), &mut |_, _, _| true);
                return fits != *not && next(self, at, found);
            }
            Node::Repeat { node, least, most, greedy } => {
                return self.repeat((node, *least, *most, *greedy), at, found, next);
            }
            Node::Any => self.text.get(at).is_some_and(|c| *c != '\n'),
            Node::Character(character) => self.text.get(at).is_some_and(|c| self.same(*c, *character)),
            Node::Class { ranges, not } => self.text.get(at).is_some_and(|c| self.within(*c, ranges) != *not),
        };
        fits && next(self, at + 1, found)
    }

    fn repeat(&mut self, what: (&Node, usize, usize, bool), at: usize, found: &mut Found, next: Next<'_>) -> bool {
        let (node, least, most, greedy) = what;
        if least == 0 && !greedy && next(self, at, found) {
            return true;
        }
        if most > 0 {
            let fewer = (node, least.saturating_sub(1), if most == usize::MAX { most } else { most - 1 }, greedy);
            let more = self.one(node, at, found, &mut |run, end, found| {
                // An empty match again would go on for ever.
                (end > at || least > 0) && run.repeat(fewer, end, found, next)
            });
            if more {
                return true;
            }
        }
        least == 0 && greedy && next(self, at, found)
    }

    fn same(&self, one: char, other: char) -> bool {
        one == other || (self.any_case && one.eq_ignore_ascii_case(&other))
    }

    fn within(&self, character: char, ranges: &[(char, char)]) -> bool {
        let lies = |c: char| ranges.iter().any(|(first, last)| (*first..=*last).contains(&c));
        lies(character)
            || (self.any_case && (lies(character.to_ascii_lowercase()) || lies(character.to_ascii_uppercase())))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_and_what_does_not() {
        for (pattern, fits, not) in [
            (
                r"^/(?!\.well-known/acme-challenge/)(.*)$",
                &["/", "/x", "/.well-known/webfinger"][..],
                &["x", "/.well-known/acme-challenge/t"][..],
            ),
            (r"^/+(livez|readyz)$", &["/livez", "//readyz"], &["/livez/", "/xlivez"]),
            (r"^/+fileserver/+certs(/|$)", &["/fileserver/certs", "//fileserver//certs/a"], &["/fileserver/certsx"]),
            (r"\.(?:css|js)$", &["/a.css", "/b.js"], &["/a.cssx", "/ajs"]),
            (r"^[^/a-c\]]{2,3}$", &["xy", "xyz"], &["x", "xyzw", "xa", "x]"]),
            (r"a+?b|^$", &["aab", ""], &["a", "b"]),
            (r"\bbot\b", &["a bot", "bot/1"], &["robots"]),
            (r"^\d\w\s\S\D\W$", &["1a bc."], &["1a bc1", "aa bc."]),
            ("(?i)^Bot", &["BOT"], &["a bot"]),
            ("(a*)*$", &["b", "aaa"], &[]),
        ] {
            let read = Pattern::new(pattern, false).unwrap();
            assert!(fits.iter().all(|text| read.fits(text)), "{pattern}");
            assert!(!not.iter().any(|text| read.fits(text)), "{pattern}");
        }
        assert!(Pattern::new("gptbot|[a-z]X", true).unwrap().fits("GPTBot"));
    }

    #[test]
    fn groups_are_kept() {
        let pattern = Pattern::new("^/(.*?)/((x)|y)", false).unwrap();
        assert_eq!(pattern.find("/a/b/y/").unwrap(), ["/a/b/y", "a/b", "y", ""]);
        assert_eq!(Pattern::new("(?<n>.)b", false).unwrap().find("xab").unwrap(), ["ab", "a"]);
    }

    #[test]
    fn what_is_wrong_or_not_modelled_is_refused() {
        for (pattern, says) in [
            ("^(", "missing closing parenthesis"),
            ("a)", "unmatched closing"),
            ("*a", "quantifier"),
            ("[a", "missing terminating ]"),
            ("a\\", "at end of pattern"),
            ("(?<=a)b", "name"),
            ("(?>a)", "not modelled"),
            ("[[:alpha:]]", "not modelled"),
            ("\\K", "not modelled"),
            ("a{1,b}", "not modelled"),
        ] {
            assert!(Pattern::new(pattern, false).expect_err(pattern).contains(says), "{pattern}");
        }
    }
}
