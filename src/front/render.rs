//! Our own files for a web server, from the templates.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Front;
use super::settings::{Certificate, FrontSettings};
use crate::net::{HostName, PortNumber};
use crate::shown::Shown;
use crate::templates::Template;

impl Front {
    /// Our files, each with its text: the TLS settings, and the site that includes them.
    ///
    /// # Errors
    /// In words: a path that no configuration can be made from, or a mistake in this program.
    pub fn render(self, settings: &FrontSettings) -> Result<[(PathBuf, String); 2], String> {
        let (tls, site) = (settings.own_folder().join("tls.inc"), settings.folder.join(self.site));
        let mut fields = common(settings, written(&tls)?)?;
        (self.fields)(settings, &mut fields)?;
        let text = |template: Template| template.render(&fields).map_err(|error| error.to_string());
        Ok([(tls, text(self.tls_template)?), (site, text(self.site_template)?)])
    }
}

/// The fields that every web server needs.
fn common(settings: &FrontSettings, tls: &str) -> Result<Value, String> {
    let origin = |name: &HostName| match settings.https_port {
        PortNumber::HTTPS => name.to_string(),
        port => format!("{name}:{}", port.get()),
    };
    let pair =
        |pair: &Certificate| Ok::<_, String>(json!({"chain": written(&pair.chain)?, "key": written(&pair.key)?}));
    let domain = settings.account_domain.as_ref();
    let account_domain = domain.map(|domain| {
        // The paths that lead others from the account domain to the host.
        let paths = ["webfinger", "host-meta", "nodeinfo"];
        Ok::<_, String>(json!({"name": domain.name, "certificate": pair(&domain.certificate)?, "paths": paths}))
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
        "access_log": written(&settings.logs[0])?,
        "error_log": written(&settings.logs[1])?,
        "http_port": settings.http_port.get(),
        "https_port": settings.https_port.get(),
        "tls": tls,
        "global_filters": written(&settings.global_filters())?,
        "site_filters": written(&settings.site_filters())?,
    }))
}

/// A path that means itself between double quotes.
pub(super) fn written(path: &Path) -> Result<&str, String> {
    plain("the web server's configuration cannot be written: the path", path)
}

/// A path that is absolute and means itself between double quotes, in nginx's syntax as in Apache's. Both put values in for
/// `$`, Apache's logs also for `%`. `what` begins the error.
pub(super) fn plain<'a>(what: &str, path: &'a Path) -> Result<&'a str, String> {
    let is_plain = |text: &&str| !text.contains(|c: char| c.is_control() || "\"'$\\%*?[".contains(c));
    path.to_str().filter(|_| path.is_absolute()).filter(is_plain).ok_or_else(|| {
        format!(
            "{what} {} is not absolute, or has a quote, a dollar sign, a backslash, a percent sign, one of * ? [ or a \
             control character in it, or is not valid UTF-8. Choose a plain path",
            path.shown()
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn settings(front: Front, version: &str) -> FrontSettings {
        let certificate = Certificate { chain: "/c/chain.pem".into(), key: "/c/key.pem".into() };
        let (host, backend) = ("social.example.org".parse().unwrap(), "127.0.0.1:8080".parse().unwrap());
        front.settings(
            crate::front::version(version).unwrap(),
            host,
            certificate,
            backend,
            42_991_616,
            "/assets".into(),
        )
    }

    fn site(front: Front, settings: &FrontSettings) -> String {
        let [_, (_, site)] = front.render(settings).unwrap();
        site
    }

    fn count(text: &str, line: &str) -> usize {
        text.lines().filter(|there| there.trim() == line).count()
    }

    #[test]
    fn files_lie_where_freebsd_wants_them() {
        let paths = |front: Front, version| -> Vec<PathBuf> {
            front.render(&settings(front, version)).unwrap().map(|(path, _)| path).into()
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
        let changes: [(Change, &str); 5] = [
            (|s| s.assets = "/a$b".into(), "the path /a$b is not absolute"),
            (|s| s.certificate.key = "key.pem".into(), "the path key.pem is not absolute"),
            (|s| s.acme_webroot = "/a\"; return 200; #".into(), "the path /a\"; return 200; #"),
            (|s| s.logs[0] = "/a\nb".into(), "the path /a\\u{a}b"),
            (|s| s.media = Some("/a%b".into()), "the path /a%b"),
        ];
        for (change, told) in changes {
            let mut settings = settings(Front::NGINX, "1.26.2");
            change(&mut settings);
            let error = Front::NGINX.render(&settings).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
