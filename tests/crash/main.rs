//! A power cut, a kill or a failure between any two file operations of a run: the next run repairs it, `recover --undo` takes
//! it back, and a failure leaves the host as it was. All places, none left out.
//!
//! The hook is `gts_bootstrap::operation`, which a build without debug assertions does not have.
#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod child;
mod compare;
mod disk;
mod failures;
#[path = "../rehearsal/machine.rs"]
#[allow(dead_code, reason = "shared with the tests in tests/rehearsal/")]
mod machine;
mod plans;
mod recorder;
mod stops;
