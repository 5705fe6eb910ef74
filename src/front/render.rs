//! Our own files for a web server, from the templates.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use super::Front;
use super::settings::{Certificate, FrontSettings};
use super::version::FrontVersion;
use crate::net::PortNumber;
use crate::templates::TemplateError;

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
    #[error("{} {version} is too old: {oldest} or later is needed. Upgrade the package and run this again", front.name)]
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
    http_port: u16,
    https_port: u16,
    tls: String,
    global_filters: String,
    site_filters: String,
    /// What one web server alone needs.
    #[serde(flatten)]
    own: Value,
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

/// See [`Front::render`].
pub(super) fn render(front: Front, settings: &FrontSettings) -> Result<Vec<RenderedFile>, RenderError> {
    let fields = fields(front, settings)?;
    let file = |path: PathBuf, text: String| RenderedFile { path, text };
    Ok(vec![
        file(tls_file(settings), front.tls_template.render(&fields)?),
        file(settings.folder.join(front.site), front.site_template.render(&fields)?),
    ])
}

fn tls_file(settings: &FrontSettings) -> PathBuf {
    settings.own_folder().join("tls.inc")
}

fn fields(front: Front, settings: &FrontSettings) -> Result<Fields, RenderError> {
    let (version, oldest) = (settings.version, front.oldest);
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
    Ok(Fields {
        host: settings.host.to_string(),
        origin: origin(settings.host.as_str()),
        sites: sites.map(|name| Site { name: name.to_string(), origin: origin(name.as_str()) }).collect(),
        certificate: pair(&settings.certificate)?,
        account_domain,
        backend: settings.backend.to_string(),
        body_limit: settings.body_limit,
        assets: written(&settings.assets)?,
        media: settings.media.as_deref().map(written).transpose()?,
        acme_webroot: written(&settings.acme_webroot)?,
        hsts: settings.hsts,
        access_log: written(&settings.logs.access)?,
        error_log: written(&settings.logs.error)?,
        http_port: settings.http_port.get(),
        https_port: settings.https_port.get(),
        tls: written(&tls_file(settings))?,
        global_filters: written(&settings.global_filters())?,
        site_filters: written(&settings.site_filters())?,
        own: front.server.fields(settings)?,
    })
}

fn pair(certificate: &Certificate) -> Result<Pair, RenderError> {
    Ok(Pair { chain: written(&certificate.chain)?, key: written(&certificate.key)? })
}

/// A path that means itself between double quotes.
pub(super) fn written(path: &Path) -> Result<String, RenderError> {
    let text = path.to_str().filter(|_| is_plain(path));
    text.map(str::to_owned).ok_or_else(|| RenderError::Path { path: path.to_owned() })
}

/// Whether a path is absolute and means itself between double quotes, in nginx's syntax as in Apache's. Both put values in
/// for `$`, Apache's logs also for `%`.
pub(super) fn is_plain(path: &Path) -> bool {
    let plain = |text: &str| !text.chars().any(|c| c.is_control() || "\"'$\\%*?[".contains(c));
    path.is_absolute() && path.to_str().is_some_and(plain)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::settings::AccountDomain;
    use super::*;

    fn settings(front: Front, version: &str) -> FrontSettings {
        let certificate = Certificate { chain: "/c/chain.pem".into(), key: "/c/key.pem".into() };
        let (host, backend) = ("social.example.org".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        FrontSettings::new(front, version.parse().unwrap(), host, certificate, backend, 42_991_616, "/assets".into())
    }

    fn site(front: Front, settings: &FrontSettings) -> String {
        let [_, site] = <[RenderedFile; 2]>::try_from(front.render(settings).unwrap()).unwrap();
        site.text
    }

    fn count(text: &str, line: &str) -> usize {
        text.lines().filter(|there| there.trim() == line).count()
    }

    #[test]
    fn files_lie_where_freebsd_wants_them() {
        let paths = |front: Front, version| -> Vec<PathBuf> {
            front.render(&settings(front, version)).unwrap().into_iter().map(|file| file.path).collect()
        };
        assert_eq!(
            paths(Front::NGINX, "1.26.2,3"),
            ["/usr/local/etc/nginx/gts-bootstrap/tls.inc", "/usr/local/etc/nginx/gts-bootstrap/gotosocial.conf"]
                .map(PathBuf::from)
        );
        assert_eq!(
            paths(Front::HTTPD, "2.4.62"),
            ["/usr/local/etc/apache24/gts-bootstrap/tls.inc", "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf"]
                .map(PathBuf::from)
        );
    }

    #[test]
    fn a_fresh_freebsd_gets_the_standard_ports() {
        let nginx = site(Front::NGINX, &settings(Front::NGINX, "1.26.2,3"));
        for (line, times) in [
            ("listen 80;", 2),
            ("listen [::]:80;", 2),
            ("listen 443 ssl;", 2),
            ("listen [::]:443 ssl;", 2),
            ("http2 on;", 1),
            ("client_max_body_size 42991616;", 1),
            ("return 301 https://social.example.org$request_uri;", 1),
            ("alias \"/assets/\";", 1),
        ] {
            assert_eq!(count(&nginx, line), times, "{line}\n{nginx}");
        }
        assert_eq!(count(&nginx, "proxy_pass http://127.0.0.1:8080;"), 2);
        let httpd = site(Front::HTTPD, &settings(Front::HTTPD, "2.4.62"));
        assert_eq!((count(&httpd, "Listen 443 https"), httpd.matches("\nListen ").count()), (1, 1));
        assert_eq!((count(&httpd, "<VirtualHost *:80>"), count(&httpd, "<VirtualHost *:443>")), (2, 2));
        assert_eq!(count(&httpd, "LoadModule ssl_module \"/usr/local/libexec/apache24/mod_ssl.so\""), 1);
    }

    #[test]
    fn the_version_decides_how_http2_is_switched_on() {
        for (version, directive) in [("1.22.1", false), ("1.25.0", false), ("1.25.1", true), ("1.28.0_2,3", true)] {
            let text = site(Front::NGINX, &settings(Front::NGINX, version));
            assert_eq!(count(&text, "http2 on;"), usize::from(directive), "{version}");
            assert_eq!(count(&text, "listen 443 ssl http2;"), if directive { 0 } else { 2 }, "{version}");
        }
    }

    #[test]
    fn one_family_alone_can_be_listened_on() {
        for (front, version, there, not_there) in [
            (Front::NGINX, "1.26.2", "listen 80;", "[::]"),
            (Front::HTTPD, "2.4.62", "Listen 0.0.0.0:443 https", "Listen 443"),
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
            let mut settings = settings(Front::NGINX, "1.26.2");
            change(&mut settings);
            let error = Front::NGINX.render(&settings).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
        }
        let error = Front::HTTPD.render(&settings(Front::HTTPD, "2.4.46")).unwrap_err().to_string();
        assert!(error.starts_with("Apache httpd 2.4.46 is too old: 2.4.47 or later"), "{error}");
    }
}
