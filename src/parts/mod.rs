//! What each part of the host should look like. Everything here is pure: text and observations in, text and changes
//! out.

pub mod loader_conf;
pub mod sysctl_conf;
