//! A GoToSocial that misbehaves: the stand-in by its environment, the model of a rehearsal by its faults.

use gts_bootstrap::host::rehearsal::{Authority, Faults};

use super::bench::Bench;

/// The rc.conf(5) variable that the stand-in's environment comes from.
const ENVIRONMENT: &str = "gotosocial_env";

/// What is to go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Nothing any more.
    Over,
    /// The start takes long: 15 seconds on a real machine, 800 of a model's.
    SlowStart,
    /// It starts, binds its ports and dies.
    Dies,
    /// Let's Encrypt cannot be reached.
    Unreachable,
    /// Let's Encrypt will not issue one for now.
    RateLimited,
}

/// Has every GoToSocial that is started from now on misbehave.
pub fn trouble(bench: &Bench, what: Trouble) -> Result<(), String> {
    if let Some(rehearsal) = bench.rehearsal()? {
        let edited = rehearsal.edit(|model| {
            model.faults = Faults {
                dies_after_start: what == Trouble::Dies,
                polls_until_ready: if what == Trouble::SlowStart { 400 } else { 0 },
                ..Faults::default()
            };
            model.authority = match what {
                Trouble::Unreachable => Authority::Unreachable,
                Trouble::RateLimited => Authority::RateLimited,
                _ => bench.authority,
            };
        });
        return edited.map_err(|error| error.to_string());
    }
    let environment = match what {
        Trouble::Over => None,
        Trouble::SlowStart => Some("STAND_IN_READY_AFTER=15"),
        Trouble::Dies => Some("STAND_IN_DIE_AFTER=0"),
        Trouble::Unreachable => Some("STAND_IN_NO_CERTIFICATE=unreachable"),
        Trouble::RateLimited => Some("STAND_IN_NO_CERTIFICATE=rate-limited"),
    };
    bench.host()?.set_rc_variable(ENVIRONMENT, environment).map_err(|error| error.to_string())
}
