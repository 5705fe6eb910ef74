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

use super::syntax::parse;
use crate::front::config_files::{ConfigError, ConfigFiles, Directive, spliced};
use crate::front::settings::CANDIDATE_FOLDER;

/// What the line includes, relative to the folder of `nginx.conf`.
const INCLUDED: &str = "gts-bootstrap/*.conf";

/// Marks the line as ours.
const MARK: &str = " # gts-bootstrap";

/// The text with our line at the end of the `http` block; the very same text if it has the line already.
///
/// # Errors
/// [`ConfigError`]: the file cannot be read as nginx reads it, or has no `http` block. `main` is for the message.
pub(super) fn with_include(main: &Path, text: &[u8], _: &dyn ConfigFiles) -> Result<Vec<u8>, ConfigError> {
    let directives = parse(main, text)?;
    if ours(&directives).is_some() {
        return Ok(text.to_vec());
    }
    let http = directives.iter().find(|directive| directive.name() == "http" && directive.block.is_some());
    let http = http.ok_or_else(|| ConfigError::NoHttp { file: main.to_owned() })?;
    // The closing brace is the last byte of the block.
    let brace = http.span.end - 1;
    let start = line_start(text, brace);
    if !is_blank(&text[start..brace]) || start == 0 {
        return Ok(spliced(text, brace..brace, &format!("include {INCLUDED};")));
    }
    let newline = if text[..start].ends_with(b"\r\n") { "\r\n" } else { "\n" };
    Ok(spliced(text, start..start, &format!("    include {INCLUDED};{MARK}{newline}")))
}

/// The text without our line; the very same text if it is not there. What [`with_include`] has put in is taken out
/// exactly.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Program`]: the file cannot be read as nginx reads it.
pub(super) fn without_include(main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let directives = parse(main, text)?;
    let Some(line) = ours(&directives) else { return Ok(text.to_vec()) };
    let mut span = line.span.clone();
    let start = line_start(text, span.start);
    let behind = text[span.end..].split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
    // With the mark behind it the whole line is ours.
    if is_blank(&text[start..span.start]) && behind.trim_ascii_end() == MARK.as_bytes() {
        span = start..span.end + behind.len();
    }
    Ok(spliced(text, span, ""))
}

/// The text, which has our line, with a line in its place that includes the files of another folder: for a test.
///
/// # Errors
/// Those of [`without_include`].
pub(super) fn with_candidate(main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let directives = parse(main, text)?;
    let included = format!("include {CANDIDATE_FOLDER}/*.conf;");
    let line = ours(&directives).ok_or_else(|| ConfigError::NoHttp { file: main.to_owned() })?;
    Ok(spliced(text, line.span.clone(), &included))
}

/// Our line in an `http` block.
fn ours(directives: &[Directive]) -> Option<&Directive> {
    let blocks = directives.iter().filter(|directive| directive.name() == "http").flat_map(|http| &http.block);
    blocks.flatten().find(|directive| is_ours(directive))
}

pub(super) fn is_ours(directive: &Directive) -> bool {
    directive.name() == "include" && directive.arguments() == [INCLUDED]
}

fn line_start(text: &[u8], at: usize) -> usize {
    text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1)
}

fn is_blank(text: &[u8]) -> bool {
    text.iter().all(|byte| matches!(byte, b' ' | b'\t'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::front::config_files::tests::Texts;

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
        String::from_utf8(with_include(Path::new(MAIN), text.as_bytes(), &Texts::default()).unwrap()).unwrap()
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
            assert!(
                edited.contains("include gts-bootstrap/*.conf;") && parse(Path::new(MAIN), edited.as_bytes()).is_ok(),
                "{edited}"
            );
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
        let refused =
            |text: &str| with_include(Path::new(MAIN), text.as_bytes(), &Texts::default()).unwrap_err().to_string();
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
