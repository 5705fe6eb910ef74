//! nginx, from FreeBSD's port www/nginx.

mod filters;
mod main_file;
mod sites;
mod syntax;

use std::net::IpAddr;

use semver::Version;
use serde_json::{Value, json};

use super::settings::FrontSettings;
use super::web_server::Facts;
use crate::net::PortNumber;
use crate::templates::Template;

/// nginx has `http2 on;` since this version, and `http2` as a word of `listen` before (`ngx_http_v2_module`).
const HTTP2_DIRECTIVE: Version = Version::new(1, 25, 1);

pub(super) static FACTS: Facts = Facts {
    key: "nginx",
    name: "nginx",
    full_name: "nginx",
    choice: "nginx in front: filters, and room for other sites",
    service: "nginx",
    command: "nginx",
    account: "www",
    configured_account: sites::account,
    program: "/usr/local/sbin/nginx",
    // -q leaves out what is no error.
    test: &["-t", "-q", "-c"],
    folder: "/usr/local/etc/nginx",
    main: "nginx.conf",
    sample: "-dist",
    site: "gts-bootstrap/gotosocial.conf",
    reads_beside: false,
    beside: None,
    pid_file: "/var/run/nginx.pid",
    reload_signal: "SIGHUP",
    // Without a section http it listens nowhere, and reads that with the next signal.
    standby: |_, _| b"# For the moment of its start, by gts-bootstrap.\nevents {}\n".to_vec(),
    logs: ["/var/log/nginx/gotosocial-access.log", "/var/log/nginx/gotosocial-error.log"],
    modules: "/usr/local/libexec/nginx",
    // ssl_reject_handshake (ngx_http_ssl_module).
    oldest: Version::new(1, 19, 4),
    packaged: Version::new(1, 26, 0),
    careful: true,
    site_template: Template {
        name: "templates/nginx/gotosocial.conf.hbs",
        source: include_str!("../../../templates/nginx/gotosocial.conf.hbs"),
    },
    tls_template: Template {
        name: "templates/nginx/tls.inc.hbs",
        source: include_str!("../../../templates/nginx/tls.inc.hbs"),
    },
    with_site: main_file::with_include,
    without_site: main_file::without_include,
    with_candidate: main_file::with_candidate,
    as_candidate: |text| text,
    served: sites::served,
    survey: sites::survey,
    fields,
    filters: filters::render,
};

fn fields(settings: &FrontSettings, fields: &mut Value) -> Result<(), String> {
    let directive = settings.version >= HTTP2_DIRECTIVE;
    fields["http_listens"] = listens(settings, settings.http_port, "");
    fields["https_listens"] = listens(settings, settings.https_port, if directive { " ssl" } else { " ssl http2" });
    fields["http2_directive"] = json!(directive);
    Ok(())
}

/// The values of `listen` for a port. An address that stands for all of its family is written short, as the package's own
/// server has it.
fn listens(settings: &FrontSettings, port: PortNumber, options: &str) -> Value {
    let port = port.get();
    let written = |address: &IpAddr| match address {
        IpAddr::V4(address) if address.is_unspecified() => format!("{port}{options}"),
        IpAddr::V4(address) => format!("{address}:{port}{options}"),
        IpAddr::V6(address) => format!("[{address}]:{port}{options}"),
    };
    settings.addresses.iter().map(written).collect()
}
