use super::*;
use crate::deployment::{Mode, Secrets, TlsMode, Variant};

fn known(section: Option<&str>) -> Vec<&'static str> {
    names(section).collect()
}

#[test]
fn the_nearest_key_is_named() {
    let release = known(Some("release"));
    assert_eq!(
        unknown("varient", &release),
        "there is no such answer. Did you mean variant? Known answers: version, sha256, variant, prereleases"
    );
    assert!(unknown("colour", &release).starts_with("there is no such answer. Known answers: "));
}

#[test]
fn keys_in_the_wrong_place_are_sent_home() {
    let top = "this answer is in the wrong place. Move it to the top of the file, before the first [section]";
    assert_eq!(unknown("account-domain", &known(Some("release"))), top);
    assert_eq!(unknown("sha256", &known(None)), "this answer is in the wrong place. Move it under [release]");
    assert_eq!(unknown("email", &known(None)), "this answer is in the wrong place. Move it under [tls]");
}

#[test]
fn settings_of_the_server_belong_under_config() {
    assert!(unknown("log-level", &known(None)).ends_with("Move it under [config]"));
    let instead = |key: &str| unknown(key, &known(Some("release")));
    assert!(instead("smtp-password").contains("as GTS_SMTP_PASSWORD"));
    assert!(instead("letsencrypt-email-address").contains("email under [tls]"));
    assert!(instead("port").contains("mode under [exposure]"));
}

#[test]
fn a_key_stands_in_the_table_once_and_in_a_section_that_there_is() {
    for field in &FIELDS {
        assert_eq!(FIELDS.iter().filter(|other| other.key == field.key).count(), 1, "{}", field.key);
        assert!(AnswerField::of(field.key).is_some_and(|found| found.key == field.key));
        assert!(field.section().is_none_or(|section| SECTIONS.contains(&section)), "{}", field.key);
    }
    assert!(AnswerField::of("host.name").is_none());
    assert!(FIELDS.is_sorted_by_key(|field| !field.first), "the first questions come first");
}

/// Answers in which a field has a meaning, with another value for it.
fn with(field: &AnswerField, value: &str) -> Answers {
    let mut answers = Answers::parse("host = \"social.example.org\"\ntls.email = \"a@b.example\"\n", "t").unwrap();
    let meaning = match field.applies {
        Condition::BehindProxy => "exposure.mode = nginx",
        Condition::Postgres => "database.type = postgres",
        Condition::WithAdmin => "admin.username = alice",
        Condition::ExactVersion => "release.version = 0.19.2",
        Condition::Always | Condition::NewestVersion => "exposure.mode = direct",
    };
    answers.set(meaning).unwrap();
    answers.set(&format!("{}={value}", field.key)).unwrap();
    assert!(field.applies.holds(&answers), "{}", field.key);
    answers
}

#[test]
fn every_answer_is_read_and_its_example_is_right() {
    for field in &FIELDS {
        let wrong = |value: &str| with(field, value).deployment(&Secrets::default()).err().unwrap_or_default();
        assert!(wrong("1979-05-27").iter().any(|error| error.key == field.key), "nothing reads {}", field.key);
        let example = field.example.replace("<64 hexadecimal digits>", &"ab".repeat(32));
        let errors = wrong(&example);
        assert!(errors.iter().all(|error| error.key != field.key), "{}: {errors:?}", field.key);
    }
}

#[test]
fn the_words_of_a_choice_are_those_that_are_read() {
    let words = |field: &AnswerField| -> Vec<&str> {
        let AnswerType::Choice(choices) = field.value else { panic!("{} is no choice", field.key) };
        choices.iter().map(|(word, _)| *word).collect()
    };
    for field in FIELDS.iter().filter(|field| matches!(field.value, AnswerType::Choice(_))) {
        let answers = with(field, "none-of-them");
        let errors = answers.deployment(&Secrets::default()).unwrap_err();
        let error = errors[0].to_string();
        let mut allowed: Vec<&str> = error.split_once("Allowed are: ").unwrap().1.split(", ").collect();
        let mut words = words(field);
        allowed.sort_unstable();
        words.sort_unstable();
        assert_eq!(words, allowed, "{}", field.key);
    }
    assert_eq!((words(&MODE).len(), words(&DATABASE_TLS).len()), (Mode::all().count(), TlsMode::ALL.len()));
    assert_eq!(words(&VARIANT).len(), Variant::ALL.len());
}

#[test]
fn what_means_nothing_is_refused() {
    let refused = |text: &str| -> Vec<&str> {
        let answers = Answers::parse(text, "t").unwrap();
        FIELDS.iter().filter(|field| field.is_refused(&answers)).map(|field| field.key).collect()
    };
    let direct = refused("host = \"a.example\"");
    for key in ["tls.key", "database.port", "admin.email", "release.sha256"] {
        assert!(direct.contains(&key), "{key}");
    }
    let other =
        "exposure.mode = \"nginx\"\ndatabase.type = \"postgres\"\nadmin.username = \"a\"\nrelease.version = \"0.19.2\"";
    assert_eq!(refused(other), Vec::<&str>::new());
}

#[test]
fn every_line_fits_the_narrowest_terminal() {
    for field in &FIELDS {
        assert!(field.why.chars().count() <= 78, "{}", field.key);
        // These lines are not wrapped.
        for line in field.explanation.lines().filter(|line| line.starts_with("  ")) {
            assert!(line.chars().count() <= 78, "{}: {line}", field.key);
        }
        assert!(field.prompt.len() <= 32, "{}", field.prompt);
        assert!(!field.explanation.is_empty(), "{}", field.key);
        if let AnswerType::Choice(choices) = field.value {
            assert!(choices.iter().all(|(_, meaning)| meaning.len() <= 60), "{}", field.key);
        }
    }
}

/// The table of a section as it stands in `docs/answers.md`.
fn table(section: Option<&str>) -> String {
    let mut table = "| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    for field in FIELDS.iter().filter(|field| field.section() == section) {
        let kind = match field.value {
            AnswerType::Text(kind) => kind.to_owned(),
            AnswerType::HostName => "host name".to_owned(),
            AnswerType::Choice(words) => {
                words.iter().map(|(word, _)| format!("`\"{word}\"`")).collect::<Vec<_>>().join(", ")
            }
            AnswerType::Boolean => "`true` or `false`".to_owned(),
            AnswerType::Port => "1 to 65535".to_owned(),
            AnswerType::List => "list of texts".to_owned(),
        };
        let default = match (field.default, field.value) {
            (AnswerDefault::Required | AnswerDefault::RequiredInSection(_), _) => "required".to_owned(),
            (AnswerDefault::RequiredInDirectMode, _) => "required in direct mode".to_owned(),
            (AnswerDefault::Words(words), _) => words.to_owned(),
            (_, AnswerType::Boolean) => format!("`{}`", field.default_value() == Some("yes")),
            (_, AnswerType::Port) => format!("`{}`", field.default_value().unwrap()),
            _ => format!("`\"{}\"`", field.default_value().unwrap()),
        };
        let only = match field.applies {
            Condition::BehindProxy => "; only behind a web server",
            Condition::Postgres => "; only with PostgreSQL",
            Condition::ExactVersion => "; only with an exact version",
            Condition::Always | Condition::WithAdmin | Condition::NewestVersion => "",
        };
        table += &format!("| `{}` | {kind} | {default} | {}{only} |\n", field.name(), field.documentation);
    }
    table
}

/// The page with the first table below each heading of a section made anew.
fn page_with_tables(page: &str) -> String {
    SECTIONS.iter().map(|section| Some(*section)).chain([None]).fold(page.to_owned(), |page, section| {
        let heading = section.map_or("## At the top".to_owned(), |section| format!("## `[{section}]`"));
        let (before, rest) = page.split_once(&heading).unwrap_or_else(|| panic!("{heading} is not in the page"));
        let begin = rest.find("\n| key | type |").unwrap_or_else(|| panic!("no table follows {heading}")) + 1;
        let end = begin + rest[begin..].find("\n\n").unwrap() + 1;
        format!("{before}{heading}{}{}{}", &rest[..begin], table(section), &rest[end..])
    })
}

/// `REWRITE=1 cargo test --lib the_page_of_the_answers` writes the tables instead of comparing them.
#[test]
fn the_page_of_the_answers_has_these_tables() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/answers.md");
    let page = std::fs::read_to_string(path).unwrap();
    let right = page_with_tables(&page);
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(path, right).unwrap();
    } else {
        assert_eq!(page, right, "docs/answers.md is not what REWRITE=1 makes of it");
    }
}
