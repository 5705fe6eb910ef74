//! [`Answers`]: what an administrator wrote, with comments and line numbers.

use std::str::FromStr;

use toml_edit::{Document, DocumentMut, Item, Key, Table, TableLike, Value};

use super::Deployment;
use super::answer_error::{AnswerError, AnswerPlace, described, line_at};
use super::answer_reader::Reader;
use super::secrets::Secrets;

/// The answers file, together with what `--set` changed in it.
///
/// The administrator's comments and layout are kept. The text is returned as it was where nothing was set.
#[derive(Debug, Clone)]
pub struct Answers {
    /// What messages call the file.
    shown_name: String,
    /// The text as it was read, which alone knows its lines; none where there was no file.
    original: Option<Document<String>>,
    /// The answers as they are now.
    current: DocumentMut,
    /// The keys that were set since.
    set: Vec<Vec<String>>,
}

impl Answers {
    /// Reads the text of an answers file; `shown_name` is what messages call the file.
    ///
    /// # Errors
    ///
    /// The text is not TOML. What the answers mean is checked by [`Answers::deployment`], after `--set` had its say.
    pub fn parse(text: &str, shown_name: &str) -> Result<Self, AnswerError> {
        match Document::parse(text.to_owned()) {
            Ok(original) => Ok(Self {
                shown_name: shown_name.to_owned(),
                current: original.clone().into_mut(),
                original: Some(original),
                set: Vec::new(),
            }),
            Err(error) => {
                const HINT: &str = "Write strings in quotes, like: host = \"social.example.org\"";
                Err(AnswerError::syntax(text, shown_name, "this is", &error, HINT))
            }
        }
    }

    /// Answers without a file, to be filled by [`Answers::set`].
    pub fn empty() -> Self {
        Self { shown_name: "the answers".to_owned(), original: None, current: DocumentMut::new(), set: Vec::new() }
    }

    /// Takes one argument of `--set`, `section.key=value`. The value is TOML if it parses as such, else a text;
    /// blanks around key and value are left out.
    ///
    /// # Errors
    ///
    /// In words: a malformed argument, or a key that does not fit the answers. Unknown keys and wrong values come to
    /// light in [`Answers::deployment`].
    pub fn set(&mut self, argument: &str) -> Result<(), String> {
        let (key, value) = argument.split_once('=').ok_or_else(|| {
            format!("--set {argument}: there is no = in it. Write it like: --set host=social.example.org")
        })?;
        let key = key.trim();
        let path = Key::parse(key)
            .map_err(|_| format!("--set: {key:?} is not a key. Write it like: --set tls.email=admin@example.org"))?;
        let path: Vec<String> = path.iter().map(|key| key.get().to_owned()).collect();
        let value = value.trim();
        let value = Value::from_str(value).unwrap_or_else(|_| Value::from(value));
        put(self.current.as_table_mut(), &path, value)?;
        self.set.push(path);
        Ok(())
    }

    /// The answer to a key, as a person would type it: a text without quotes, a list with commas between.
    pub fn get(&self, key: &str) -> Option<String> {
        let path: Vec<&str> = key.split('.').collect();
        self.item(&path)?.as_value().map(typed)
    }

    /// Takes an answer out, and its section with it if nothing else is there. A key that has no answer is no mistake.
    pub fn remove(&mut self, key: &str) {
        let path: Vec<String> = key.split('.').map(str::to_owned).collect();
        if take_out(self.current.as_table_mut(), &path) {
            self.set.push(path);
        }
    }

    /// The text to write to the answers file: as it was read if nothing was set.
    pub fn to_text(&self) -> String {
        match &self.original {
            Some(original) if self.set.is_empty() => original.raw().to_owned(),
            _ => self.current.to_string(),
        }
    }

    /// What these answers want. The secrets give the database password.
    ///
    /// # Errors
    ///
    /// Every mistake at once, in the order of the file.
    pub fn deployment(&self, secrets: &Secrets) -> Result<Deployment, Vec<AnswerError>> {
        Reader::new(self).deployment(secrets)
    }

    /// The item under a path, if there is one.
    pub(super) fn item(&self, path: &[&str]) -> Option<&Item> {
        path.iter().try_fold(self.current.as_item(), |item, key| item.as_table_like()?.get(key))
    }

    /// The table under a path, if there is one.
    pub(super) fn table(&self, path: &[&str]) -> Option<&dyn TableLike> {
        self.item(path).and_then(Item::as_table_like)
    }

    /// Where the administrator gave a key, or the nearest section around it that is there.
    pub(super) fn place(&self, path: &[&str]) -> AnswerPlace {
        if self.set.iter().any(|set| path.len() >= set.len() && set.iter().zip(path).all(|(s, p)| s == p)) {
            return AnswerPlace::CommandLine;
        }
        let line = self.original.as_ref().and_then(|original| line_of(original, path));
        AnswerPlace::File { file: self.shown_name.clone(), line }
    }
}

/// The line of a key, or of the nearest section around it that is there.
fn line_of(document: &Document<String>, path: &[&str]) -> Option<usize> {
    let mut line = None;
    let mut item = document.as_item();
    for key in path {
        let Some((found, inner)) = item.as_table_like().and_then(|table| table.get_key_value(key)) else {
            break;
        };
        let span = found.span().or_else(|| inner.span());
        line = span.map(|span| line_at(document.raw(), span.start)).or(line);
        item = inner;
    }
    line
}

/// Puts a value under a path, making the sections on the way. A value that is replaced leaves its comment behind.
fn put(mut table: &mut dyn TableLike, path: &[String], mut value: Value) -> Result<(), String> {
    let key = path.join(".");
    let refused = |depth: usize, found: &'static str| {
        let section = path[..=depth].join(".");
        format!(
            "--set: {key} does not fit the answers file, where {section} is {found}. Correct the file, or set {section} itself"
        )
    };
    let Some((last, sections)) = path.split_last() else { return Ok(()) };
    for (depth, section) in sections.iter().enumerate() {
        let item = table.entry(section).or_insert_with(|| {
            let mut section = Table::new();
            section.set_implicit(true);
            Item::Table(section)
        });
        let found = described(item);
        table = item.as_table_like_mut().ok_or_else(|| refused(depth, found))?;
    }
    match table.get_mut(last) {
        None | Some(Item::None) => drop(table.insert(last, Item::Value(value))),
        Some(Item::Value(old)) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        Some(section) => return Err(refused(sections.len(), described(section))),
    }
    Ok(())
}

/// A value as a person would type it.
fn typed(value: &Value) -> String {
    match value {
        Value::String(text) => text.value().clone(),
        Value::Array(items) => items.iter().map(typed).collect::<Vec<_>>().join(", "),
        other => other.clone().decorated("", "").to_string(),
    }
}

/// Removes the value under a path, and the sections on the way that become empty. Returns whether there was a value.
fn take_out(table: &mut dyn TableLike, path: &[String]) -> bool {
    let Some((key, rest)) = path.split_first() else { return false };
    if rest.is_empty() {
        return table.remove(key).is_some();
    }
    let Some(section) = table.get_mut(key).and_then(Item::as_table_like_mut) else { return false };
    let taken = take_out(section, rest);
    if taken && section.is_empty() {
        table.remove(key);
    }
    taken
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "\
# Our instance
host = \"social.example.org\" # the name

[tls]
email = \"admin@example.org\"   # who gets mail
";

    fn answers() -> Answers {
        Answers::parse(FILE, "deployment.toml").unwrap()
    }

    #[test]
    fn gives_the_text_back_as_it_was() {
        assert_eq!(answers().to_text(), FILE);
        let odd = "\u{feff}host='x'\r\n\r\n  # end\r\n[tls]\r\n";
        assert_eq!(Answers::parse(odd, "t").unwrap().to_text(), odd);
        assert_eq!(Answers::empty().to_text(), "");
    }

    #[test]
    fn setting_keeps_comments() {
        let mut answers = answers();
        for argument in [
            "host=gts.example.org",
            "tls.email=\"root@example.org\"",
            "exposure.mode = nginx",
            "config.http-client.timeout=5s",
            "config.accounts-registration-open=true",
            "account-domain=example.org",
        ] {
            answers.set(argument).unwrap();
        }
        assert_eq!(
            answers.to_text(),
            "\
# Our instance
host = \"gts.example.org\" # the name
account-domain = \"example.org\"

[tls]
email = \"root@example.org\"   # who gets mail

[exposure]
mode = \"nginx\"

[config]
accounts-registration-open = true

[config.http-client]
timeout = \"5s\"
"
        );
    }

    #[test]
    fn answers_are_given_back_as_they_are_typed_and_taken_out_with_their_section() {
        let mut answers = answers();
        answers.set("config.instance-languages=[\"en\", \"de\"]").unwrap();
        answers.set("tls.hsts=true").unwrap();
        let got = |answers: &Answers, key: &str| answers.get(key);
        assert_eq!(got(&answers, "host").as_deref(), Some("social.example.org"));
        assert_eq!(got(&answers, "config.instance-languages").as_deref(), Some("en, de"));
        assert_eq!(got(&answers, "tls.hsts").as_deref(), Some("true"));
        assert_eq!((got(&answers, "tls"), got(&answers, "tls.key"), got(&answers, "host.x")), (None, None, None));
        for key in ["config.instance-languages", "tls.hsts", "admin.username", "host.x"] {
            answers.remove(key);
        }
        assert_eq!(answers.to_text(), FILE);
        answers.remove("tls.email");
        assert_eq!(answers.to_text(), "# Our instance\nhost = \"social.example.org\" # the name\n");
    }

    #[test]
    fn values_are_toml_or_text() {
        let mut answers = Answers::empty();
        for argument in
            ["a=1", "b=1.2.3", "c=[1, \"x\"]", "d=", "e=\"1\"", "f=two words", "g=a=b", "h=x\"y\nz", "i={z=1}", "i.y=2"]
        {
            answers.set(argument).unwrap();
        }
        assert_eq!(
            answers.to_text(),
            "a = 1\nb = \"1.2.3\"\nc = [1, \"x\"]\nd = \"\"\ne = \"1\"\nf = \"two words\"\ng = \"a=b\"\nh = \"\"\"\nx\"y\nz\"\"\"\ni = {z=1, y = 2 }\n"
        );
    }

    #[test]
    fn refuses_what_cannot_be_set() {
        let refuse = |argument: &str| answers().set(argument).unwrap_err();
        assert_eq!(refuse("host"), "--set host: there is no = in it. Write it like: --set host=social.example.org");
        for (argument, key) in [("=x", "\"\""), ("a b=x", "\"a b\"")] {
            assert!(refuse(argument).starts_with(&format!("--set: {key} is not a key")));
        }
        let section = refuse("host.name=x");
        assert!(section.contains("host.name does not fit the answers file, where host is a text."), "{section}");
        let value = refuse("tls=x");
        assert!(value.contains("tls does not fit the answers file, where tls is a section."), "{value}");
        let mut changed = answers();
        assert!(changed.set("host.name=x").is_err());
        assert_eq!(changed.to_text(), FILE);
    }

    #[test]
    fn a_syntax_error_names_its_line() {
        let error = Answers::parse("# one\nhost = social.example.org\n", "deployment.toml").unwrap_err();
        assert_eq!(error.place, AnswerPlace::File { file: "deployment.toml".into(), line: Some(2) });
        assert!(error.to_string().starts_with("deployment.toml:2: this is not valid TOML: "), "{error}");
        assert!(!error.to_string().contains('\n'));
    }

    #[test]
    fn places() {
        let mut answers = answers();
        let line = |line| AnswerPlace::File { file: "deployment.toml".into(), line: Some(line) };
        assert_eq!(answers.place(&["host"]), line(2));
        assert_eq!(answers.place(&["tls", "email"]), line(5));
        assert_eq!(answers.place(&["tls", "absent"]), line(4));
        assert_eq!(
            answers.place(&["admin", "email"]),
            AnswerPlace::File { file: "deployment.toml".into(), line: None }
        );
        answers.set("account-domain=example.org").unwrap();
        answers.set("tls.email=b@example.org").unwrap();
        assert_eq!(answers.place(&["tls", "email"]), AnswerPlace::CommandLine);
        assert_eq!(answers.place(&["host"]), line(2));
    }

    #[test]
    fn the_example_is_right() {
        let example = include_str!("../../examples/direct.toml");
        let answers = Answers::parse(example, "direct.toml").unwrap();
        let deployment = answers.deployment(&Secrets::default()).unwrap();
        assert_eq!(deployment.host.as_str(), "social.example.org");
        assert_eq!(deployment.admin.unwrap().username.as_str(), "alice");
        // What is commented out would be right as well.
        let lines =
            example.lines().map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line));
        let lines = lines.filter(|line| !line.contains('…')).map(|line| line.to_owned() + "\n");
        let whole: String = lines.collect();
        assert!(whole.contains("\naccount-domain = ") && whole.contains("\nsmtp-port = "));
        let whole = whole.replace("# [database]", "[database]");
        Answers::parse(&whole, "direct.toml").unwrap().deployment(&Secrets::default()).unwrap();
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[a-z\\[\\]=\".\n #{},0-9-]{0,60}") {
            if let Ok(answers) = Answers::parse(&text, "t") {
                prop_assert_eq!(answers.to_text(), text);
                let _ = answers.deployment(&Secrets::default());
            }
        }

        #[test]
        fn whatever_is_set_can_be_read_again(value in any::<String>()) {
            let mut answers = answers();
            answers.set(&format!("admin.username={value}")).unwrap();
            let again = Answers::parse(&answers.to_text(), "t").unwrap();
            let read = |answers: &Answers| answers.item(&["admin", "username"]).map(|item| item.to_string().trim().to_owned());
            prop_assert_eq!(read(&again), read(&answers));
            prop_assert!(answers.to_text().starts_with(FILE));
        }
    }
}
