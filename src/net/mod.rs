//! Names and ports of machines on the internet, as types that hold nothing else.

mod host_name;
mod port_number;
pub(crate) mod text_type;

pub use host_name::{HostName, HostNameError};
pub use port_number::{PortNumber, PortNumberError};
