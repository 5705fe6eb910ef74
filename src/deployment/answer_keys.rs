//! Which answers there are, where they stand, and what to say of a key that is none of them.

use super::answer_error::AnswerProblem;
use super::config_keys::{Standing, standing};
use super::nearest::nearest;
use super::passthrough::ConfigError;

/// The answers at the top of the file.
pub(super) const TOP: [&str; 2] = ["host", "account-domain"];

/// The sections with their answers. `[config]` has keys of its own.
pub(super) const SECTIONS: [(&str, &[&str]); 6] = [
    ("exposure", &["mode"]),
    ("tls", &["email", "certificate", "key", "hsts", "acme-directory"]),
    ("database", &["type", "address", "port", "user", "database", "tls-mode"]),
    ("admin", &["username", "email"]),
    ("release", &["version", "sha256", "variant", "prereleases"]),
    ("config", &[]),
];

/// Where an answer is, and a line that would be right.
pub(super) type Question<'q> = (&'q [&'q str], &'q str);

pub(super) const HOST: Question = (&["host"], "host = \"social.example.org\"");
pub(super) const ACCOUNT_DOMAIN: Question = (&["account-domain"], "account-domain = \"example.org\"");
pub(super) const MODE: Question = (&["exposure", "mode"], "mode = \"direct\"");
pub(super) const TLS_EMAIL: Question = (&["tls", "email"], "email = \"admin@example.org\"");
pub(super) const TLS_CERTIFICATE: Question =
    (&["tls", "certificate"], "certificate = \"/usr/local/etc/ssl/social.example.org/fullchain.pem\"");
pub(super) const TLS_KEY: Question = (&["tls", "key"], "key = \"/usr/local/etc/ssl/social.example.org/privkey.pem\"");
pub(super) const TLS_HSTS: Question = (&["tls", "hsts"], "hsts = true");
pub(super) const TLS_DIRECTORY: Question =
    (&["tls", "acme-directory"], "acme-directory = \"https://acme-staging-v02.api.letsencrypt.org/directory\"");
pub(super) const DATABASE_TYPE: Question = (&["database", "type"], "type = \"sqlite\"");
pub(super) const DATABASE_ADDRESS: Question = (&["database", "address"], "address = \"127.0.0.1\"");
pub(super) const DATABASE_PORT: Question = (&["database", "port"], "port = 5432");
pub(super) const DATABASE_USER: Question = (&["database", "user"], "user = \"gotosocial\"");
pub(super) const DATABASE_NAME: Question = (&["database", "database"], "database = \"gotosocial\"");
pub(super) const DATABASE_TLS: Question = (&["database", "tls-mode"], "tls-mode = \"disable\"");
pub(super) const ADMIN_NAME: Question = (&["admin", "username"], "username = \"alice\"");
pub(super) const ADMIN_EMAIL: Question = (&["admin", "email"], "email = \"alice@example.org\"");
pub(super) const VERSION: Question = (&["release", "version"], "version = \"0.19.2\"");
pub(super) const SHA256: Question = (&["release", "sha256"], "sha256 = \"<64 hexadecimal digits>\"");
pub(super) const VARIANT: Question = (&["release", "variant"], "variant = \"default\"");
pub(super) const PRERELEASES: Question = (&["release", "prereleases"], "prereleases = false");

/// What to say of a key that is not known at its place, with the best guess at what was meant.
pub(super) fn unknown(key: &str, known: &[&'static str]) -> AnswerProblem {
    let near = nearest(key, known.iter().copied());
    let home = SECTIONS.iter().find(|(_, keys)| keys.contains(&key)).map(|(section, _)| *section);
    if near.is_none() && TOP.contains(&key) {
        return AnswerProblem::Misplaced {
            belongs: "Move it to the top of the file, before the first [section]".to_owned(),
        };
    }
    match (standing(key), near, home) {
        (Some(Standing::Managed { instead }), ..) => ConfigError::Managed { instead }.into(),
        (Some(Standing::Secret), ..) => ConfigError::secret(key).into(),
        (Some(Standing::Setting(_)), ..) => AnswerProblem::OutsideConfig,
        (_, None, Some(section)) => AnswerProblem::Misplaced { belongs: format!("Move it under [{section}]") },
        (_, near, _) => AnswerProblem::UnknownKey { nearest: near, known: known.join(", ") },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use AnswerProblem as P;

    const RELEASE: &[&str] = SECTIONS[4].1;

    #[test]
    fn the_nearest_key_is_named() {
        assert_eq!(
            unknown("varient", RELEASE).to_string(),
            "there is no such answer. Did you mean variant? Known here are: version, sha256, variant, prereleases"
        );
        assert!(matches!(unknown("colour", RELEASE), P::UnknownKey { nearest: None, .. }));
    }

    #[test]
    fn keys_in_the_wrong_place_are_sent_home() {
        let belongs = |key: &str, known: &[&'static str]| match unknown(key, known) {
            P::Misplaced { belongs } => belongs,
            other => panic!("{other}"),
        };
        let top = "Move it to the top of the file, before the first [section]";
        assert_eq!(belongs("account-domain", RELEASE), top);
        assert_eq!(belongs("sha256", &TOP), "Move it under [release]");
    }

    #[test]
    fn settings_of_the_server_belong_under_config() {
        assert_eq!(unknown("log-level", &TOP), P::OutsideConfig);
        let instead = |key: &str| unknown(key, RELEASE).to_string();
        assert!(instead("smtp-password").contains("as GTS_SMTP_PASSWORD"));
        assert!(instead("letsencrypt-email-address").contains("email under [tls]"));
        assert!(instead("port").contains("mode under [exposure]"));
    }
}
