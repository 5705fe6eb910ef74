//! Apache httpd 2.4, from FreeBSD's port www/apache24.

mod filters;
mod main_file;
mod sdbm;
mod sites;
mod syntax;

use std::net::IpAddr;

use semver::Version;
use serde_json::{Value, json};

use super::render::written;
use super::settings::FrontSettings;
use super::web_server::Facts;
use crate::net::PortNumber;
use crate::templates::Template;

/// The modules that the configuration needs, in an order in which they can be loaded.
const MODULES: [&str; 9] =
    ["authz_core", "log_config", "alias", "headers", "rewrite", "proxy", "proxy_http", "ssl", "http2"];

/// What people call it.
const NAME: &str = "Apache httpd";

pub(super) static FACTS: Facts = Facts {
    key: "httpd",
    name: NAME,
    full_name: "Apache httpd 2.4",
    choice: "Apache httpd in front, for those who run it already",
    service: "apache24",
    command: "httpd",
    account: "www",
    configured_account: sites::account,
    program: "/usr/local/sbin/httpd",
    // Beside a candidate what is live must not count.
    test: &["-t", "-D", sites::TESTING, "-f"],
    folder: "/usr/local/etc/apache24",
    main: "httpd.conf",
    sample: ".sample",
    site: sites::OWN_FILE,
    reads_beside: true,
    beside: Some("no-accf.conf"),
    pid_file: "/var/run/httpd.pid",
    reload_signal: "SIGUSR1",
    standby: main_file::standby,
    logs: ["/var/log/httpd-gotosocial-access.log", "/var/log/httpd-gotosocial-error.log"],
    modules: "/usr/local/libexec/apache24",
    // The parameter upgrade of ProxyPass (mod_proxy).
    oldest: Version::new(2, 4, 47),
    packaged: Version::new(2, 4, 60),
    careful: false,
    site_template: Template {
        name: "templates/httpd/gotosocial.conf.hbs",
        source: include_str!("../../../templates/httpd/gotosocial.conf.hbs"),
    },
    tls_template: Template {
        name: "templates/httpd/tls.inc.hbs",
        source: include_str!("../../../templates/httpd/tls.inc.hbs"),
    },
    with_site: main_file::with_include,
    without_site: main_file::without_include,
    with_candidate: main_file::with_candidate,
    as_candidate: main_file::unconditional,
    served: sites::served,
    survey: sites::survey,
    fields,
    filters: filters::render,
};

fn fields(settings: &FrontSettings, fields: &mut Value) -> Result<(), String> {
    let module = |name: &str| -> Result<Value, String> {
        Ok(json!({"name": name, "file": written(&settings.modules.join(format!("mod_{name}.so")))?}))
    };
    fields["modules"] = MODULES.into_iter().map(module).collect::<Result<_, _>>()?;
    fields["listens"] = settings.missing_listens.iter().flat_map(|port| listens(settings, *port)).collect();
    Ok(())
}

/// The values of `Listen` for a port. Without an address it takes both families, on every system, however Apache was built
/// (docs: bind.html).
fn listens(settings: &FrontSettings, port: PortNumber) -> Vec<String> {
    let protocol = if port == settings.https_port { "https" } else { "http" };
    let port = port.get();
    let all = |six: bool| settings.addresses.iter().any(|there| there.is_unspecified() && there.is_ipv6() == six);
    if all(false) && all(true) {
        return vec![format!("{port} {protocol}")];
    }
    let written = |address: &IpAddr| match address {
        IpAddr::V4(address) => format!("{address}:{port} {protocol}"),
        IpAddr::V6(address) => format!("[{address}]:{port} {protocol}"),
    };
    settings.addresses.iter().map(written).collect()
}
