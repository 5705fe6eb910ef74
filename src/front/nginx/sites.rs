//! What nginx serves, and which of it is in the way of our site.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::main_file::is_ours;
use super::syntax::{Directive, parsed};
use crate::front::config_files::{
    ConfigError, ConfigFiles, ConfigPlace, INCLUDE_DEPTH, included, is_pattern, required,
};
use crate::front::site::{Conflict, Listen, Served, Site, Socket, Survey, Wanted, address_and_port};
use crate::net::HostName;

/// What a site is called in messages.
const BLOCK: &str = "server block";
/// Where ACME challenges are asked for.
const CHALLENGES: &str = ".well-known/acme-challenge/";

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
        survey.conflicts.extend(site.conflicts(wanted, BLOCK, is_name));
        for (listen, port) in site.on(wanted) {
            survey.held.get_or_insert_with(|| (port, Some(listen.place.clone())));
            if listen.ipv4 && listen.ipv6 {
                survey.conflicts.push(Conflict::BothFamilies { place: listen.place.clone(), port });
            }
        }
    }
    Ok(survey)
}

/// Whether a `server_name` is this very name. `.example.org` is `example.org` and `*.example.org` in one.
fn is_name(ours: &HostName, name: &str) -> bool {
    ours.as_str().eq_ignore_ascii_case(name.strip_prefix('.').unwrap_or(name))
}

/// What it serves.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as nginx reads it.
pub(super) fn served(main: &Path, files: &dyn ConfigFiles) -> Result<Served, ConfigError> {
    let mut served = Served { sites: sites(main, files, true)?, ..Served::default() };
    for listen in served.sites.iter().flat_map(|site| &site.listens) {
        let address = listen.ip().filter(|address| !address.is_unspecified());
        for ipv6 in [false, true].into_iter().filter(|six| if *six { listen.ipv6 } else { listen.ipv4 }) {
            let socket = Socket { address, ipv6, port: listen.port.unwrap_or(80), optional: false };
            if !served.sockets.contains(&socket) {
                served.sockets.push(socket);
            }
        }
    }
    Ok(served)
}

/// `own`: with our own files.
fn sites(main: &Path, files: &dyn ConfigFiles, own: bool) -> Result<Vec<Site>, ConfigError> {
    let search = Search { files, folder: main.parent().unwrap_or(Path::new("/")), own };
    let top = search.expanded(main, parsed(main, &required(files, main)?)?, 0)?;
    let mut sites = Vec::new();
    for http in top.iter().filter(|node| node.name() == "http") {
        sites.extend(http.all("server").map(|server| search.site(http, server)));
    }
    Ok(sites)
}

/// A directive with its file, includes put in.
#[derive(Clone)]
struct Node {
    place: ConfigPlace,
    words: Vec<String>,
    block: Vec<Node>,
}

impl Node {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    fn argument(&self) -> &str {
        self.words.get(1).map_or("", String::as_str)
    }

    /// The directives of a name in the block.
    fn all<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'n Node> {
        self.block.iter().filter(move |node| node.name() == name)
    }

    /// The argument of the first directive of a name in the block.
    fn value<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        self.all(name).next().map(Node::argument)
    }

    /// The first URL that requests are redirected to, up to the variable for the path.
    fn redirect(&self) -> Option<String> {
        let url = |node: &Node| node.words.iter().skip(1).find(|word| word.starts_with("https://")).cloned();
        let target = self.all("return").find_map(url)?;
        Some(target.split('$').next().unwrap_or_default().trim_end_matches('/').to_owned())
    }
}

struct Search<'a> {
    files: &'a dyn ConfigFiles,
    folder: &'a Path,
    own: bool,
}

impl Search<'_> {
    fn expanded(&self, file: &Path, directives: Vec<Directive>, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let mut nodes = Vec::new();
        for directive in directives {
            let place = ConfigPlace { file: file.to_owned(), line: directive.line };
            if is_ours(&directive) && !self.own {
                continue;
            }
            if directive.name() != "include" || directive.block.is_some() {
                let block = self.expanded(file, directive.block.unwrap_or_default(), depth)?;
                nodes.push(Node { place, words: directive.words, block });
                continue;
            }
            if depth == INCLUDE_DEPTH {
                return Err(ConfigError::Depth { place });
            }
            // Relative to the folder of nginx.conf, wherever the include stands (`ngx_conf_full_name()`).
            let pattern = self.folder.join(directive.arguments().first().map_or("", String::as_str));
            let found = included(self.files, &pattern);
            if found.is_empty() && !is_pattern(&pattern) {
                return Err(ConfigError::Missing { file: pattern, place });
            }
            for (file, text) in found {
                nodes.extend(self.expanded(&file, parsed(&file, &text)?, depth + 1)?);
            }
        }
        Ok(nodes)
    }

    fn site(&self, http: &Node, server: &Node) -> Site {
        let value = |name: &str| [server, http].into_iter().find_map(|at| at.value(name).map(str::to_owned));
        let pair = value("ssl_certificate").zip(value("ssl_certificate_key"));
        let on = |name: &str| value(name).as_deref() == Some("on");
        let mut site = Site {
            listens: server.all("listen").filter_map(listen).collect(),
            pair: pair.map(|(chain, key)| [self.folder.join(chain), self.folder.join(key)]),
            turns_away: on("ssl_reject_handshake") || server.value("return") == Some("444"),
            redirects: server.redirect().map(|to| ("/".to_owned(), to)).into_iter().collect(),
            ..Site::at(server.place.clone())
        };
        if server.all("listen").next().is_none() {
            site.listens.push(every_address(server.place.clone(), Some(80)));
        }
        for names in server.all("server_name") {
            site.names.extend(names.words.iter().skip(1).map(|name| (names.place.clone(), name.clone())));
        }
        for location in server.all("location") {
            let path = location.words.last().map_or("", String::as_str);
            site.redirects.extend(location.redirect().map(|to| (path.to_owned(), to)));
            site.backend = site.backend.or_else(|| location.value("proxy_pass")?.strip_prefix("http://")?.parse().ok());
            if path.trim_start_matches('/') == CHALLENGES {
                let root = location.value("root").map(|root| PathBuf::from(root).join(CHALLENGES));
                site.challenges = location.value("alias").map(PathBuf::from).or(root);
            }
        }
        site
    }
}

fn every_address(place: ConfigPlace, port: Option<u16>) -> Listen {
    Listen { place, address: None, ipv4: true, ipv6: false, port, tls: false, default: false }
}

/// Reads a `listen`; `None` for one that is no TCP socket.
fn listen(node: &Node) -> Option<Listen> {
    let value = node.argument();
    let options = node.words.get(2..).unwrap_or_default();
    let has = |option: &str| options.iter().any(|there| there == option);
    if value.is_empty() || value.starts_with("unix:") || has("quic") {
        return None;
    }
    let (address, port) = address_and_port(value);
    let port = port.map_or(Some(80), |port| port.parse().ok())?;
    let ipv6 = address.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    let every = matches!(address, "*" | "0.0.0.0" | "::");
    Some(Listen {
        address: (!every).then(|| address.to_owned()),
        ipv4: !ipv6 || (every && has("ipv6only=off")),
        ipv6,
        tls: has("ssl"),
        default: has("default_server") || has("default"),
        ..every_address(node.place.clone(), Some(port))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::main_file::tests::{MAIN, PACKAGE, with};
    use super::*;
    use crate::front::config_files::tests::Texts;
    use crate::net::PortNumber;

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
