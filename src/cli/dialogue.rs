//! The dialogue: the questions of a guided installation, and the consent to a plan.

pub mod consent;
pub mod console;
pub mod conversation;
pub mod outlook;
