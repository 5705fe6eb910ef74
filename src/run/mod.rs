//! What each command does with a host: settle, plan, consent, apply, prove.
//!
//! A run knows neither the command line nor a terminal. It talks to [`People`], and leaves a [`Report`].

pub mod backup;
pub mod deployed;
pub mod filter;
pub mod inputs;
pub mod install;
mod lock;
pub mod people;
pub mod port_rules;
pub mod port_words;
pub mod recover;
mod release_change;
pub mod renew;
pub mod report;
pub mod restore;
pub mod rollback;
pub mod signals;
pub mod stop;
mod transaction;
mod trial;
pub mod uninstall;
pub mod upgrade;
mod watch;

pub use people::{Manner, People, Proposal, TrialView};
pub use report::Report;
pub use stop::{Exit, Stop};
pub use transaction::{Agreement, Releases, Run, TypedPath, With};
