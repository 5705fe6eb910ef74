//! The table itself, in the order in which the dialogue asks.

use super::{AnswerDefault, AnswerField, AnswerType, Condition};
use crate::deployment::Mode;

/// What most of the answers have in common.
const SETTING: AnswerField = AnswerField {
    key: "",
    value: AnswerType::Text("text"),
    example: "",
    default: AnswerDefault::Required,
    applies: Condition::Always,
    documentation: "",
    first: false,
    prompt: "",
    why: "",
    explanation: "",
    looking: None,
};

const QUESTION: AnswerField = AnswerField { first: true, ..SETTING };
const POSTGRES: AnswerField = AnswerField { applies: Condition::Postgres, ..SETTING };
const BEHIND_PROXY: AnswerField = AnswerField { applies: Condition::BehindProxy, ..SETTING };

/// Gives each answer its name, and all of them in their order.
macro_rules! fields {
    ($($name:ident = $field:expr;)*) => {
        $(pub(in crate::deployment) const $name: AnswerField = $field;)*

        /// Every answer, in the order in which the dialogue asks.
        pub static FIELDS: [AnswerField; [$(stringify!($name)),*].len()] = [$($name),*];
    };
}

fields! {
    HOST = AnswerField {
        key: "host",
        value: AnswerType::HostName,
        example: "\"social.example.org\"",
        documentation: "the public DNS name of the instance: at least two parts, no `https://`, no port, no path, no dot at the end, not an IP address, not `localhost`; upper case becomes lower case, and letters outside ASCII become punycode (`xn--…`)",
        prompt: "Host name",
        why: "The name of this server. Other servers remember it: it can never be changed.",
        explanation: "The name is part of every account (@alice@social.example.org) and of every link that other servers keep. Once they know it, it can never be changed. A name under which other fediverse software has run is lost for GoToSocial, as other servers remember the keys it had.

Its A and AAAA records must resolve to this host, or there is no certificate. A name of its own, like social.example.org, leaves example.org to a web site; accounts can be @alice@example.org all the same: see `account domain` in the further settings.",
        looking: Some("Looking the name up ..."),
        ..QUESTION
    };

    MODE = AnswerField {
        key: "exposure.mode",
        value: AnswerType::Choice(&Mode::CHOICES),
        example: "\"direct\"",
        default: AnswerDefault::Written("direct"),
        documentation: "the program that listens on the internet",
        prompt: "Direct, or behind a web server",
        why: "Which program listens on ports 80 and 443, facing the internet.",
        explanation: "direct: the fewest parts that can break or need updates. Its own certificate.
  But no filters, no other sites on this address, no answer while it starts.
nginx, httpd: filters (addresses, clients, rates), other sites, and an honest
  503 while GoToSocial starts. But one more package to keep up to date.

In direct mode mac_portacl lets GoToSocial, and nobody else, bind the two ports. Behind a web server GoToSocial may bind neither. Take httpd if Apache is what you run already, else nginx. Either can be changed later, within seconds: gts-bootstrap switch-to-proxy, gts-bootstrap switch-to-direct.",
        ..QUESTION
    };

    TLS_EMAIL = AnswerField {
        key: "tls.email",
        value: AnswerType::Text("e-mail address"),
        example: "\"admin@example.org\"",
        default: AnswerDefault::RequiredInDirectMode,
        documentation: "the contact address for Let's Encrypt, which refuses addresses at `example.org` and the other example domains",
        prompt: "Mail address",
        why: "Let's Encrypt has to be given an address, for trouble with the certificate.",
        explanation: "It becomes the contact of the account at Let's Encrypt, and is shown to nobody else. Take one that is read. Addresses at example.org and the like are refused there. It is also the login of the first account, unless you set another one in the further settings.",
        ..QUESTION
    };

    ADMIN_NAME = AnswerField {
        key: "admin.username",
        value: AnswerType::Text("user name"),
        example: "\"alice\"",
        default: AnswerDefault::RequiredInSection("none"),
        documentation: "1 to 64 characters of `a-z`, `0-9` and `_`; public and permanent",
        prompt: "Administrator's user name",
        why: "The first account, with administrator rights. Enter makes none now.",
        explanation: "The name is public (@NAME@host) and can never be changed: lower-case letters, digits and underscores. A random password is shown once at the end; you log in with the mail address. Without an account now, run `gts-bootstrap install --ask` again whenever you like.",
        ..QUESTION
    };

    ACCOUNT_DOMAIN = AnswerField {
        key: "account-domain",
        value: AnswerType::HostName,
        example: "\"example.org\"",
        default: AnswerDefault::Words("the host name"),
        documentation: "the domain after the `@` in account names: the host itself, or a parent of it",
        prompt: "account domain",
        why: "What stands behind the @ in account names. It can never be changed.",
        explanation: "The host name itself, or a parent of it: with example.org the server is social.example.org and its accounts are @alice@example.org. Whatever serves example.org must then redirect three paths under /.well-known to this host, for ever (docs/proxy.md). Once other servers know it, it can never be changed.",
        ..SETTING
    };

    ADMIN_EMAIL = AnswerField {
        key: "admin.email",
        value: AnswerType::Text("e-mail address"),
        example: "\"alice@example.org\"",
        default: AnswerDefault::RequiredInSection("that for Let's Encrypt"),
        applies: Condition::WithAdmin,
        documentation: "its login, and the address for the server's mail",
        prompt: "administrator's mail",
        why: "The first account logs in with this address, and gets GoToSocial's mail.",
        explanation: "If you do not set it, it is the address for Let's Encrypt. It is shown to nobody else.",
        ..SETTING
    };

    VERSION = AnswerField {
        key: "release.version",
        example: "\"0.19.2\"",
        default: AnswerDefault::Value("latest"),
        documentation: "`\"latest\"`, or all three numbers of one version, like `\"0.19.2\"`; a leading `v` is accepted",
        prompt: "release",
        why: "Which version of GoToSocial; `latest`, or one like 0.19.2.",
        explanation: "`latest` is the newest one now. It is written down with its digest, so that later runs stay with it: nothing is ever upgraded by accident.",
        ..SETTING
    };

    SHA256 = AnswerField {
        key: "release.sha256",
        value: AnswerType::Text("64 hexadecimal digits"),
        example: "\"<64 hexadecimal digits>\"",
        default: AnswerDefault::Words("upstream's"),
        applies: Condition::ExactVersion,
        documentation: "the digest that the archive must have",
        prompt: "digest of the release",
        why: "The SHA-256 that the archive must have, if you know it from elsewhere.",
        explanation: "The digests that upstream publishes come from the same server as the archive. A digest that you trust for another reason closes that gap.",
        ..SETTING
    };

    VARIANT = AnswerField {
        key: "release.variant",
        value: AnswerType::Choice(&[
            ("auto", "what the processor can run"),
            ("default", "the ordinary build"),
            ("nowasm", "without WebAssembly"),
        ]),
        example: "\"default\"",
        default: AnswerDefault::Value("auto"),
        documentation: "`nowasm` is for processors without SSE4.1; it needs the ffmpeg package and upstream does not support it. `auto` chooses `nowasm` only where `default` cannot run",
        prompt: "build",
        why: "Which of upstream's builds.",
        explanation: "`auto` is right: the default build, and where the processor cannot run it (amd64 without SSE4.1) the one without WebAssembly, which upstream does not support and which needs the package ffmpeg.",
        ..SETTING
    };

    PRERELEASES = AnswerField {
        key: "release.prereleases",
        value: AnswerType::Boolean,
        example: "false",
        default: AnswerDefault::Value("no"),
        applies: Condition::NewestVersion,
        documentation: "whether `\"latest\"` may be a release candidate; an exact version is taken as it is",
        prompt: "release candidates",
        why: "Whether `latest` may be a release candidate.",
        explanation: "Release candidates are for testers. They may migrate the database, and there is no way back from that but a backup.",
        ..SETTING
    };

    DATABASE_TYPE = AnswerField {
        key: "database.type",
        value: AnswerType::Choice(&[("sqlite", "a file of GoToSocial's own"), ("postgres", "a PostgreSQL server that is there")]),
        example: "\"sqlite\"",
        default: AnswerDefault::Value("sqlite"),
        documentation: "SQLite is a file in the instance's data folder. A PostgreSQL server and its database must exist already",
        prompt: "database",
        why: "Where posts and accounts are kept.",
        explanation: "SQLite is a file, needs nothing, and is right for a small instance. A PostgreSQL server, its role and its database must be there already; the password is given as GTS_DB_PASSWORD in the environment. Choose for good: nothing here brings the data of one into the other.",
        ..SETTING
    };

    DATABASE_ADDRESS = AnswerField {
        key: "database.address",
        example: "\"127.0.0.1\"",
        default: AnswerDefault::Value("127.0.0.1"),
        documentation: "IP address without brackets, host name, or the folder of the socket, like `\"/tmp\"`",
        prompt: "  its address",
        why: "Where the PostgreSQL server listens.",
        explanation: "An IP address, a host name, or the folder of its socket, like /tmp.",
        ..POSTGRES
    };

    DATABASE_PORT = AnswerField {
        key: "database.port",
        value: AnswerType::Port,
        example: "5432",
        default: AnswerDefault::Value("5432"),
        documentation: "its TCP port",
        prompt: "  its port",
        why: "The TCP port of the PostgreSQL server.",
        explanation: "For a socket, the number in its name.",
        ..POSTGRES
    };

    DATABASE_USER = AnswerField {
        key: "database.user",
        example: "\"gotosocial\"",
        default: AnswerDefault::Value("gotosocial"),
        documentation: "the role to log in as",
        prompt: "  its role",
        why: "The role that GoToSocial logs in as.",
        explanation: "It must own the database.",
        ..POSTGRES
    };

    DATABASE_NAME = AnswerField {
        key: "database.database",
        example: "\"gotosocial\"",
        default: AnswerDefault::Value("gotosocial"),
        documentation: "the database in the server",
        prompt: "  its name",
        why: "The database in that server.",
        explanation: "GoToSocial's documentation says how to make it (its encoding and locale).",
        ..POSTGRES
    };

    DATABASE_TLS = AnswerField {
        key: "database.tls-mode",
        value: AnswerType::Choice(&[
            ("disable", "not encrypted: right on one machine"),
            ("enable", "encrypted, any certificate will do"),
            ("require", "encrypted, and the certificate must be right"),
        ]),
        example: "\"disable\"",
        default: AnswerDefault::Value("disable"),
        documentation: "`enable` encrypts but accepts any certificate, `require` also checks it",
        prompt: "  encryption",
        why: "Whether the way to the database is encrypted.",
        explanation: "On one machine it need not be. Over a network take `require`.",
        ..POSTGRES
    };

    BIND_ADDRESS = AnswerField {
        key: "config.bind-address",
        value: AnswerType::Text("IP address"),
        example: "\"192.0.2.1\"",
        default: AnswerDefault::Words("every address, or loopback behind a web server"),
        documentation: "the address on which GoToSocial listens",
        prompt: "bind address",
        why: "The address on which GoToSocial listens.",
        explanation: "Every address in direct mode, 127.0.0.1 behind a web server. Name one address if another program needs ports 80 or 443 on another address of this host.",
        ..SETTING
    };

    REGISTRATION = AnswerField {
        key: "config.accounts-registration-open",
        value: AnswerType::Boolean,
        example: "true",
        default: AnswerDefault::Value("no"),
        documentation: "whether anybody can request an account",
        prompt: "registration",
        why: "Whether strangers can ask for an account.",
        explanation: "Each request waits until an administrator has approved it. An instance with open registration has to be looked after every day.",
        ..SETTING
    };

    LANGUAGES = AnswerField {
        key: "config.instance-languages",
        value: AnswerType::List,
        example: "[\"en\", \"de\"]",
        default: AnswerDefault::Words("none named"),
        documentation: "the languages of the instance, best first, as in BCP 47",
        prompt: "languages",
        why: "The languages of this server, best first, with commas between: en, de",
        explanation: "Codes as in BCP 47. They are shown to those who look for a server, and nothing is refused for its language.",
        ..SETTING
    };

    TLS_CERTIFICATE = AnswerField {
        key: "tls.certificate",
        value: AnswerType::Text("absolute path"),
        example: "\"/usr/local/etc/ssl/social.example.org/fullchain.pem\"",
        default: AnswerDefault::Words("ordered from Let's Encrypt"),
        documentation: "a certificate with its chain (PEM) that you or another client manage; together with `key`",
        prompt: "certificate of your own",
        why: "A certificate with its chain (PEM) that somebody else keeps; an absolute path.",
        explanation: "Without one it is ordered from Let's Encrypt and renewed in time, unless another ACME client on this host keeps one (docs/certificates.md). A certificate needs its key, too.",
        ..BEHIND_PROXY
    };

    TLS_KEY = AnswerField {
        key: "tls.key",
        value: AnswerType::Text("absolute path"),
        example: "\"/usr/local/etc/ssl/social.example.org/privkey.pem\"",
        default: AnswerDefault::Words("none"),
        documentation: "its key (PEM)",
        prompt: "  its key",
        why: "The key of that certificate (PEM); an absolute path.",
        explanation: "The program uses it in place and never copies it.",
        ..BEHIND_PROXY
    };

    TLS_HSTS = AnswerField {
        key: "tls.hsts",
        value: AnswerType::Boolean,
        example: "true",
        default: AnswerDefault::Value("no"),
        documentation: "tells browsers to use only https for two years",
        prompt: "https alone (HSTS)",
        why: "Whether browsers are told to use https alone for two years.",
        explanation: "Browsers remember it, and there is no quick way back: say yes when https has worked for some weeks.",
        ..BEHIND_PROXY
    };

    TLS_DIRECTORY = AnswerField {
        key: "tls.acme-directory",
        value: AnswerType::Text("https URL"),
        example: "\"https://acme-staging-v02.api.letsencrypt.org/directory\"",
        default: AnswerDefault::Words("Let's Encrypt's"),
        documentation: "the authority that issues the certificates",
        prompt: "certificate authority",
        why: "The directory of the ACME authority, an https address.",
        explanation: "For another authority than Let's Encrypt, or for its staging area.",
        ..BEHIND_PROXY
    };
}
