//! Host names and port numbers, as types that hold nothing else; and what HTTP clients have in common.

pub(crate) mod authorities;
mod host_name;
mod port_number;
pub(crate) mod text_type;
pub(crate) mod web;

pub use host_name::{HostName, HostNameError};
pub use port_number::{PortNumber, PortNumberError};
