//! nginx and Apache httpd with the rendered configuration, and the stand-in for GoToSocial behind them.
//!
//! Both web servers come from the system's packages; without them these tests fail and name the package. What a client
//! sees of the configuration alone is in `tests/fronts/` of the main package, the filters alone in `tests/filters/`.

#[macro_use]
#[path = "../../../fronts/with_both.rs"]
mod with_both;

#[allow(dead_code, reason = "written for tests/fronts/, which needs more of it")]
#[path = "../../../fronts/client.rs"]
mod client;
#[allow(dead_code, reason = "written for tests/fronts/, which needs more of it")]
#[path = "../../../fronts/server.rs"]
mod server;

mod filters;
mod handover;
mod serving;

use std::net::{Ipv4Addr, SocketAddr};

use crate::instance::Instance;

/// GoToSocial answers nobody without it.
const AGENT: &str = "User-Agent: tests";

/// Where the web server finds an instance.
fn backend(instance: &Instance) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, instance.port).into()
}
