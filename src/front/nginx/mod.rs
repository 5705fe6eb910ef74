//! nginx, from FreeBSD's port www/nginx.

mod filters;
mod main_file;
mod sites;
mod syntax;

use std::net::IpAddr;
use std::path::Path;

use serde_json::{Value, json};

use super::config_files::{ConfigError, ConfigFiles};
use super::settings::FrontSettings;
use super::site::{Served, Survey, Wanted};
use super::version::FrontVersion;
use super::web_server::{Facts, RenderedFilters, WebServer};
use super::written::SiteError;
use crate::filter::{Filters, Lists};
use crate::net::PortNumber;
use crate::templates::Template;

/// nginx has `http2 on;` since this version, and `http2` as a word of `listen` before (`ngx_http_v2_module`).
const HTTP2_DIRECTIVE: FrontVersion = FrontVersion::new(1, 25, 1);

pub(super) const FACTS: Facts = Facts {
    key: "nginx",
    name: "nginx",
    full_name: "nginx",
    choice: "nginx in front: filters, and room for other sites",
    service: "nginx",
    command: "nginx",
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
    logs: ["/var/log/nginx/gotosocial-access.log", "/var/log/nginx/gotosocial-error.log"],
    modules: "/usr/local/libexec/nginx",
    // ssl_reject_handshake (ngx_http_ssl_module).
    oldest: FrontVersion::new(1, 19, 4),
    packaged: FrontVersion::new(1, 26, 0),
    careful: true,
    site_template: Template {
        name: "templates/nginx/gotosocial.conf.hbs",
        source: include_str!("../../../templates/nginx/gotosocial.conf.hbs"),
    },
    tls_template: Template {
        name: "templates/nginx/tls.inc.hbs",
        source: include_str!("../../../templates/nginx/tls.inc.hbs"),
    },
    server: &Nginx,
};

#[derive(Debug)]
struct Nginx;

impl WebServer for Nginx {
    fn with_site(&self, main: &Path, text: &[u8], _: &dyn ConfigFiles) -> Result<Vec<u8>, ConfigError> {
        main_file::with_include(main, text)
    }

    fn without_site(&self, main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
        main_file::without_include(main, text)
    }

    fn with_candidate(&self, main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
        main_file::with_candidate(main, text)
    }

    fn served(&self, main: &Path, files: &dyn ConfigFiles, _: bool) -> Result<Served, ConfigError> {
        sites::served(main, files)
    }

    fn survey(&self, main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>) -> Result<Survey, ConfigError> {
        sites::survey(main, files, wanted)
    }

    fn fields(&self, settings: &FrontSettings) -> Result<Value, SiteError> {
        let directive = settings.version >= HTTP2_DIRECTIVE;
        Ok(json!({
            "http_listens": listens(settings, settings.http_port, ""),
            "https_listens": listens(settings, settings.https_port, if directive { " ssl" } else { " ssl http2" }),
            "http2_directive": directive,
        }))
    }

    fn render_filters(&self, filters: &Filters, lists: &Lists, folder: &Path) -> RenderedFilters {
        filters::render(filters, lists, folder)
    }
}

/// The values of `listen` for a port. An address that stands for all of its family is written short, as the package's own
/// server has it.
fn listens(settings: &FrontSettings, port: PortNumber, options: &str) -> Vec<String> {
    let port = port.get();
    let written = |address: &IpAddr| match address {
        IpAddr::V4(address) if address.is_unspecified() => format!("{port}{options}"),
        IpAddr::V4(address) => format!("{address}:{port}{options}"),
        IpAddr::V6(address) => format!("[{address}]:{port}{options}"),
    };
    settings.addresses.iter().map(written).collect()
}
