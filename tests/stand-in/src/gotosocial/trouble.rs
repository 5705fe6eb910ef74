//! Misbehaviour on request, for tests of what an installer does then. Each is asked for by an environment variable:
//!
//! | variable | value | what happens |
//! |---|---|---|
//! | `STAND_IN_READY_AFTER` | seconds | the start takes that much longer; until then only the maintenance page answers |
//! | `STAND_IN_MIGRATION_TAKES` | seconds | a database that has to be migrated is migrated for so long |
//! | `STAND_IN_DIE_AFTER` | seconds | it panics that long after it has become ready |
//! | `STAND_IN_FAIL_MIGRATION` | `1` | a database that has to be migrated is left half way, exit status 1 |
//! | `STAND_IN_NO_CERTIFICATE` | `unreachable` or `rate-limited` | it cannot get a certificate, and says why as the real one does |
//!
//! Under the rc.d script they are set by the rc.conf(5) variable `gotosocial_env`.

use std::time::Duration;

/// What is to go wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Trouble {
    /// How much longer the start takes.
    pub(super) ready_after: Duration,
    /// How long a migration takes.
    pub(super) migration_takes: Duration,
    /// How long after being ready it dies.
    pub(super) die_after: Option<Duration>,
    /// Whether migrations fail.
    pub(super) fail_migration: bool,
    /// Why there is no certificate.
    pub(super) no_certificate: Option<String>,
}

impl Trouble {
    /// Reads the environment.
    pub(super) fn of(environment: &[(String, String)]) -> Result<Self, String> {
        let mut trouble = Self::default();
        for (name, value) in environment {
            let seconds = || {
                value
                    .parse()
                    .map(Duration::from_secs_f64)
                    .map_err(|_| format!("{name} is '{value}', not a number of seconds"))
            };
            match name.as_str() {
                "STAND_IN_READY_AFTER" => trouble.ready_after = seconds()?,
                "STAND_IN_MIGRATION_TAKES" => trouble.migration_takes = seconds()?,
                "STAND_IN_DIE_AFTER" => trouble.die_after = Some(seconds()?),
                "STAND_IN_FAIL_MIGRATION" => trouble.fail_migration = value == "1",
                "STAND_IN_NO_CERTIFICATE" => trouble.no_certificate = Some(authority_says(value)?),
                _ => {}
            }
        }
        Ok(trouble)
    }
}

fn authority_says(value: &str) -> Result<String, String> {
    match value {
        "unreachable" => Ok("Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: i/o timeout".into()),
        "rate-limited" => Ok("429 urn:ietf:params:acme:error:rateLimited: too many certificates already issued".into()),
        _ => Err(format!("STAND_IN_NO_CERTIFICATE is '{value}', not unreachable or rate-limited")),
    }
}
