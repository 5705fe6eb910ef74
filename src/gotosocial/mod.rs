//! GoToSocial: everything that is known about the server, with the versions that it holds for.
//!
//! What this program gives the server and reads from it is here: the keys of its configuration, its commands, its pages and
//! the marks in its log. So is the imitation that the rehearsal and the tests' stand-in share (`loading`, `command_line`,
//! `accounts`, `oauth_server`). Nothing here runs anything. A new version of the server changes this room alone.

pub mod accounts;
pub mod command_line;
pub mod commands;
pub mod config_keys;
mod database;
pub mod debug_config;
pub mod loading;
pub mod oauth_server;
pub mod password_change;
pub mod readiness;
mod series;
pub mod value;
mod yaml;

pub use database::{DatabaseKind, DatabaseState};
pub use series::Series;
pub use value::ConfigValue;

/// The name of its rc.d script, its program, and its account.
pub const SERVICE: &str = "gotosocial";

/// The user that it runs as, and that user's group.
pub const USER: &str = "gotosocial";
