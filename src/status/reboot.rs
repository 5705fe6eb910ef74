//! Settings that the files of the boot will change.

use serde::Serialize;

use crate::host::{HostError, Observe};
use crate::parts::port_settings::{ENABLED, MODULE, PORT_HIGH, RESERVED_HIGH, RULES};
use crate::parts::portacl_boot;
use crate::portacl::{self, State, Variable};

/// A setting that the next boot changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Its name: a sysctl, or the kernel module.
    pub name: String,
    /// Its current value.
    pub now: String,
    /// Its value after the boot.
    pub next: String,
}

/// Compares what is in force with what the next boot will set.
///
/// # Errors
/// The host could not be read.
pub fn look(host: &dyn Observe) -> Result<Vec<Pending>, HostError> {
    let now = portacl_boot::now(host)?;
    let next = portacl::next_boot(&portacl_boot::settings(host)?).state;
    Ok(differences(&now, &next))
}

fn differences(now: &State, next: &State) -> Vec<Pending> {
    let all = |State { policy, list, .. }: &State| {
        [
            (MODULE, if policy.loaded { "loaded" } else { "not loaded" }.to_owned()),
            (RULES, list.clone()),
            (ENABLED, policy.enabled.to_string()),
            (Variable::SuserExempt.name(), policy.suser_exempt.to_string()),
            (Variable::AutoportExempt.name(), policy.autoport_exempt.to_string()),
            (PORT_HIGH, policy.port_high.to_string()),
            (Variable::ReservedLow.name(), policy.reservedlow.to_string()),
            (RESERVED_HIGH, policy.reservedhigh.to_string()),
        ]
    };
    let pairs = all(now).into_iter().zip(all(next)).filter(|(now, next)| now != next);
    pairs.map(|((name, now), (_, next))| Pending { name: name.to_owned(), now, next }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_pending() {
        let now = State::default();
        let mut next = now.clone();
        assert_eq!(differences(&now, &next), []);
        next.policy.loaded = true;
        next.policy.reservedhigh = 79;
        let names: Vec<String> = differences(&now, &next).into_iter().map(|pending| pending.name).collect();
        assert_eq!(names, [MODULE, RESERVED_HIGH]);
    }
}
