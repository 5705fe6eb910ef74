//! The stand-in behaves as GoToSocial does, as far as it was seen: started, asked and stopped on loopback ports.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod commands;
mod instance;
mod refusals;
mod serving;
