//! The tests of the whole program. They are one program, so that the crate is linked once; a folder or file is an area:
//! `cargo test --test integration rehearsal::switch`.
//!
//! Stories that a real machine can tell too are in `tests/scenarios/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod acme;
mod children;
mod compare;
mod completions;
// The hook that it needs, `gts_bootstrap::operation`, is not in a build without debug assertions.
#[cfg(debug_assertions)]
mod crash;
mod documents;
mod filters;
mod floors;
mod fronts;
mod hooks;
mod image;
mod machine;
mod man;
mod port;
mod postgres;
mod rehearsal;
mod release;
mod settled;
mod threats;
