//! Edits Apache httpd's main configuration file, and finds out what ours has to bring and who is in its way.
//!
//! The package's `httpd.conf` includes `Includes/*.conf`, so as long as it does nothing has to be edited: our file
//! lies there, under a name that sorts last. Apache gives a request to the first virtual host with a name that fits,
//! and to the first of all if none does, so being last takes nothing away from other sites. Where the line is gone,
//! [`with_include`] appends one for our file.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::{
    ConfigError, ConfigFiles, Conflict, INCLUDE_DEPTH, Place, Wanted, covers, included, is_pattern, matches,
};
use super::httpd_syntax::{Directive, parse};
use crate::deployment::PortNumber;

/// Our file, in Apache's configuration folder.
pub const OWN_FILE: &str = "Includes/zz-gts-bootstrap.conf";

/// Defined (`httpd -D`) while a candidate is tested: our file in the folder of includes then holds nothing, so that the
/// candidate can take its place.
pub const TESTING: &str = "GTS_BOOTSTRAP_TEST";

/// The line before our include. Apache takes no comment behind a directive.
const MARK: &str = "# gts-bootstrap: the site of GoToSocial";

/// The words for a site in messages.
const BLOCK: &str = "VirtualHost";

/// What stands in the configuration besides our own file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Whether our file is included, or would be if it were there.
    pub includes_own_file: bool,
    /// The ports that Apache listens on at every address, of one family at least.
    pub listens: BTreeSet<u16>,
    /// How Apache spreads its work, such as `mpm_event_module`; `None` if it was compiled in.
    pub processing_module: Option<String>,
    /// The sites that are in the way of ours, in the order in which Apache reads them.
    pub conflicts: Vec<Conflict>,
}

impl Survey {
    /// The ports for which our file has to bring a `Listen`. A second one for the same port would keep Apache from
    /// starting.
    #[must_use]
    pub fn missing_listens(&self, ports: [PortNumber; 2]) -> Vec<PortNumber> {
        ports.into_iter().filter(|port| !self.listens.contains(&port.get())).collect()
    }

    /// Whether HTTP/2 can be spoken: `mod_http2` leaves it out under the prefork module (its log message AH10034),
    /// which is what the package has unless it is changed.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        self.processing_module.as_deref() != Some("mpm_prefork_module")
    }
}

/// The text with an include of our file at its end; the very same text if it has that already. Only needed where
/// [`Survey::includes_own_file`] says no.
///
/// # Errors
/// [`ConfigError::Syntax`]: the file cannot be read as Apache reads it. `path` is for the message.
pub fn with_include(path: &Path, text: &[u8], own: &Path) -> Result<Vec<u8>, ConfigError> {
    parsed(path, text)?;
    if block(text).is_some() {
        return Ok(text.to_vec());
    }
    let newline = if text.ends_with(b"\r\n") { "\r\n" } else { "\n" };
    let lines = format!("{MARK}{newline}IncludeOptional \"{}\"", own.display());
    let mut edited = text.to_vec();
    // A file without a line break at its end gets one before our lines and none behind: so it can be told later.
    if text.is_empty() || text.ends_with(b"\n") {
        edited.extend([lines.as_bytes(), newline.as_bytes()].concat());
    } else {
        edited.extend([newline.as_bytes(), lines.as_bytes()].concat());
    }
    Ok(edited)
}

/// The text without our include; the very same text if it is not there. What [`with_include`] has appended is taken
/// out exactly.
#[must_use]
pub fn without_include(text: &[u8]) -> Vec<u8> {
    let Some(mut block) = block(text) else { return text.to_vec() };
    if !text[..block.end].ends_with(b"\n") && text[..block.start].ends_with(b"\n") {
        block.start -= 1;
    }
    let mut edited = text.to_vec();
    edited.drain(block);
    edited
}

/// The text with an include of a site at its end: for a test, in which our own file holds nothing.
#[must_use]
pub fn with_candidate(text: &[u8], site: &Path) -> Vec<u8> {
    [text, format!("\nInclude \"{}\"\n", site.display()).as_bytes()].concat()
}

/// A site that holds in a test, too.
#[must_use]
pub fn unconditional(site: &str) -> String {
    site.replace(&format!("<IfDefine !{TESTING}>"), &format!("<IfDefine {TESTING}>"))
}

/// Our two lines.
fn block(text: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    let mut lines = text.split_inclusive(|byte| *byte == b'\n').map(|line| {
        at += line.len();
        (at - line.len(), line)
    });
    let (start, _) = lines.find(|(_, line)| line.trim_ascii() == MARK.as_bytes())?;
    let (second, line) = lines.next()?;
    line.trim_ascii().starts_with(b"IncludeOptional ").then(|| start..second + line.len())
}

/// Looks through the configuration. `main` is `httpd.conf`; all that it includes is read, but for our own file, which
/// is `own`.
///
/// Conditions are followed where they can be: `IfModule` by the modules that were loaded before, `IfDefine` by the
/// names that were defined before. What stands under any other is taken to hold.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as Apache reads it.
pub fn survey(main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>, own: &Path) -> Result<Survey, ConfigError> {
    let place = Place { file: main.to_owned(), line: 1 };
    let text = files.read(main).ok_or_else(|| ConfigError::Missing { file: main.to_owned(), place })?;
    let mut reading = Reading {
        files,
        wanted,
        own,
        // The port's; a ServerRoot in the file takes its place.
        root: "/usr/local".into(),
        modules: BTreeSet::new(),
        defined: BTreeSet::new(),
        survey: Survey {
            includes_own_file: false,
            listens: BTreeSet::new(),
            processing_module: None,
            conflicts: Vec::new(),
        },
    };
    reading.directives(main, &parsed(main, &text)?, None, 0)?;
    Ok(reading.survey)
}

fn parsed(path: &Path, text: &[u8]) -> Result<Vec<Directive>, ConfigError> {
    parse(text).map_err(|fault| {
        let place = Place { file: path.to_owned(), line: fault.line };
        ConfigError::Syntax { place, what: fault.what }
    })
}

/// Where Apache stands in its reading.
struct Reading<'a> {
    files: &'a dyn ConfigFiles,
    wanted: &'a Wanted<'a>,
    own: &'a Path,
    root: PathBuf,
    modules: BTreeSet<String>,
    defined: BTreeSet<String>,
    survey: Survey,
}

impl Reading<'_> {
    /// `port`: of the virtual host that this is read in, if it is one on a wanted port.
    fn directives(
        &mut self,
        file: &Path,
        directives: &[Directive],
        port: Option<u16>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        for directive in directives {
            let arguments = &directive.arguments;
            let first = arguments.first().map_or("", String::as_str);
            let place = Place { file: file.to_owned(), line: directive.line };
            match directive.name.as_str() {
                "serverroot" => self.root = first.into(),
                "loadmodule" => self.load(first, arguments.get(1)),
                "define" => drop(self.defined.insert(first.to_owned())),
                "undefine" => drop(self.defined.remove(first)),
                "listen" => self.listen(first),
                "include" | "includeoptional" => self.include(directive, &place, port, depth)?,
                "servername" | "serveralias" if port.is_some() => self.names(&place, arguments, port),
                "<virtualhost" => {
                    let port = self.virtual_host(&place, arguments);
                    self.directives(file, &directive.section, port, depth)?;
                }
                "<ifmodule" if !holds(first, |name| self.modules.contains(name)) => {}
                "<ifdefine" if !holds(first, |name| self.defined.contains(name)) => {}
                "<macro" => {}
                _ => self.directives(file, &directive.section, port, depth)?,
            }
        }
        Ok(())
    }

    /// A module is known by its own name and by its file's: `ssl_module` and `mod_ssl.c`.
    fn load(&mut self, name: &str, file: Option<&String>) {
        if name.starts_with("mpm_") {
            self.survey.processing_module = Some(name.to_owned());
        }
        self.modules.insert(name.to_owned());
        if let Some(stem) = file.and_then(|file| Path::new(file).file_stem()) {
            self.modules.insert(format!("{}.c", stem.to_string_lossy()));
        }
    }

    fn listen(&mut self, value: &str) {
        let (address, port) = split(value);
        if let (true, Some(port)) = (is_every(address), port) {
            self.survey.listens.insert(port);
        }
    }

    fn include(
        &mut self,
        directive: &Directive,
        place: &Place,
        port: Option<u16>,
        depth: usize,
    ) -> Result<(), ConfigError> {
        if depth == INCLUDE_DEPTH {
            return Err(ConfigError::Depth { place: place.clone() });
        }
        let pattern = self.root.join(directive.arguments.first().map_or("", String::as_str));
        // A folder stands for all files below it.
        let folder = !is_pattern(&pattern) && !self.files.names(&pattern).is_empty();
        self.survey.includes_own_file |= covers(&pattern, self.own) || (folder && self.own.starts_with(&pattern));
        let found = if folder { below(self.files, &pattern) } else { included(self.files, &pattern) };
        if found.is_empty() && !is_pattern(&pattern) && directive.name == "include" && pattern != self.own {
            return Err(ConfigError::Missing { file: pattern, place: place.clone() });
        }
        let own = self.own;
        for (file, text) in found.into_iter().filter(|(file, _)| file != own) {
            self.directives(&file, &parsed(&file, &text)?, port, depth + 1)?;
        }
        Ok(())
    }

    /// Takes note of a virtual host's addresses, and gives the wanted port that it is on.
    fn virtual_host(&mut self, place: &Place, addresses: &[String]) -> Option<u16> {
        let mut on = None;
        for value in addresses {
            let (address, port) = split(value);
            let [http, https] = self.wanted.ports.map(PortNumber::get);
            // Without a port, or with a star for it, it is on every port.
            let Some(port) = (match port {
                None => Some(https),
                Some(port) => [http, https].into_iter().find(|wanted| *wanted == port),
            }) else {
                continue;
            };
            let parsed = address.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
            if parsed.is_ok_and(|address| address.is_loopback()) || address == "localhost" {
                continue;
            }
            on = Some(port);
            if !is_every(address) {
                let address = address.trim_matches(['[', ']']).to_owned();
                self.survey.conflicts.push(Conflict::Address { place: place.clone(), block: BLOCK, address, port });
            }
        }
        on
    }

    /// Looks for a wanted name among those of a virtual host. A pattern in `ServerAlias` counts: the first virtual host
    /// that fits is taken, not the one that fits best.
    fn names(&mut self, place: &Place, names: &[String], port: Option<u16>) {
        for name in names {
            // ServerName may have a scheme and a port.
            let name = name.split_once("://").map_or(name.as_str(), |(_, name)| name);
            let name = name.split(':').next().unwrap_or_default().to_ascii_lowercase();
            let ours = self.wanted.names.iter().find(|ours| matches(&name, ours.as_str()));
            if let (Some(ours), Some(port)) = (ours, port) {
                let (place, name) = (place.clone(), ours.to_string());
                self.survey.conflicts.push(Conflict::Name { place, block: BLOCK, name, port });
            }
        }
    }
}

/// Whether a condition holds, which may be negated.
fn holds(condition: &str, is: impl Fn(&str) -> bool) -> bool {
    match condition.strip_prefix('!') {
        Some(name) => !is(name),
        None => is(condition),
    }
}

/// Address and port of a `Listen` or a virtual host; no port where there is none, or a star.
fn split(value: &str) -> (&str, Option<u16>) {
    match value.rsplit_once(':') {
        Some((address, port)) if !port.contains(']') => (address, port.parse().ok()),
        _ => value.parse().map_or((value, None), |port| ("*", Some(port))),
    }
}

fn is_every(address: &str) -> bool {
    matches!(address, "*" | "_default_" | "0.0.0.0" | "[::]")
}

/// All files below a folder, in the order of their names.
fn below(files: &dyn ConfigFiles, folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut names = files.names(folder);
    names.sort_unstable();
    let paths = names.into_iter().map(|name| folder.join(name));
    let file = |path: PathBuf| match files.read(&path) {
        Some(text) => vec![(path, text)],
        None => below(files, &path),
    };
    paths.flat_map(file).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::super::files::tests::Texts;
    use super::*;
    use crate::deployment::HostName;

    const FOLDER: &str = "/usr/local/etc/apache24";
    const PORTS: [PortNumber; 2] = [PortNumber::HTTP, PortNumber::HTTPS];

    /// In the shape of the package's file.
    const PACKAGE: &str = "\
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

    fn main() -> PathBuf {
        Path::new(FOLDER).join("httpd.conf")
    }

    fn own() -> PathBuf {
        Path::new(FOLDER).join(OWN_FILE)
    }

    fn surveyed(text: &str, more: &[(&str, &str)]) -> Result<Survey, ConfigError> {
        let (host, domain): (HostName, HostName) =
            ("social.example.org".parse().unwrap(), "example.org".parse().unwrap());
        let mut files = Texts::of(&[(main().to_str().unwrap(), text)]);
        for (name, text) in more {
            files.0.insert(Path::new(FOLDER).join(name), text.as_bytes().to_vec());
        }
        survey(&main(), &files, &Wanted { names: &[&host, &domain], ports: PORTS }, &own())
    }

    fn told(site: &str) -> Vec<String> {
        let survey = surveyed(PACKAGE, &[("Includes/a.conf", site)]).unwrap();
        survey.conflicts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_package_needs_our_listen_alone() {
        let survey = surveyed(PACKAGE, &[]).unwrap();
        assert!(survey.includes_own_file && survey.conflicts.is_empty() && !survey.speaks_http2());
        assert_eq!(survey.missing_listens(PORTS), [PortNumber::HTTPS]);
        assert_eq!(survey.processing_module.as_deref(), Some("mpm_prefork_module"));
        let own = "Listen 443\n<VirtualHost *:443>\nServerName social.example.org\n</VirtualHost>\n";
        assert_eq!(surveyed(PACKAGE, &[(OWN_FILE, own)]).unwrap(), survey);
    }

    #[test]
    fn modules_decide_what_is_read() {
        let ssl = PACKAGE.replace("#LoadModule ssl_module", "LoadModule ssl_module");
        assert_eq!(surveyed(&ssl, &[]).unwrap().missing_listens(PORTS), []);
        let by_file = ssl.replace("<IfModule ssl_module>", "<IfModule mod_ssl.c>");
        assert_eq!(surveyed(&by_file, &[]).unwrap().missing_listens(PORTS), []);
        let negated = PACKAGE.replace("<IfModule ssl_module>", "<IfModule !ssl_module>");
        assert_eq!(surveyed(&negated, &[]).unwrap().missing_listens(PORTS), []);
        let event =
            PACKAGE.replace("#LoadModule mpm_event", "LoadModule mpm_event").replace("LoadModule mpm_prefork", "#");
        assert!(surveyed(&event, &[]).unwrap().speaks_http2());
        let module = surveyed(PACKAGE, &[("modules.d/280_x.conf", "LoadModule ssl_module x/mod_ssl.so")]).unwrap();
        assert_eq!(module.missing_listens(PORTS), []);
        let defined = "Define TLS\n<IfDefine TLS>\nListen [::]:443\n</IfDefine>\n<IfDefine !TLS>\nListen 0.0.0.0:8443\n</IfDefine>\n";
        assert_eq!(surveyed(defined, &[]).unwrap().listens, BTreeSet::from([443]));
        assert_eq!(surveyed("Listen 192.0.2.1:80\n", &[]).unwrap().missing_listens(PORTS), PORTS);
    }

    #[test]
    fn the_same_name_is_in_the_way() {
        for (site, line) in [
            ("<VirtualHost *:80>\nServerName Social.example.org\n</VirtualHost>", 2),
            ("<VirtualHost _default_:443>\n\nServerName https://example.org:443\n</VirtualHost>", 3),
            ("<VirtualHost *>\nServerName x.y\nServerAlias a.b *.example.org\n</VirtualHost>", 3),
            ("<VirtualHost 127.0.0.1:80 *:80>\n<IfModule !x>\nServerAlias example.org\n</IfModule>\n</VirtualHost>", 3),
        ] {
            let told = told(site);
            assert_eq!(told.len(), 1, "{site} {told:?}");
            let start = format!("{FOLDER}/Includes/a.conf:{line}: this VirtualHost answers for ");
            assert!(told[0].starts_with(&start), "{told:?}");
        }
    }

    #[test]
    fn other_names_and_ports_are_not_in_the_way() {
        for site in [
            "ServerName social.example.org:80\n",
            "<VirtualHost *:8080>\nServerName social.example.org\n</VirtualHost>",
            "<VirtualHost [::1]:80 localhost:443>\nServerName social.example.org\n</VirtualHost>",
            "<VirtualHost *:80>\nServerName www.example.org\nServerAlias ?.example.org\n#ServerAlias example.org\n</VirtualHost>",
            "<IfModule nowhere_module>\n<VirtualHost *:80>\nServerName example.org\n</VirtualHost>\n</IfModule>",
            "<Macro Site $name>\n<VirtualHost *:80>\nServerName example.org\n</VirtualHost>\n</Macro>",
        ] {
            assert_eq!(told(site), Vec::<String>::new(), "{site}");
        }
    }

    #[test]
    fn an_address_of_its_own_is_in_the_way() {
        let told = told("<VirtualHost 192.0.2.1:443 [2001:db8::1]>\nServerName x.y\n</VirtualHost>");
        assert_eq!(told.len(), 2);
        assert!(told[0].contains("a.conf:1: this VirtualHost listens on 192.0.2.1 alone"), "{told:?}");
        assert!(told[1].contains("listens on 2001:db8::1 alone"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let told = |text: &str| surveyed(text, &[]).unwrap_err().to_string();
        assert!(told("\n<VirtualHost *:80>\n").starts_with("/usr/local/etc/apache24/httpd.conf:2: the section"));
        assert!(told("Include etc/none.conf").contains("httpd.conf:1: /usr/local/etc/none.conf cannot be read"));
        assert!(told("Include etc/apache24/httpd.conf").contains("include each other"));
        assert!(surveyed("IncludeOptional etc/none.conf", &[]).is_ok());
        let host: HostName = "a.example".parse().unwrap();
        let nothing = survey(&main(), &Texts::default(), &Wanted { names: &[&host], ports: PORTS }, &own());
        assert!(nothing.unwrap_err().to_string().contains("httpd.conf cannot be read"));
    }

    #[test]
    fn folders_are_included_whole() {
        let text = "Include etc/apache24/Includes\n";
        let survey = surveyed(text, &[("Includes/x/a", "Listen 443"), ("Includes/b", "Listen 80")]).unwrap();
        assert!(survey.includes_own_file && survey.listens == BTreeSet::from([80, 443]));
        assert!(!surveyed("Include etc/apache24/Includes/[a-y]*.conf", &[]).unwrap().includes_own_file);
    }

    #[test]
    fn an_include_is_appended_and_taken_out() {
        let bare = PACKAGE.replace("Include etc/apache24/Includes/*.conf\n", "");
        assert!(!surveyed(&bare, &[]).unwrap().includes_own_file);
        let edited = with_include(&main(), bare.as_bytes(), &own()).unwrap();
        let text = String::from_utf8(edited.clone()).unwrap();
        assert_eq!(text, format!("{bare}{MARK}\nIncludeOptional \"{}\"\n", own().display()));
        assert!(surveyed(&text, &[]).unwrap().includes_own_file);
        assert_eq!(with_include(&main(), &edited, &own()).unwrap(), edited);
        assert_eq!(without_include(&edited), bare.as_bytes());
        assert!(with_include(&main(), b"<a>", &own()).is_err());
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "([a-z #]{0,8}\r?\n){0,3}[a-z #]{0,4}") {
            let edited = with_include(&main(), text.as_bytes(), &own()).unwrap();
            prop_assert_ne!(&edited, text.as_bytes());
            prop_assert_eq!(without_include(&edited), text.as_bytes());
        }
    }
}
