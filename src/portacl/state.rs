//! Everything that decides who may bind what, at one moment.

use super::evaluate::Policy;

/// The settings of a kernel at one moment: now, or after the next boot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// `security.mac.portacl.rules`, byte for byte; empty where the module is not loaded.
    pub list: String,
    /// What the evaluator needs, the list among it as the kernel reads it.
    pub policy: Policy,
}
