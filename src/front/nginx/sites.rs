//! What nginx serves, and which of it is in the way of our site.

use std::path::{Path, PathBuf};

use super::main_file::is_ours;
use super::syntax::parse;
use crate::front::config_files::{ConfigError, ConfigFiles, ConfigPlace, Directive, included};
use crate::front::site::{
    CHALLENGES, Conflict, Listen, Served, Site, Socket, Survey, Wanted, address_and_port, target,
};

/// Looks through `nginx.conf` and all that it includes, our own files left out.
///
/// A server with a wildcard or a regular expression for a name is not in the way: an exact name comes before these
/// (`ngx_http_core_module`, `server_name`).
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as nginx reads it.
pub(super) fn survey(main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>) -> Result<Survey, ConfigError> {
    let mut survey = Survey::default();
    for site in sites(main, files, false)? {
        // `.example.org` is `example.org` and `*.example.org` in one.
        survey.conflicts.extend(site.conflicts(wanted, "server block", |ours, name| {
            ours.as_str().eq_ignore_ascii_case(name.strip_prefix('.').unwrap_or(name))
        }));
        for (listen, port) in site.on(wanted) {
            survey.held.get_or_insert_with(|| (port, Some(listen.place.clone())));
            if listen.ipv4 && listen.ipv6 {
                survey.conflicts.push(Conflict::BothFamilies { place: listen.place.clone(), port });
            }
        }
    }
    Ok(survey)
}

/// What it serves.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as nginx reads it.
pub(super) fn served(main: &Path, files: &dyn ConfigFiles, _testing: bool) -> Result<Served, ConfigError> {
    let sites = sites(main, files, true)?;
    let mut sockets = Vec::new();
    for listen in sites.iter().flat_map(|site| &site.listens) {
        let address = listen.ip().filter(|address| !address.is_unspecified());
        for ipv6 in [false, true].into_iter().filter(|six| if *six { listen.ipv6 } else { listen.ipv4 }) {
            let socket = Socket { address, ipv6, port: listen.port.unwrap_or(80), optional: false };
            if !sockets.contains(&socket) {
                sockets.push(socket);
            }
        }
    }
    Ok(Served { sockets, sites, needs: Vec::new() })
}

/// The account of its workers, if one is named.
pub(super) fn account(main: &Path, files: &dyn ConfigFiles) -> Option<String> {
    let top = top(main, files, false).ok()?;
    top.iter().find(|directive| directive.name() == "user").map(|user| user.word(1).to_owned())
}

/// What stands outside of all blocks. `own`: with our own files.
fn top(main: &Path, files: &dyn ConfigFiles, own: bool) -> Result<Vec<Directive>, ConfigError> {
    let search = Search { files, folder: main.parent().unwrap_or(Path::new("/")), own };
    search.directives(main, &ConfigPlace::start(main), 0)
}

/// `own`: with our own files.
fn sites(main: &Path, files: &dyn ConfigFiles, own: bool) -> Result<Vec<Site>, ConfigError> {
    let search = Search { files, folder: main.parent().unwrap_or(Path::new("/")), own };
    let top = top(main, files, own)?;
    let blocks = top.iter().filter(|directive| directive.name() == "http");
    Ok(blocks.flat_map(|http| all(http, "server").map(|server| search.site(http, server))).collect())
}

/// The directives of a name in a block.
fn all<'d>(block: &'d Directive, name: &'d str) -> impl Iterator<Item = &'d Directive> {
    block.block.iter().flatten().filter(move |directive| directive.name() == name)
}

/// The argument of the first directive of a name in a block.
fn value<'d>(block: &'d Directive, name: &'d str) -> Option<&'d str> {
    all(block, name).next().map(|directive| directive.word(1))
}

/// Where a block redirects requests first.
fn redirect(block: &Directive) -> Option<String> {
    let url = |found: &Directive| found.arguments().iter().find(|word| word.starts_with("https://")).cloned();
    all(block, "return").find_map(url).map(|url| target(&url))
}

struct Search<'a> {
    files: &'a dyn ConfigFiles,
    folder: &'a Path,
    own: bool,
}

impl Search<'_> {
    /// The directives of the files that an include names, with what these include in its place.
    fn directives(&self, pattern: &Path, place: &ConfigPlace, depth: usize) -> Result<Vec<Directive>, ConfigError> {
        let mut directives = Vec::new();
        for (file, text) in included(self.files, pattern, place, depth)? {
            directives.extend(self.expanded(parse(&file, &text)?, depth)?);
        }
        Ok(directives)
    }

    fn expanded(&self, directives: Vec<Directive>, depth: usize) -> Result<Vec<Directive>, ConfigError> {
        let mut expanded = Vec::new();
        for mut directive in directives.into_iter().filter(|directive| self.own || !is_ours(directive)) {
            if directive.name() == "include" && directive.block.is_none() {
                // Relative to the folder of nginx.conf, wherever the include stands (`ngx_conf_full_name()`).
                let pattern = self.folder.join(directive.word(1));
                expanded.extend(self.directives(&pattern, &directive.place, depth + 1)?);
                continue;
            }
            directive.block = directive.block.map(|block| self.expanded(block, depth)).transpose()?;
            expanded.push(directive);
        }
        Ok(expanded)
    }

    fn site(&self, http: &Directive, server: &Directive) -> Site {
        let inherited = |name| value(server, name).or_else(|| value(http, name));
        let pair = inherited("ssl_certificate").zip(inherited("ssl_certificate_key"));
        let mut site = Site {
            place: server.place.clone(),
            listens: all(server, "listen").filter_map(listen).collect(),
            pair: pair.map(|(chain, key)| [self.folder.join(chain), self.folder.join(key)]),
            turns_away: inherited("ssl_reject_handshake") == Some("on") || value(server, "return") == Some("444"),
            redirects: redirect(server).map(|to| ("/".to_owned(), to)).into_iter().collect(),
            ..Site::default()
        };
        if all(server, "listen").next().is_none() {
            site.listens.push(Listen { ipv6: false, ..Listen::at(&server.place, "80") });
        }
        for names in all(server, "server_name") {
            site.names.extend(names.arguments().iter().map(|name| (names.place.clone(), name.clone())));
        }
        for location in all(server, "location") {
            let path = location.words.last().map_or("", String::as_str);
            site.redirects.extend(redirect(location).map(|to| (path.to_owned(), to)));
            site.backend =
                site.backend.or_else(|| value(location, "proxy_pass")?.strip_prefix("http://")?.parse().ok());
            if path.trim_start_matches('/') == CHALLENGES {
                let root = value(location, "root").map(|root| Path::new(root).join(CHALLENGES));
                site.challenges = value(location, "alias").map(PathBuf::from).or(root);
            }
        }
        site
    }
}

/// Reads a `listen`; `None` for one that is no TCP socket.
fn listen(directive: &Directive) -> Option<Listen> {
    let value = directive.word(1);
    let has = |option: &str| directive.words.iter().skip(2).any(|there| there == option);
    if value.is_empty() || value.starts_with("unix:") || has("quic") {
        return None;
    }
    let port = address_and_port(value).1.map_or(Some(80), |port| port.parse().ok())?;
    let found = Listen::at(&directive.place, value);
    let ipv6 = value.starts_with('[');
    Some(Listen {
        ipv4: !ipv6 || (found.address.is_none() && has("ipv6only=off")),
        ipv6,
        port: Some(port),
        tls: has("ssl"),
        default: has("default_server") || has("default"),
        ..found
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::main_file::tests::{MAIN, PACKAGE, with};
    use super::*;
    use crate::front::config_files::tests::Texts;
    use crate::net::{HostName, PortNumber};

    fn found(files: &[(&str, &str)]) -> Result<Vec<Conflict>, ConfigError> {
        let host: HostName = "social.example.org".parse().unwrap();
        let domain: HostName = "example.org".parse().unwrap();
        let wanted = Wanted { names: &[&host, &domain], ports: [PortNumber::HTTP, PortNumber::HTTPS] };
        survey(Path::new(MAIN), &Texts::of(files), &wanted).map(|survey| survey.conflicts)
    }

    fn told(http: &str) -> Vec<String> {
        let text = format!("events {{}}\nhttp {{\n{http}\n}}\n");
        found(&[(MAIN, &text)]).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_package_alone_is_not_in_the_way() {
        let mime = ("/usr/local/etc/nginx/mime.types", "types { text/html html; }");
        assert_eq!(found(&[(MAIN, PACKAGE), mime]), Ok(vec![]));
        assert_eq!(found(&[(MAIN, &with(PACKAGE)), mime]), Ok(vec![]));
    }

    #[test]
    fn the_same_name_is_in_the_way() {
        for server in [
            "server_name a.b Social.Example.ORG;",
            "listen 443 ssl; server_name .social.example.org;",
            "listen [::]:80; server_name \"example.org\";",
        ] {
            let told = told(&format!("\nserver {{\n{server} }}"));
            assert_eq!(told.len(), 1, "{server}");
            assert!(
                told[0].starts_with("/usr/local/etc/nginx/nginx.conf:5: this server block answers for "),
                "{told:?}"
            );
        }
    }

    #[test]
    fn other_names_and_ports_are_not_in_the_way() {
        for server in [
            "listen 8080; server_name social.example.org;",
            "listen 127.0.0.1:80; server_name social.example.org;",
            "listen [::1]:443; listen localhost:80; server_name social.example.org;",
            "listen unix:/var/run/x; server_name social.example.org;",
            "server_name *.example.org ~^social\\.example\\.org$ www.example.org _ \"\";",
            "#server_name social.example.org;",
            "location / { set $x 'server_name social.example.org;'; }",
            "listen 443 quic; server_name social.example.org;",
        ] {
            assert_eq!(told(&format!("server {{ {server}\n }}")), Vec::<String>::new(), "{server}");
        }
    }

    #[test]
    fn an_address_of_its_own_is_in_the_way() {
        let told =
            told("server { listen 192.0.2.1:443 ssl; listen 192.0.2.1; listen [2001:db8::1]:80; server_name x.y; }");
        let of =
            |address: &str| told.iter().filter(|told| told.contains(&format!("listens on {address} only"))).count();
        assert_eq!((told.len(), of("192.0.2.1"), of("2001:db8::1")), (3, 2, 1), "{told:?}");
    }

    #[test]
    fn a_socket_for_both_families_is_in_the_way() {
        let told = told("server { listen [::]:443 ssl ipv6only=off; server_name x.y; }");
        assert!(told[0].contains("nothing else can listen on port 443"), "{told:?}");
    }

    #[test]
    fn includes_are_followed_and_named() {
        let main = "events {}\nhttp {\n include sites/*.conf; include gts-bootstrap/*.conf; # gts-bootstrap\n}\n";
        let b = ("/usr/local/etc/nginx/sites/b.conf", "\nserver { include snippets/names; }");
        let names = ("/usr/local/etc/nginx/snippets/names", "\n\nserver_name social.example.org;");
        let own = ("/usr/local/etc/nginx/gts-bootstrap/gotosocial.conf", "server { server_name social.example.org; }");
        let told = found(&[(MAIN, main), b, names, own]).unwrap();
        let [Conflict::Name { place, .. }] = &told[..] else { panic!("{told:?}") };
        assert_eq!(place.to_string(), "/usr/local/etc/nginx/snippets/names:3");
        let missing = found(&[(MAIN, main), b]).unwrap_err().to_string();
        assert!(
            missing.starts_with("/usr/local/etc/nginx/sites/b.conf:2: /usr/local/etc/nginx/snippets/names cannot"),
            "{missing}"
        );
        let circle = found(&[(MAIN, "include nginx.conf;")]).unwrap_err().to_string();
        assert!(circle.contains("include each other"), "{circle}");
        assert!(found(&[]).unwrap_err().to_string().contains("nginx.conf cannot be read"));
    }
}
