//! Edits nginx's main configuration file, and finds other sites that are in the way of ours.
//!
//! The package's `nginx.conf` has no folder for sites, so one line is put in at the end of its `http` block. What else
//! stands in the file stays as it is, byte for byte, and taking the line out gives the old file back.
//!
//! The package's own server (port 80, `localhost`) may stay: nginx chooses a server by the name in the request first,
//! and falls back to the first one that listens there. Our site comes last, and claims neither `default_server` nor
//! any name but its own, so requests for other names go where they went before. Where nobody else listens, on port 443
//! of a fresh installation, they are turned away by a server of ours that has no name and no certificate.

use std::path::Path;

use super::files::{ConfigError, ConfigFiles, Conflict, INCLUDE_DEPTH, Place, Wanted, included, is_pattern};
use super::nginx_syntax::{Directive, Fault, parse};

/// What the line includes, relative to the folder of `nginx.conf`.
pub const INCLUDED: &str = "gts-bootstrap/*.conf";

/// Marks the line as ours.
const MARK: &str = " # gts-bootstrap";

/// The words for a site in messages.
const BLOCK: &str = "server block";

/// The text with our line at the end of the `http` block; the very same text if it has the line already.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read as nginx reads it, or has no `http` block. `path` is for the message.
pub fn with_include(path: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let directives = parsed(path, text)?;
    let http = http(path, &directives)?;
    if ours(http).is_some() {
        return Ok(text.to_vec());
    }
    // The closing brace is the last byte of the block.
    let brace = http.span.end - 1;
    let line_start = text[..brace].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (at, added) = if text[line_start..brace].iter().all(|byte| matches!(byte, b' ' | b'\t')) && line_start > 0 {
        let newline = if text[..line_start].ends_with(b"\r\n") { "\r\n" } else { "\n" };
        (line_start, format!("    include {INCLUDED};{MARK}{newline}"))
    } else {
        (brace, format!("include {INCLUDED};"))
    };
    let mut edited = text.to_vec();
    edited.splice(at..at, added.into_bytes());
    Ok(edited)
}

/// The text without our line; the very same text if it is not there. What [`with_include`] has put in is taken out
/// exactly.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Program`]: the file cannot be read as nginx reads it.
pub fn without_include(path: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let directives = parsed(path, text)?;
    let Some(line) = directives.iter().filter(|directive| directive.name() == "http").find_map(ours) else {
        return Ok(text.to_vec());
    };
    let mut span = line.span.clone();
    let start = text[..span.start].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let behind = &text[span.end..];
    let end = behind.iter().position(|byte| *byte == b'\n').map_or(behind.len(), |at| at + 1);
    let alone = text[start..span.start].iter().all(|byte| matches!(byte, b' ' | b'\t'));
    // With the mark behind it the whole line is ours.
    if alone && behind[..end].trim_ascii_end() == MARK.as_bytes() {
        span = start..span.end + end;
    }
    let mut edited = text.to_vec();
    edited.drain(span);
    Ok(edited)
}

/// The text with our line, which includes the files of another folder than ours: for a test.
///
/// # Errors
/// Those of [`with_include`].
pub fn with_candidate(path: &Path, text: &[u8], folder: &str) -> Result<Vec<u8>, ConfigError> {
    let mut edited = with_include(path, text)?;
    let directives = parsed(path, &edited)?;
    if let Some(line) = ours(http(path, &directives)?) {
        edited.splice(line.span.clone(), format!("include {folder}/*.conf;").into_bytes());
    }
    Ok(edited)
}

/// Whether the text has our line.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Program`]: the file cannot be read as nginx reads it.
pub fn has_include(path: &Path, text: &[u8]) -> Result<bool, ConfigError> {
    let directives = parsed(path, text)?;
    Ok(directives.iter().filter(|directive| directive.name() == "http").any(|http| ours(http).is_some()))
}

/// The sites that are in the way of ours, in the order in which nginx reads them. `main` is `nginx.conf`; all that it
/// includes is read, but for our own files.
///
/// A server with a wildcard or a regular expression for a name is none: an exact name comes before these
/// (`ngx_http_core_module`, `server_name`).
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as nginx reads it.
pub fn conflicts(main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>) -> Result<Vec<Conflict>, ConfigError> {
    let search = Search { files, folder: main.parent().unwrap_or(Path::new("/")), wanted };
    Ok(search.servers(main)?.iter().flat_map(|server| search.conflicts_of(server)).collect())
}

/// The first site but ours that listens on one of the wanted ports, and on which.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as nginx reads it.
pub fn listening(
    main: &Path,
    files: &dyn ConfigFiles,
    wanted: &Wanted<'_>,
) -> Result<Option<(Place, u16)>, ConfigError> {
    let search = Search { files, folder: main.parent().unwrap_or(Path::new("/")), wanted };
    let servers = search.servers(main)?;
    let first = |server: &Node| search.listens(server).first().map(|listen| (listen.place.clone(), listen.port));
    Ok(servers.iter().find_map(first))
}

fn parsed(path: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    let place = |line| Place { file: path.to_owned(), line };
    parse(text).map_err(|fault| match fault {
        Fault::Syntax(line, what) => ConfigError::Syntax { place: place(line), what },
        Fault::Program(line, directive) => ConfigError::Program { place: place(line), directive },
    })
}

fn http<'a>(path: &Path, directives: &'a [Directive]) -> Result<&'a Directive, ConfigError> {
    let found = directives.iter().find(|directive| directive.name() == "http" && directive.block.is_some());
    found.ok_or_else(|| ConfigError::NoHttp { file: path.to_owned() })
}

/// Our include in an `http` block.
fn ours(http: &Directive) -> Option<&Directive> {
    http.block.iter().flatten().find(|directive| is_ours(directive))
}

fn is_ours(directive: &Directive) -> bool {
    directive.name() == "include" && directive.arguments() == [INCLUDED]
}

/// A directive with its file, includes put in.
#[derive(Clone)]
struct Node {
    place: Place,
    words: Vec<String>,
    block: Vec<Node>,
}

impl Node {
    fn name(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }
}

/// A `listen` with its defaults filled in.
struct Listen<'a> {
    place: &'a Place,
    /// `None` for every address of the family.
    address: Option<String>,
    port: u16,
    both_families: bool,
}

struct Search<'a> {
    files: &'a dyn ConfigFiles,
    folder: &'a Path,
    wanted: &'a Wanted<'a>,
}

impl Search<'_> {
    fn servers(&self, main: &Path) -> Result<Vec<Node>, ConfigError> {
        let place = Place { file: main.to_owned(), line: 1 };
        let text = self.files.read(main).ok_or_else(|| ConfigError::Missing { file: main.to_owned(), place })?;
        let top = self.expanded(main, parsed(main, &text)?, 0)?;
        let inside = |nodes: Vec<Node>, name: &'static str| nodes.into_iter().filter(move |node| node.name() == name);
        Ok(inside(top, "http").flat_map(|http| inside(http.block, "server")).collect())
    }

    /// Where a server listens, of the wanted ports.
    fn listens<'n>(&self, server: &'n Node) -> Vec<Listen<'n>> {
        let all = || server.block.iter().filter(|node| node.name() == "listen");
        let mut listens: Vec<Listen<'_>> = all().filter_map(listen).collect();
        if all().next().is_none() {
            listens.push(Listen { place: &server.place, address: None, port: 80, both_families: false });
        }
        listens.retain(|listen| self.wanted.has_port(listen.port));
        listens
    }

    fn expanded(&self, file: &Path, directives: Vec<Directive>, depth: usize) -> Result<Vec<Node>, ConfigError> {
        let mut nodes = Vec::new();
        for directive in directives {
            let place = Place { file: file.to_owned(), line: directive.line };
            if is_ours(&directive) {
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

    fn conflicts_of(&self, server: &Node) -> Vec<Conflict> {
        let all = |name: &'static str| server.block.iter().filter(move |node| node.name() == name);
        let listens = self.listens(server);
        let mut found = Vec::new();
        let Some(port) = listens.first().map(|listen| listen.port) else { return found };
        for names in all("server_name") {
            for other in names.words.iter().skip(1) {
                // ".example.org" is "example.org" and "*.example.org" in one.
                if let Some(name) = self.wanted.name(other.strip_prefix('.').unwrap_or(other)) {
                    let place = names.place.clone();
                    found.push(Conflict::Name { place, block: BLOCK, name: name.to_string(), port });
                }
            }
        }
        for Listen { place, address, port, both_families } in listens {
            let place = place.clone();
            if both_families {
                found.push(Conflict::BothFamilies { place, port });
            } else if let Some(address) = address {
                found.push(Conflict::Address { place, block: BLOCK, address, port });
            }
        }
        found
    }
}

/// Reads a `listen`; `None` for one that nobody outside can reach, or that is no TCP socket.
fn listen(node: &Node) -> Option<Listen<'_>> {
    let value = node.words.get(1)?;
    let options = node.words.get(2..).unwrap_or_default();
    if value.starts_with("unix:") || options.iter().any(|option| option == "quic") {
        return None;
    }
    let (address, port) = match value.rsplit_once(':') {
        Some((address, port)) if !port.contains(']') => (address, port.parse().ok()?),
        _ => match value.parse() {
            Ok(port) => ("*", port),
            Err(_) => (value.as_str(), 80),
        },
    };
    let address = address.trim_start_matches('[').trim_end_matches(']');
    if address == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()) {
        return None;
    }
    let every = matches!(address, "*" | "0.0.0.0" | "::");
    let both_families = address == "::" && options.iter().any(|option| option == "ipv6only=off");
    Some(Listen { place: &node.place, address: (!every).then(|| address.to_owned()), port, both_families })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::files::tests::Texts;
    use super::*;
    use crate::deployment::{HostName, PortNumber};

    const MAIN: &str = "/usr/local/etc/nginx/nginx.conf";

    /// In the shape of the package's file.
    const PACKAGE: &str = "\
#user  nobody;
worker_processes  1;

# error_log  /var/log/nginx/error.log;
events {
    worker_connections  1024;
}

http {
    include       mime.types;
    default_type  application/octet-stream;
    #log_format  main  '$remote_addr \"$request\" }';
    sendfile        on;

    server {
        listen       80;
        server_name  localhost;
        location / {
            root   /usr/local/www/nginx;
        }
        #location ~ /\\.ht {
        #    deny  all;
        #}
    }
    # HTTPS server
    #server {
    #    listen 443 ssl;
    #}

}
";

    fn with(text: &str) -> String {
        String::from_utf8(with_include(Path::new(MAIN), text.as_bytes()).unwrap()).unwrap()
    }

    fn without(text: &str) -> String {
        String::from_utf8(without_include(Path::new(MAIN), text.as_bytes()).unwrap()).unwrap()
    }

    fn found(files: &[(&str, &str)]) -> Result<Vec<Conflict>, ConfigError> {
        let host: HostName = "social.example.org".parse().unwrap();
        let domain: HostName = "example.org".parse().unwrap();
        let wanted = Wanted { names: &[&host, &domain], ports: [PortNumber::HTTP, PortNumber::HTTPS] };
        conflicts(Path::new(MAIN), &Texts::of(files), &wanted)
    }

    fn told(http: &str) -> Vec<String> {
        let text = format!("events {{}}\nhttp {{\n{http}\n}}\n");
        found(&[(MAIN, &text)]).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn one_line_is_put_in_and_taken_out() {
        let edited = with(PACKAGE);
        assert_eq!(edited, PACKAGE.replace("\n\n}\n", "\n\n    include gts-bootstrap/*.conf; # gts-bootstrap\n}\n"));
        assert_eq!(with(&edited), edited);
        assert_eq!(without(&edited), PACKAGE);
        assert_eq!(without(PACKAGE), PACKAGE);
        let has = |text: &str| has_include(Path::new(MAIN), text.as_bytes()).unwrap();
        assert!(has(&edited) && !has(PACKAGE));
    }

    #[test]
    fn odd_files_come_back_too() {
        for text in
            ["http{}", "http { a b; }", "http {\r\n\ta;\r\n}\r\nstream {}", "events {} http\n{\n}", "http {\n a; }"]
        {
            let edited = with(text);
            assert!(edited.contains("include gts-bootstrap/*.conf;") && parse(edited.as_bytes()).is_ok(), "{edited}");
            assert_eq!(without(&edited), text);
        }
        assert_eq!(with("http {\r\n}\r\n"), "http {\r\n    include gts-bootstrap/*.conf; # gts-bootstrap\r\n}\r\n");
    }

    #[test]
    fn a_line_that_was_moved_is_still_ours() {
        assert_eq!(
            without("http {\n\tinclude gts-bootstrap/*.conf;\t# mine now\n\ta;\n}"),
            "http {\n\t\t# mine now\n\ta;\n}"
        );
        assert_eq!(with("http { include \"gts-bootstrap/*.conf\"; }"), "http { include \"gts-bootstrap/*.conf\"; }");
    }

    #[test]
    fn what_cannot_be_edited_is_refused() {
        let refused = |text: &str| with_include(Path::new(MAIN), text.as_bytes()).unwrap_err().to_string();
        assert!(
            refused("events {}\ninclude http.conf;").starts_with("/usr/local/etc/nginx/nginx.conf has no http block")
        );
        assert!(
            refused("events {}\nhttp {").starts_with("/usr/local/etc/nginx/nginx.conf:2: the block that begins here")
        );
        let lua = refused("http {\n init_by_lua_block { x } }");
        assert!(
            lua.starts_with("/usr/local/etc/nginx/nginx.conf:2: init_by_lua_block") && lua.contains("init_by_lua_file")
        );
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
            |address: &str| told.iter().filter(|told| told.contains(&format!("listens on {address} alone"))).count();
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

    proptest! {
        #[test]
        fn any_http_block_comes_back(inside in "[a-z \t\r\n]{0,12}", ends in prop_oneof!["\n", "\r\n", "", " "], after in "[ \r\n#]{0,4}") {
            let inside = if inside.trim().is_empty() { inside } else { format!("{inside};{ends}") };
            let text = format!("events {{}}\nhttp {{{inside}}}{after}");
            prop_assert_eq!(without(&with(&text)), text);
        }
    }
}
