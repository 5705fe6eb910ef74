//! Our own files for a web server, from the templates.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Value, json};

use super::settings::{Certificate, FrontSettings};
use super::web_server::Facts;
use super::written::{SiteError, written};
use crate::net::{HostName, PortNumber};

/// A file of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteFile {
    /// Where it belongs.
    pub path: PathBuf,
    /// What stands in it.
    pub text: String,
}

/// What the templates are filled with.
#[derive(Serialize)]
struct Fields {
    #[serde(flatten)]
    common: Value,
    #[serde(flatten)]
    own: Value,
}

/// See `Front::render`.
pub(super) fn render(front: &Facts, settings: &FrontSettings) -> Result<Vec<SiteFile>, SiteError> {
    check(front, settings)?;
    let tls = settings.own_folder().join("tls.inc");
    let fields = Fields { common: common(settings, &written(&tls)?)?, own: front.server.fields(settings)? };
    let site = settings.folder.join(front.site);
    Ok(vec![
        SiteFile { path: tls, text: front.tls_template.render(&fields)? },
        SiteFile { path: site, text: front.site_template.render(&fields)? },
    ])
}

fn check(front: &Facts, settings: &FrontSettings) -> Result<(), SiteError> {
    let (version, oldest) = (settings.version, front.oldest);
    let domain = settings.account_domain.as_ref().map(|domain| &domain.name);
    match () {
        () if version < oldest => Err(SiteError::TooOld { name: front.name, version, oldest }),
        () if settings.addresses.is_empty() => Err(SiteError::NoAddress),
        () if settings.body_limit == 0 => Err(SiteError::NoBodyLimit),
        () if domain == Some(&settings.host) => Err(SiteError::SameDomain { name: settings.host.to_string() }),
        () => Ok(()),
    }
}

/// The fields that every web server needs.
fn common(settings: &FrontSettings, tls: &str) -> Result<Value, SiteError> {
    let origin = |name: &HostName| match settings.https_port {
        PortNumber::HTTPS => name.to_string(),
        port => format!("{name}:{}", port.get()),
    };
    let pair =
        |pair: &Certificate| Ok::<_, SiteError>(json!({"chain": written(&pair.chain)?, "key": written(&pair.key)?}));
    let domain = settings.account_domain.as_ref();
    let account_domain = domain.map(|domain| {
        // The paths that lead others from the account domain to the host.
        let paths = ["webfinger", "host-meta", "nodeinfo"];
        Ok::<_, SiteError>(json!({"name": domain.name, "certificate": pair(&domain.certificate)?, "paths": paths}))
    });
    // Both names, for the redirect to https.
    let sites = [Some(&settings.host), domain.map(|domain| &domain.name)].into_iter().flatten();
    Ok(json!({
        "host": settings.host,
        "origin": origin(&settings.host),
        "sites": sites.map(|name| json!({"name": name, "origin": origin(name)})).collect::<Vec<_>>(),
        "certificate": pair(&settings.certificate)?,
        "account_domain": account_domain.transpose()?,
        "backend": settings.backend.to_string(),
        "body_limit": settings.body_limit,
        "assets": written(&settings.assets)?,
        "media": settings.media.as_deref().map(written).transpose()?,
        "acme_webroot": written(&settings.acme_webroot)?,
        "hsts": settings.hsts,
        "access_log": written(&settings.logs.access)?,
        "error_log": written(&settings.logs.error)?,
        "http_port": settings.http_port.get(),
        "https_port": settings.https_port.get(),
        "tls": tls,
        "global_filters": written(&settings.global_filters())?,
        "site_filters": written(&settings.site_filters())?,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::super::{AccountDomain, Front, FrontVersion};
    use super::*;

    fn settings(front: Front, version: &str) -> FrontSettings {
        let certificate = Certificate { chain: "/c/chain.pem".into(), key: "/c/key.pem".into() };
        let (host, backend) = ("social.example.org".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        front.settings(version.parse().unwrap(), host, certificate, backend, 42_991_616, "/assets".into())
    }

    fn site(front: Front, settings: &FrontSettings) -> String {
        let [_, site] = <[SiteFile; 2]>::try_from(front.render(settings).unwrap()).unwrap();
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
