//! The tests of the stand-in: alone, and behind the web servers. They are one program, so that everything is linked once.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod behaviour;
mod behind_a_front;
mod instance;
