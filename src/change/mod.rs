//! Changes: pure data that say what is to be done to a host, the plan that lists them, and the one executor.
//!
//! A part of the program that wants something done returns [`Change`]s; it never does it. Each change can be printed,
//! written to the journal, applied, and undone from the [`Prior`] state that the executor recorded before it acted. What a
//! change can do is the trait [`Kind`]; `kinds/` has a file for each kind.

pub mod after_plan;
mod any;
mod content;
pub mod database;
pub mod executor;
mod failure;
pub mod front;
pub mod journal;
mod kind;
mod kinds;
pub mod listening;
mod operator;
pub mod plan;
pub mod postgres;
pub mod prior;
pub mod readiness;
pub mod settle;
pub mod store;
mod thing;
mod undo_order;

pub use after_plan::AfterPlan;
pub use any::Change;
pub use content::{Content, digest};
pub use database::{Database, DatabaseCopy, DatabaseRestore};
pub use executor::{Aftermath, ApplyError, Executor, Trial};
pub use failure::Failure;
pub use kind::Kind;
pub use kinds::*;
pub use operator::{Interruption, Operator};
pub use plan::{Action, OnFailure, Plan, Step};
pub use postgres::DatabaseTest;
pub use prior::Prior;
pub use readiness::Readiness;
pub use thing::{Left, Thing};
