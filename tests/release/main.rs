//! The release module against archives and servers that do not mean well.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod archives;
mod catalogues;
mod downloads;
mod environment;
mod places;
mod refusals;
mod server;
mod stops;
