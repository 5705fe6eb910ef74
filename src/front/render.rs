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

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::settings::AccountDomain;
    use super::*;
    use crate::deployment::{Answers, Layout, Secrets};

    fn settings(front: Front, version: &str) -> FrontSettings {
        let answers = "host = \"social.example.org\"\nexposure.mode = \"direct\"\ntls.email = \"a@b.example\"\n";
        let deployment = Answers::parse(answers, "t").unwrap().deployment(&Secrets::default()).unwrap();
        let certificate = Certificate { chain: "/c/chain.pem".into(), key: "/c/key.pem".into() };
        FrontSettings::new(front, &deployment, &Layout::default(), certificate, version.parse().unwrap())
    }

    fn site(front: Front, settings: &FrontSettings) -> String {
        let [_, site] = <[RenderedFile; 2]>::try_from(render(front, settings).unwrap()).unwrap();
        site.text
    }

    fn count(text: &str, line: &str) -> usize {
        text.lines().filter(|there| there.trim() == line).count()
    }

    #[test]
    fn files_lie_where_freebsd_wants_them() {
        let paths = |front, version| -> Vec<PathBuf> {
            render(front, &settings(front, version)).unwrap().into_iter().map(|file| file.path).collect()
        };
        assert_eq!(
            paths(Front::Nginx, "1.26.2,3"),
            ["/usr/local/etc/nginx/gts-bootstrap/tls.inc", "/usr/local/etc/nginx/gts-bootstrap/gotosocial.conf"]
                .map(PathBuf::from)
        );
        assert_eq!(
            paths(Front::Httpd, "2.4.62"),
            ["/usr/local/etc/apache24/gts-bootstrap/tls.inc", "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf"]
                .map(PathBuf::from)
        );
    }

    #[test]
    fn a_fresh_freebsd_gets_the_standard_ports() {
        let nginx = site(Front::Nginx, &settings(Front::Nginx, "1.26.2,3"));
        for (line, times) in [
            ("listen 80;", 2),
            ("listen [::]:80;", 2),
            ("listen 443 ssl;", 2),
            ("listen [::]:443 ssl;", 2),
            ("http2 on;", 1),
            ("client_max_body_size 42991616;", 1),
            ("return 301 https://social.example.org$request_uri;", 1),
            ("alias \"/usr/local/libexec/gotosocial/current/web/assets/\";", 1),
        ] {
            assert_eq!(count(&nginx, line), times, "{line}\n{nginx}");
        }
        // The answers ask for direct mode, as before a switch; GoToSocial will be at 8080 all the same.
        assert_eq!(count(&nginx, "proxy_pass http://127.0.0.1:8080;"), 2);
        let httpd = site(Front::Httpd, &settings(Front::Httpd, "2.4.62"));
        assert_eq!((count(&httpd, "Listen 443 https"), httpd.matches("\nListen ").count()), (1, 1));
        assert_eq!((count(&httpd, "<VirtualHost *:80>"), count(&httpd, "<VirtualHost *:443>")), (2, 2));
        assert_eq!(count(&httpd, "LoadModule ssl_module \"/usr/local/libexec/apache24/mod_ssl.so\""), 1);
    }

    #[test]
    fn the_version_decides_how_http2_is_switched_on() {
        for (version, directive) in [("1.22.1", false), ("1.25.0", false), ("1.25.1", true), ("1.28.0_2,3", true)] {
            let text = site(Front::Nginx, &settings(Front::Nginx, version));
            assert_eq!(count(&text, "http2 on;"), usize::from(directive), "{version}");
            assert_eq!(count(&text, "listen 443 ssl http2;"), if directive { 0 } else { 2 }, "{version}");
        }
    }

    #[test]
    fn one_family_alone_can_be_listened_on() {
        for (front, version, there, not_there) in [
            (Front::Nginx, "1.26.2", "listen 80;", "[::]"),
            (Front::Httpd, "2.4.62", "Listen 0.0.0.0:443 https", "Listen 443"),
        ] {
            let mut settings = settings(front, version);
            settings.addresses = vec![Ipv4Addr::UNSPECIFIED.into()];
            let text = site(front, &settings);
            assert!(count(&text, there) > 0 && !text.contains(not_there), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        type Change = fn(&mut FrontSettings);
        let changes: [(Change, &str); 9] = [
            (|s| s.version = FrontVersion::new(1, 18, 0), "nginx 1.18.0 is too old: 1.19.4 or later"),
            (|s| s.addresses.clear(), "would listen nowhere"),
            (|s| s.body_limit = 0, "would mean no limit"),
            (|s| s.assets = "/a$b".into(), "the path /a$b is not absolute"),
            (|s| s.certificate.key = "key.pem".into(), "the path key.pem is not absolute"),
            (|s| s.acme_webroot = "/a\"; return 200; #".into(), "the path /a\"; return 200; #"),
            (|s| s.logs.access = "/a\nb".into(), "the path /a\nb"),
            (|s| s.media = Some("/a%b".into()), "the path /a%b"),
            (
                |s| s.account_domain = Some(AccountDomain { name: s.host.clone(), certificate: s.certificate.clone() }),
                "social.example.org is the host and the account domain at once",
            ),
        ];
        for (change, told) in changes {
            let mut settings = settings(Front::Nginx, "1.26.2");
            change(&mut settings);
            let error = render(Front::Nginx, &settings).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = render(Front::Httpd, &settings(Front::Httpd, "2.4.46")).unwrap_err().to_string();
        assert!(error.starts_with("Apache httpd 2.4.46 is too old: 2.4.47 or later"), "{error}");
    }
}
