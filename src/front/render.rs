//! Our own files for a web server, from the templates.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::Serialize;
use thiserror::Error;

use super::settings::{Certificate, Front, FrontSettings};
use super::version::FrontVersion;
use super::{OWN_FOLDER, httpd_conf};
use crate::deployment::PortNumber;
use crate::templates::{Template, TemplateError};

/// nginx has `http2 on;` since this version, and `http2` as a word of `listen` before (`ngx_http_v2_module`).
const HTTP2_DIRECTIVE: FrontVersion = FrontVersion::new(1, 25, 1);

/// The modules of Apache that the configuration needs, in an order in which they can be loaded.
const HTTPD_MODULES: [&str; 9] =
    ["authz_core", "log_config", "alias", "headers", "rewrite", "proxy", "proxy_http", "ssl", "http2"];

/// A file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedFile {
    /// Where it belongs.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// Why no configuration can be written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RenderError {
    /// A path that cannot be written down safely.
    #[error(
        "the web server's configuration cannot be written: the path {} is not absolute, or has a quote, a dollar sign, a backslash, a percent sign, one of * ? [ or a control character in it, or is not valid UTF-8. Choose a plain path",
        path.display()
    )]
    Path {
        /// The path.
        path: PathBuf,
    },
    /// The web server is too old.
    #[error("{} {version} is too old: {oldest} or later is needed. Upgrade the package and run this again", front.name())]
    TooOld {
        /// Which web server.
        front: Front,
        /// What is installed.
        version: FrontVersion,
        /// What is needed.
        oldest: FrontVersion,
    },
    /// No address to listen on.
    #[error("the web server would listen nowhere: give it at least one address, or the instance cannot be reached")]
    NoAddress,
    /// A limit of nothing.
    #[error(
        "a largest request of 0 bytes would mean no limit to the web server. Give media-local-max-size under [config] a size"
    )]
    NoBodyLimit,
    /// The account domain is the host.
    #[error(
        "{name} is the host and the account domain at once; then there is nothing to redirect. Leave the account domain out"
    )]
    SameDomain {
        /// The name.
        name: String,
    },
    /// The template and its values don't fit each other.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

/// What the templates are filled with.
#[derive(Serialize)]
struct Fields {
    host: String,
    /// What stands behind `https://`.
    origin: String,
    /// Both names, for the redirect to https.
    sites: Vec<Site>,
    certificate: Pair,
    account_domain: Option<AccountSite>,
    backend: String,
    body_limit: u64,
    assets: String,
    media: Option<String>,
    acme_webroot: String,
    hsts: bool,
    access_log: String,
    error_log: String,
    http_listens: Vec<String>,
    https_listens: Vec<String>,
    http_port: u16,
    https_port: u16,
    http2_directive: bool,
    tls: String,
    global_filters: String,
    site_filters: String,
    modules: Vec<Module>,
    listens: Vec<String>,
}

#[derive(Serialize)]
struct Site {
    name: String,
    origin: String,
}

#[derive(Serialize)]
struct Pair {
    chain: String,
    key: String,
}

#[derive(Serialize)]
struct AccountSite {
    name: String,
    certificate: Pair,
    /// The paths that lead others from the account domain to the host.
    paths: [&'static str; 3],
}

#[derive(Serialize)]
struct Module {
    name: &'static str,
    file: String,
}

/// Our files for a web server: the site, which is to be included by the main file, and the TLS settings, which the
/// site includes.
///
/// # Errors
/// [`RenderError`]: settings that no configuration can be made from, or a mistake in this program.
pub fn render(front: Front, settings: &FrontSettings) -> Result<Vec<RenderedFile>, RenderError> {
    let fields = fields(front, settings)?;
    let (site, tls) = match front {
        Front::Nginx => (Template::NginxSite, Template::NginxTls),
        Front::Httpd => (Template::HttpdSite, Template::HttpdTls),
    };
    Ok(vec![
        RenderedFile { path: tls_file(settings), text: tls.render(&fields)? },
        RenderedFile { path: site_file(front, settings), text: site.render(&fields)? },
    ])
}

/// Where the site stands.
fn site_file(front: Front, settings: &FrontSettings) -> PathBuf {
    match front {
        Front::Nginx => settings.own_folder().join("gotosocial.conf"),
        Front::Httpd => settings.folder.join(httpd_conf::OWN_FILE),
    }
}

/// Where the TLS settings stand. The ending keeps them out of what the main file includes.
fn tls_file(settings: &FrontSettings) -> PathBuf {
    settings.folder.join(OWN_FOLDER).join("tls.inc")
}

fn fields(front: Front, settings: &FrontSettings) -> Result<Fields, RenderError> {
    let (version, oldest) = (settings.version, front.oldest());
    if version < oldest {
        return Err(RenderError::TooOld { front, version, oldest });
    }
    if settings.addresses.is_empty() {
        return Err(RenderError::NoAddress);
    }
    if settings.body_limit == 0 {
        return Err(RenderError::NoBodyLimit);
    }
    if let Some(domain) = &settings.account_domain
        && domain.name == settings.host
    {
        return Err(RenderError::SameDomain { name: domain.name.to_string() });
    }
    let origin = |name: &str| match settings.https_port {
        PortNumber::HTTPS => name.to_owned(),
        port => format!("{name}:{}", port.get()),
    };
    let names = [Some(&settings.host), settings.account_domain.as_ref().map(|domain| &domain.name)];
    let sites = names.into_iter().flatten();
    let account_domain = match &settings.account_domain {
        None => None,
        Some(domain) => Some(AccountSite {
            name: domain.name.to_string(),
            certificate: pair(&domain.certificate)?,
            paths: ["webfinger", "host-meta", "nodeinfo"],
        }),
    };
    let module = |name: &'static str| {
        let file = path(&settings.httpd_modules.join(format!("mod_{name}.so")))?;
        Ok::<_, RenderError>(Module { name, file })
    };
    Ok(Fields {
        host: settings.host.to_string(),
        origin: origin(settings.host.as_str()),
        sites: sites.map(|name| Site { name: name.to_string(), origin: origin(name.as_str()) }).collect(),
        certificate: pair(&settings.certificate)?,
        account_domain,
        backend: settings.backend.to_string(),
        body_limit: settings.body_limit,
        assets: path(&settings.assets)?,
        media: settings.media.as_deref().map(path).transpose()?,
        acme_webroot: path(&settings.acme_webroot)?,
        hsts: settings.hsts,
        access_log: path(&settings.logs.access)?,
        error_log: path(&settings.logs.error)?,
        http_listens: nginx_listens(settings, settings.http_port, ""),
        https_listens: nginx_listens(
            settings,
            settings.https_port,
            if version < HTTP2_DIRECTIVE { " ssl http2" } else { " ssl" },
        ),
        http_port: settings.http_port.get(),
        https_port: settings.https_port.get(),
        http2_directive: version >= HTTP2_DIRECTIVE,
        tls: path(&tls_file(settings))?,
        global_filters: path(&settings.global_filters())?,
        site_filters: path(&settings.site_filters())?,
        modules: HTTPD_MODULES.into_iter().map(module).collect::<Result<_, _>>()?,
        listens: settings.httpd_listens.iter().flat_map(|port| httpd_listens(settings, *port)).collect(),
    })
}

/// The values of nginx's `listen` for a port. An address that stands for all of its family is written short, as the
/// package's own server has it.
fn nginx_listens(settings: &FrontSettings, port: PortNumber, options: &str) -> Vec<String> {
    let port = port.get();
    let written = |address: &IpAddr| match address {
        IpAddr::V4(address) if address.is_unspecified() => format!("{port}{options}"),
        IpAddr::V4(address) => format!("{address}:{port}{options}"),
        IpAddr::V6(address) => format!("[{address}]:{port}{options}"),
    };
    settings.addresses.iter().map(written).collect()
}

/// The values of Apache's `Listen` for a port. Without an address it takes both families, on every system, however
/// Apache was built (docs: bind.html).
fn httpd_listens(settings: &FrontSettings, port: PortNumber) -> Vec<String> {
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

fn pair(certificate: &Certificate) -> Result<Pair, RenderError> {
    Ok(Pair { chain: path(&certificate.chain)?, key: path(&certificate.key)? })
}

/// A path that means itself between double quotes, in nginx's syntax as in Apache's. Both put values in for `$`,
/// Apache's logs also for `%`.
fn path(path: &Path) -> Result<String, RenderError> {
    let plain = |text: &&str| !text.chars().any(|c| c.is_control() || "\"'$\\%*?[".contains(c));
    let text = path.to_str().filter(plain).filter(|_| path.is_absolute());
    text.map(str::to_owned).ok_or_else(|| RenderError::Path { path: path.to_owned() })
}
