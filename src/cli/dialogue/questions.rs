//! The questions as data: what is asked, why, what it means, and what is taken where nothing is typed.

use crate::deployment::Answers;

/// One question.
#[derive(Debug)]
pub struct Question {
    /// The answer that it fills, as `--set` names it.
    pub key: &'static str,
    /// What stands before the cursor, or in the list of further settings.
    pub prompt: &'static str,
    /// Why it is asked, in one line of 78 columns.
    pub why: &'static str,
    /// What `?` says.
    pub explanation: &'static str,
    /// What can be answered.
    pub kind: Kind,
    /// What is taken where nothing is typed and nothing was answered before.
    pub otherwise: Otherwise,
    /// Whether it has a meaning with these answers.
    pub applies: fn(&Answers) -> bool,
    /// What is said while the answer is looked at on the host, where that can take a while.
    pub looking: Option<&'static str>,
}

/// What can be answered to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text; the answers know what a right one is.
    Text,
    /// A host name, which may be typed with letters outside ASCII.
    Name,
    /// One of these words, each with what it stands for.
    Choice(&'static [(&'static str, &'static str)]),
    /// Yes or no.
    Boolean,
    /// A whole number.
    Number,
    /// Texts with commas between.
    List,
}

/// What is taken where nothing is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// There is nothing to take: it has to be answered.
    Nothing,
    /// It is left out, which means this.
    LeftOut(&'static str),
    /// This, which is written into the answers.
    Taken(&'static str),
}

impl Question {
    /// Whether the answer may be left out.
    #[must_use]
    pub fn optional(&self, answers: &Answers) -> bool {
        match self.otherwise {
            Otherwise::Nothing => false,
            // The reader of the answers requires it there.
            Otherwise::LeftOut(_) if self.key == "tls.email" => behind_proxy(answers),
            Otherwise::LeftOut(_) | Otherwise::Taken(_) => true,
        }
    }
}

fn always(_: &Answers) -> bool {
    true
}

fn behind_proxy(answers: &Answers) -> bool {
    answers.get("exposure.mode").is_some_and(|mode| mode != "direct")
}

fn postgres(answers: &Answers) -> bool {
    answers.get("database.type").as_deref() == Some("postgres")
}

fn exact_version(answers: &Answers) -> bool {
    answers.get("release.version").is_some_and(|version| version != "latest")
}

fn newest_version(answers: &Answers) -> bool {
    !exact_version(answers)
}

fn with_admin(answers: &Answers) -> bool {
    answers.get("admin.username").is_some()
}

/// What everybody is asked, in this order.
pub static FIRST: [Question; 4] = [
    Question {
        key: "host",
        prompt: "Host name",
        why: "The name of this server. Other servers remember it: it can never be changed.",
        explanation: "\
The name is part of every account (@alice@social.example.org) and of every
link that other servers keep. Once they know it, it can never be changed.
A name under which other fediverse software has run is lost for GoToSocial,
as other servers remember the keys it had.

Its A and AAAA records must lead to this host, or there is no certificate.
A name of its own, like social.example.org, leaves example.org to a web site;
accounts can be @alice@example.org all the same: see `account domain` in the
further settings.",
        kind: Kind::Name,
        otherwise: Otherwise::Nothing,
        applies: always,
        looking: Some("Looking the name up ..."),
    },
    Question {
        key: "exposure.mode",
        prompt: "Direct, or behind a web server",
        why: "Who is to take connections from the internet, on ports 80 and 443.",
        explanation: "\
direct: the fewest parts that can break or need updates. Its own certificate.
  But no filters, no other sites on this address, no answer while it starts.
nginx, httpd: filters (addresses, clients, rates), other sites, and an honest
  503 while GoToSocial starts. But one more package to keep up to date.

In direct mode mac_portacl lets GoToSocial, and nobody else, bind the two
ports. Behind a web server GoToSocial may bind neither. Take httpd if Apache
is what you run already, else nginx. Either can be changed later, within
seconds: gts-bootstrap switch-to-proxy, gts-bootstrap switch-to-direct.",
        kind: Kind::Choice(&[
            ("direct", "GoToSocial itself, with its own certificate"),
            ("nginx", "nginx in front: filters, and room for other sites"),
            ("httpd", "Apache httpd in front, for those who run it already"),
        ]),
        otherwise: Otherwise::Taken("direct"),
        applies: always,
        looking: None,
    },
    Question {
        key: "tls.email",
        prompt: "Mail address",
        why: "Let's Encrypt has to be given an address, for trouble with the certificate.",
        explanation: "\
It becomes the contact of the account at Let's Encrypt, and is shown to
nobody else. Take one that is read. Addresses at example.org and the like are
refused there. It is also the login of the first account, unless you set
another one in the further settings.",
        kind: Kind::Text,
        otherwise: Otherwise::LeftOut("none"),
        applies: always,
        looking: None,
    },
    Question {
        key: "admin.username",
        prompt: "Administrator's user name",
        why: "The first account, with administrator rights. Enter makes none now.",
        explanation: "\
The name is public (@NAME@host) and can never be changed: lower-case letters,
digits and underscores. A random password is shown once at the end; you log
in with the mail address. Without an account now, run `gts-bootstrap install
--ask` again whenever you like.",
        kind: Kind::Text,
        otherwise: Otherwise::LeftOut("none"),
        applies: always,
        looking: None,
    },
];

/// The mail address of the first account; where nothing is said it is that for Let's Encrypt.
const ADMIN_EMAIL: Question = Question {
    key: "admin.email",
    prompt: "administrator's mail",
    why: "The first account logs in with this address, and gets GoToSocial's mail.",
    explanation: "\
Where you do not set it, it is the address for Let's Encrypt. Nobody else is
shown it.",
    kind: Kind::Text,
    otherwise: Otherwise::LeftOut("that for Let's Encrypt"),
    applies: with_admin,
    looking: None,
};

/// A further setting; these are asked only of those who want to.
const fn further(
    key: &'static str,
    prompt: &'static str,
    why: &'static str,
    explanation: &'static str,
    kind: Kind,
    default: &'static str,
    applies: fn(&Answers) -> bool,
) -> Question {
    Question { key, prompt, why, explanation, kind, otherwise: Otherwise::LeftOut(default), applies, looking: None }
}

/// What has a good default.
pub static FURTHER: [Question; 19] = [
    further(
        "account-domain",
        "account domain",
        "What stands behind the @ in account names. It can never be changed.",
        "\
The host name itself, or a parent of it: with example.org the server is
social.example.org and its accounts are @alice@example.org. Whatever serves
example.org must then redirect three paths under /.well-known to this host,
for ever (docs/proxy.md). Once other servers know it, it can never be changed.",
        Kind::Name,
        "the host name",
        always,
    ),
    ADMIN_EMAIL,
    further(
        "release.version",
        "release",
        "Which version of GoToSocial; `latest`, or one like 0.19.2.",
        "\
`latest` is the newest one now. It is written down with its digest, so that
later runs stay with it: nothing is ever upgraded by accident.",
        Kind::Text,
        "latest",
        always,
    ),
    further(
        "release.sha256",
        "digest of the release",
        "The SHA-256 that the archive must have, if you know it from elsewhere.",
        "\
The digests that upstream publishes come from the same server as the archive.
A digest that you trust for another reason closes that gap.",
        Kind::Text,
        "upstream's",
        exact_version,
    ),
    further(
        "release.variant",
        "build",
        "Which of upstream's builds.",
        "\
`auto` is right: the default build, and where the processor cannot run it
(amd64 without SSE4.1) the one without WebAssembly, which upstream does not
support and which needs the package ffmpeg.",
        Kind::Choice(&[
            ("auto", "what the processor can run"),
            ("default", "the ordinary build"),
            ("nowasm", "without WebAssembly"),
        ]),
        "auto",
        always,
    ),
    further(
        "release.prereleases",
        "release candidates",
        "Whether `latest` may be a release candidate.",
        "\
Release candidates are for testers. They may migrate the database, and there
is no way back from that but a backup.",
        Kind::Boolean,
        "no",
        newest_version,
    ),
    further(
        "database.type",
        "database",
        "Where posts and accounts are kept.",
        "\
SQLite is a file, needs nothing, and is right for a small instance. A
PostgreSQL server, its role and its database must be there already; the
password is given as GTS_DB_PASSWORD in the environment. Choose for good:
nothing here brings the data of one into the other.",
        Kind::Choice(&[("sqlite", "a file of GoToSocial's own"), ("postgres", "a PostgreSQL server that is there")]),
        "sqlite",
        always,
    ),
    further(
        "database.address",
        "  its address",
        "Where the PostgreSQL server listens.",
        "An IP address, a host name, or the folder of its socket, like /tmp.",
        Kind::Text,
        "127.0.0.1",
        postgres,
    ),
    further(
        "database.port",
        "  its port",
        "The TCP port of the PostgreSQL server.",
        "For a socket, the number in its name.",
        Kind::Number,
        "5432",
        postgres,
    ),
    further(
        "database.user",
        "  its role",
        "The role that GoToSocial logs in as.",
        "It must own the database.",
        Kind::Text,
        "gotosocial",
        postgres,
    ),
    further(
        "database.database",
        "  its name",
        "The database in that server.",
        "GoToSocial's documentation says how to make it (its encoding and locale).",
        Kind::Text,
        "gotosocial",
        postgres,
    ),
    further(
        "database.tls-mode",
        "  encryption",
        "Whether the way to the database is encrypted.",
        "On one machine it need not be. Over a network take `require`.",
        Kind::Choice(&[
            ("disable", "not encrypted: right on one machine"),
            ("enable", "encrypted, any certificate will do"),
            ("require", "encrypted, and the certificate must be right"),
        ]),
        "disable",
        postgres,
    ),
    further(
        "config.bind-address",
        "bind address",
        "The address on which GoToSocial listens.",
        "\
Every address in direct mode, 127.0.0.1 behind a web server. Name one address
if another program needs ports 80 or 443 on another address of this host.",
        Kind::Text,
        "every address, or loopback behind a web server",
        always,
    ),
    further(
        "config.accounts-registration-open",
        "registration",
        "Whether strangers can ask for an account.",
        "\
Each request waits until an administrator has approved it. An instance with
open registration has to be looked after every day.",
        Kind::Boolean,
        "no",
        always,
    ),
    further(
        "config.instance-languages",
        "languages",
        "The languages of this server, best first, with commas between: en, de",
        "\
Codes as in BCP 47. They are shown to those who look for a server, and
nothing is refused for its language.",
        Kind::List,
        "none named",
        always,
    ),
    further(
        "tls.certificate",
        "certificate of your own",
        "A certificate with its chain (PEM) that somebody else keeps; an absolute path.",
        "\
Without one it is ordered from Let's Encrypt and renewed in time, unless
another ACME client on this host keeps one (docs/certificates.md). A
certificate needs its key, too.",
        Kind::Text,
        "ordered from Let's Encrypt",
        behind_proxy,
    ),
    further(
        "tls.key",
        "  its key",
        "The key of that certificate (PEM); an absolute path.",
        "It stays where it is and is never copied.",
        Kind::Text,
        "none",
        behind_proxy,
    ),
    further(
        "tls.hsts",
        "https alone (HSTS)",
        "Whether browsers are told to use https alone for two years.",
        "\
Browsers remember it, and there is no quick way back: say yes when https has
worked for some weeks.",
        Kind::Boolean,
        "no",
        behind_proxy,
    ),
    further(
        "tls.acme-directory",
        "certificate authority",
        "The directory of the ACME authority, an https address.",
        "For another authority than Let's Encrypt, or for its staging area.",
        Kind::Text,
        "Let's Encrypt's",
        behind_proxy,
    ),
];

/// The answers that mean nothing with these others, and would be refused beside them.
#[must_use]
pub fn without_meaning(answers: &Answers) -> Vec<&'static str> {
    const KEPT: [&str; 2] = ["tls.email", "config.bind-address"];
    let mut keys: Vec<&'static str> = FURTHER
        .iter()
        .filter(|question| !(question.applies)(answers) && !KEPT.contains(&question.key))
        .map(|question| question.key)
        .collect();
    // A wish for release candidates beside an exact version is harmless, and may be somebody's on purpose.
    keys.retain(|key| *key != "release.prereleases");
    keys
}

/// The question that fills this answer.
#[must_use]
pub fn of(key: &str) -> Option<&'static Question> {
    FIRST.iter().chain(&FURTHER).find(|question| question.key == key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn every_line_fits_the_narrowest_terminal() {
        for question in FIRST.iter().chain(&FURTHER) {
            let lines = question.explanation.lines().chain([question.why]);
            for line in lines {
                assert!(line.chars().count() <= 78, "{}: {line}", question.key);
            }
            assert!(question.prompt.len() <= 32, "{}", question.prompt);
            assert!(!question.explanation.is_empty(), "{}", question.key);
            if let Kind::Choice(choices) = question.kind {
                assert!(choices.iter().all(|(_, meaning)| meaning.len() <= 60), "{}", question.key);
            }
        }
    }

    #[test]
    fn a_key_is_asked_once() {
        let mut keys: Vec<&str> = FIRST.iter().chain(&FURTHER).map(|question| question.key).collect();
        let all = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), all);
        assert!(keys.iter().all(|key| of(key).is_some_and(|question| question.key == *key)));
        assert!(of("host.name").is_none());
    }

    #[test]
    fn what_means_nothing_is_known() {
        let answers = |text: &str| Answers::parse(text, "t").unwrap();
        let direct = without_meaning(&answers("host = \"a.example\""));
        assert!(direct.contains(&"tls.key") && direct.contains(&"database.port") && direct.contains(&"admin.email"));
        let other = without_meaning(&answers(
            "exposure.mode = \"nginx\"\ndatabase.type = \"postgres\"\nadmin.username = \"a\"\nrelease.version = \"0.19.2\"",
        ));
        assert_eq!(other, Vec::<&str>::new());
    }
}
