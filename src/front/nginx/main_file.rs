//! Edits nginx's main configuration file.
//!
//! The package's `nginx.conf` has no folder for sites, so one line is put in at the end of its `http` block. What else
//! stands in the file stays as it is, byte for byte, and taking the line out gives the old file back.
//!
//! The package's own server (port 80, `localhost`) may stay: nginx chooses a server by the name in the request first,
//! and falls back to the first one that listens there. Our site comes last, and claims neither `default_server` nor
//! any name but its own, so requests for other names go where they went before. Where nobody else listens, on port 443
//! of a fresh installation, they are turned away by a server of ours that has no name and no certificate.

use std::path::Path;

use super::syntax::{Directive, parsed};
use crate::front::config_files::ConfigError;
use crate::front::settings::CANDIDATE_FOLDER;

/// What the line includes, relative to the folder of `nginx.conf`.
const INCLUDED: &str = "gts-bootstrap/*.conf";

/// Marks the line as ours.
const MARK: &str = " # gts-bootstrap";

/// The text with our line at the end of the `http` block; the very same text if it has the line already.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read as nginx reads it, or has no `http` block. `path` is for the message.
pub(super) fn with_include(path: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
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
pub(super) fn without_include(path: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
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
pub(super) fn with_candidate(path: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let mut edited = with_include(path, text)?;
    let directives = parsed(path, &edited)?;
    if let Some(line) = ours(http(path, &directives)?) {
        edited.splice(line.span.clone(), format!("include {CANDIDATE_FOLDER}/*.conf;").into_bytes());
    }
    Ok(edited)
}

fn http<'a>(path: &Path, directives: &'a [Directive]) -> Result<&'a Directive, ConfigError> {
    let found = directives.iter().find(|directive| directive.name() == "http" && directive.block.is_some());
    found.ok_or_else(|| ConfigError::NoHttp { file: path.to_owned() })
}

/// Our line in an `http` block.
fn ours(http: &Directive) -> Option<&Directive> {
    http.block.iter().flatten().find(|directive| is_ours(directive))
}

pub(super) fn is_ours(directive: &Directive) -> bool {
    directive.name() == "include" && directive.arguments() == [INCLUDED]
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::super::syntax::parse;
    use super::*;

    pub const MAIN: &str = "/usr/local/etc/nginx/nginx.conf";

    /// In the shape of the package's file.
    pub const PACKAGE: &str = "\
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

    pub fn with(text: &str) -> String {
        String::from_utf8(with_include(Path::new(MAIN), text.as_bytes()).unwrap()).unwrap()
    }

    fn without(text: &str) -> String {
        String::from_utf8(without_include(Path::new(MAIN), text.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn one_line_is_put_in_and_taken_out() {
        let edited = with(PACKAGE);
        assert_eq!(edited, PACKAGE.replace("\n\n}\n", "\n\n    include gts-bootstrap/*.conf; # gts-bootstrap\n}\n"));
        assert_eq!(with(&edited), edited);
        assert_eq!(without(&edited), PACKAGE);
        assert_eq!(without(PACKAGE), PACKAGE);
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

    proptest! {
        #[test]
        fn any_http_block_comes_back(inside in "[a-z \t\r\n]{0,12}", ends in prop_oneof!["\n", "\r\n", "", " "], after in "[ \r\n#]{0,4}") {
            let inside = if inside.trim().is_empty() { inside } else { format!("{inside};{ends}") };
            let text = format!("events {{}}\nhttp {{{inside}}}{after}");
            prop_assert_eq!(without(&with(&text)), text);
        }
    }
}
