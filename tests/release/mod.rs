//! The release module against archives and servers that do not mean well.

mod archives;
mod catalogues;
mod children;
mod downloads;
mod environment;
mod hostile;
pub mod places;
mod refusals;
pub mod server;
mod stops;
