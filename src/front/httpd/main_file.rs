//! Edits Apache httpd's main configuration file.
//!
//! The package's `httpd.conf` includes `Includes/*.conf`, so as long as it does nothing has to be edited: our file
//! lies there, under a name that sorts last. Apache gives a request to the first virtual host with a name that fits,
//! and to the first of all if none does, so being last takes nothing away from other sites. Where the line is gone,
//! [`with_include`] appends one for our file.

use std::ops::Range;
use std::path::Path;

use super::sites::{TESTING, own_file, read};
use super::syntax::parse;
use crate::front::config_files::{ConfigError, ConfigFiles, spliced};
use crate::front::settings::{CANDIDATE_FOLDER, CANDIDATE_SITE};

/// The line before our include. Apache takes no comment behind a directive.
const MARK: &str = "# gts-bootstrap: the site of GoToSocial";

/// The text with an include of our file at its end; the very same text if our file is included already.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as Apache reads it.
pub(super) fn with_include(main: &Path, text: &[u8], files: &dyn ConfigFiles) -> Result<Vec<u8>, ConfigError> {
    if read(main, files, false, None)?.includes_own { Ok(text.to_vec()) } else { appended(main, text) }
}

fn appended(main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    parse(main, text)?;
    if block(text).is_some() {
        return Ok(text.to_vec());
    }
    let newline = if text.ends_with(b"\r\n") { "\r\n" } else { "\n" };
    let lines = format!("{MARK}{newline}IncludeOptional \"{}\"", own_file(main).display());
    // A file without a line break at its end gets one before our lines and none behind: so it can be told later.
    let ended = text.is_empty() || text.ends_with(b"\n");
    let lines = if ended { lines + newline } else { format!("{newline}{lines}") };
    Ok([text, lines.as_bytes()].concat())
}

/// The text without our include; the very same text if it is not there. What [`with_include`] has appended is taken
/// out exactly.
pub(super) fn without_include(_: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let Some(mut block) = block(text) else { return Ok(text.to_vec()) };
    if !text[..block.end].ends_with(b"\n") && text[..block.start].ends_with(b"\n") {
        block.start -= 1;
    }
    Ok(spliced(text, block, ""))
}

/// The text with an include of the candidate's site at its end: for a test, in which our own file holds nothing.
pub(super) fn with_candidate(main: &Path, text: &[u8]) -> Result<Vec<u8>, ConfigError> {
    let site = main.with_file_name(CANDIDATE_FOLDER).join(CANDIDATE_SITE);
    Ok([text, format!("\nInclude \"{}\"\n", site.display()).as_bytes()].concat())
}

/// A site that holds in a test, too.
pub(super) fn unconditional(site: String) -> String {
    site.replace(&format!("<IfDefine !{TESTING}>"), &format!("<IfDefine {TESTING}>"))
}

/// The text with one `Listen` of its own instead of all others: Apache does not start without any. The rest stays, as some of
/// it counts at a start only (`ServerLimit`).
pub(super) fn standby(text: &[u8], port: u16) -> Vec<u8> {
    let listens = |line: &&[u8]| {
        let word = line.trim_ascii_start().split(u8::is_ascii_whitespace).next();
        word.is_some_and(|word| word.eq_ignore_ascii_case(b"Listen"))
    };
    let others: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').filter(|line| !listens(line)).collect();
    [&others.concat()[..], format!("\nListen 127.0.0.1:{port}\n").as_bytes()].concat()
}

/// Our two lines.
fn block(text: &[u8]) -> Option<Range<usize>> {
    let mut at = 0;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        at += line.len();
        (at - line.len(), line)
    });
    let (start, _) = lines.find(|(_, line)| line.trim_ascii() == MARK.as_bytes())?;
    let (second, line) = lines.next()?;
    line.trim_ascii().starts_with(b"IncludeOptional ").then(|| start..second + line.len())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::front::config_files::tests::Texts;

    pub const MAIN: &str = "/usr/local/etc/apache24/httpd.conf";

    /// In the shape of the package's file.
    pub const PACKAGE: &str = "\
ServerRoot \"/usr/local\"
Listen 80
#Listen 12.34.56.78:80
#LoadModule mpm_event_module libexec/apache24/mod_mpm_event.so
LoadModule mpm_prefork_module libexec/apache24/mod_mpm_prefork.so
#LoadModule ssl_module libexec/apache24/mod_ssl.so
IncludeOptional etc/apache24/modules.d/[0-9][0-9][0-9]_*.conf
<IfModule unixd_module>
    User www
</IfModule>
ServerAdmin you@example.com
<Directory />
    AllowOverride none
    Require all denied
</Directory>
<IfModule ssl_module>
    Listen 443
</IfModule>
# Virtual hosts
#Include etc/apache24/extra/httpd-vhosts.conf
Include etc/apache24/Includes/*.conf
";

    fn with(text: &str) -> String {
        let files = Texts::of(&[(MAIN, text)]);
        String::from_utf8(with_include(Path::new(MAIN), text.as_bytes(), &files).unwrap()).unwrap()
    }

    #[test]
    fn an_include_is_appended_and_taken_out() {
        assert_eq!(with(PACKAGE), PACKAGE);
        let bare = PACKAGE.replace("Include etc/apache24/Includes/*.conf\n", "");
        let edited = with(&bare);
        let own = "/usr/local/etc/apache24/Includes/zz-gts-bootstrap.conf";
        assert_eq!(edited, format!("{bare}{MARK}\nIncludeOptional \"{own}\"\n"));
        assert_eq!(with(&edited), edited);
        assert_eq!(without_include(Path::new(MAIN), edited.as_bytes()).unwrap(), bare.as_bytes());
        assert!(with_include(Path::new(MAIN), b"<a>", &Texts::of(&[(MAIN, "<a>")])).is_err());
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "([a-z #]{0,8}\r?\n){0,3}[a-z #]{0,4}") {
            let edited = appended(Path::new(MAIN), text.as_bytes()).unwrap();
            prop_assert_ne!(&edited, text.as_bytes());
            prop_assert_eq!(without_include(Path::new(MAIN), &edited).unwrap(), text.as_bytes());
        }
    }
}
