//! What Apache serves, and which of it is in the way of our site.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::syntax::parse;
use crate::front::config_files::{
    ConfigError, ConfigFiles, ConfigPlace, Directive, covers, included, is_pattern, matches,
};
use crate::front::site::{
    CHALLENGES, Listen, Served, Site, Socket, Survey, Wanted, address_and_port, is_every, target,
};

/// Defined (`httpd -D`) while a candidate is tested: our file in the folder of includes then holds nothing, so that the
/// candidate can take its place.
pub(super) const TESTING: &str = "GTS_BOOTSTRAP_TEST";

/// Our file, below Apache's configuration folder.
pub(super) const OWN_FILE: &str = "Includes/zz-gts-bootstrap.conf";

/// How Apache spreads its work where FreeBSD's package has not been changed.
const PREFORK: &str = "mpm_prefork_module";

/// Looks through `httpd.conf` and all that it includes, our own file left out.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as Apache reads it.
pub(super) fn survey(main: &Path, files: &dyn ConfigFiles, wanted: &Wanted<'_>) -> Result<Survey, ConfigError> {
    let reading = read(main, files, false, None)?;
    // A pattern in `ServerAlias` counts: the first virtual host that fits is taken, not the one that fits best.
    let conflicts = |site: &Site| site.conflicts(wanted, "VirtualHost", |ours, name| matches(name, ours.as_str()));
    let (held, missing_listens): (Vec<_>, _) =
        wanted.ports.into_iter().partition(|port| reading.every_address.contains(&port.get()));
    // Under the prefork module `mod_http2` leaves HTTP/2 out (its log message AH10034).
    let note = "Apache runs its prefork module here, with which it does not speak HTTP/2; everything else works";
    Ok(Survey {
        conflicts: reading.served.sites.iter().flat_map(conflicts).collect(),
        held: held.first().map(|port| (port.get(), None)),
        // A second line for the same port would keep Apache from starting.
        missing_listens,
        notes: reading.modules.contains(PREFORK).then_some(note).into_iter().collect(),
    })
}

/// What it serves. The first site is the main server.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as Apache reads it.
pub(super) fn served(main: &Path, files: &dyn ConfigFiles, testing: bool) -> Result<Served, ConfigError> {
    Ok(read(main, files, true, testing.then_some(TESTING))?.served)
}

/// The account of its children, if one is named.
pub(super) fn account(main: &Path, files: &dyn ConfigFiles) -> Option<String> {
    read(main, files, false, None).ok()?.account
}

/// Our file, for a main file.
pub(super) fn own_file(main: &Path) -> PathBuf {
    main.with_file_name(OWN_FILE)
}

/// Reads `httpd.conf` and all that it includes.
///
/// Conditions are followed where they can be: `IfModule` by the modules that were loaded before, `IfDefine` by the
/// names that were defined before. What stands under any other is taken to hold.
///
/// # Errors
/// [`ConfigError`]: a file is missing or cannot be read as Apache reads it.
pub(super) fn read<'a>(
    main: &Path,
    files: &'a dyn ConfigFiles,
    with_own: bool,
    defined: Option<&str>,
) -> Result<Reading<'a>, ConfigError> {
    let place = ConfigPlace::start(main);
    let mut reading = Reading {
        files,
        own: own_file(main),
        with_own,
        // The port's; a ServerRoot in the file takes its place.
        root: "/usr/local".into(),
        modules: BTreeSet::new(),
        defined: defined.into_iter().map(str::to_owned).collect(),
        includes_own: false,
        every_address: BTreeSet::new(),
        account: None,
        served: Served { sites: vec![Site { place: place.clone(), ..Site::default() }], ..Served::default() },
    };
    let main = included(files, main, &place, 0)?;
    reading.files(main, 0, 0)?;
    Ok(reading)
}

/// Where Apache stands in its reading.
pub(super) struct Reading<'a> {
    files: &'a dyn ConfigFiles,
    own: PathBuf,
    with_own: bool,
    root: PathBuf,
    modules: BTreeSet<String>,
    defined: BTreeSet<String>,
    /// Whether our file is included, or would be if it were there.
    pub(super) includes_own: bool,
    /// The ports that Apache listens on at every address, of one family at least.
    every_address: BTreeSet<u16>,
    /// What `User` says outside of all virtual hosts.
    account: Option<String>,
    served: Served,
}

impl Reading<'_> {
    /// Reads files in their order. `site`: the number of the one that they are read in, 0 for the main server.
    fn files(&mut self, files: Vec<(PathBuf, Vec<u8>)>, site: usize, depth: usize) -> Result<(), ConfigError> {
        for (file, text) in files {
            if self.with_own || file != self.own {
                self.directives(&parse(&file, &text)?, site, depth)?;
            }
        }
        Ok(())
    }

    fn directives(&mut self, directives: &[Directive], site: usize, depth: usize) -> Result<(), ConfigError> {
        for directive in directives {
            let (first, place) = (directive.word(1), &directive.place);
            let block = directive.block.as_deref().unwrap_or_default();
            match directive.name() {
                "serverroot" => self.root = first.into(),
                "loadmodule" => self.load(place, first, directive.word(2)),
                "define" => drop(self.defined.insert(first.to_owned())),
                "undefine" => drop(self.defined.remove(first)),
                "listen" => self.listen(first),
                "user" if site == 0 => self.account = Some(first.to_owned()),
                "include" | "includeoptional" => self.include(directive, site, depth + 1)?,
                "<virtualhost" => {
                    let listens = directive.arguments().iter().map(|value| Listen::at(place, value)).collect();
                    self.served.sites.push(Site { place: place.clone(), listens, ..Site::default() });
                    self.directives(block, self.served.sites.len() - 1, depth)?;
                }
                "<ifmodule" if !holds(first, &self.modules) => {}
                "<ifdefine" if !holds(first, &self.defined) => {}
                "<macro" => {}
                _ => {
                    describe(&mut self.served.sites[site], directive, &self.root);
                    self.directives(block, site, depth)?;
                }
            }
        }
        Ok(())
    }

    /// A module is known by its own name and by its file's: `ssl_module` and `mod_ssl.c`.
    fn load(&mut self, place: &ConfigPlace, name: &str, file: &str) {
        let file = self.root.join(file);
        let source = file.file_stem().map(|stem| format!("{}.c", stem.to_string_lossy()));
        self.modules.extend(source.into_iter().chain([name.to_owned()]));
        self.served.needs.push((place.clone(), file));
    }

    fn listen(&mut self, value: &str) {
        let (address, Some(Ok(port))) = (address_and_port(value).0, address_and_port(value).1.map(str::parse)) else {
            return;
        };
        if is_every(address) {
            self.every_address.insert(port);
        }
        // Without an address it takes both families, on every system, however Apache was built (docs: bind.html).
        let ip = address.parse::<IpAddr>().ok();
        for ipv6 in [true, false].into_iter().filter(|six| ip.is_none_or(|ip| ip.is_ipv6() == *six)) {
            let address = ip.filter(|ip| !ip.is_unspecified());
            let socket = Socket { address, ipv6, port, optional: ip.is_none() && ipv6 };
            if !self.served.sockets.contains(&socket) {
                self.served.sockets.push(socket);
            }
        }
    }

    fn include(&mut self, directive: &Directive, site: usize, depth: usize) -> Result<(), ConfigError> {
        let pattern = self.root.join(directive.word(1));
        // A folder stands for all files below it.
        let folder = !is_pattern(&pattern) && !self.files.names(&pattern).is_empty();
        self.includes_own |= covers(&pattern, &self.own) || (folder && self.own.starts_with(&pattern));
        let optional = directive.name() == "includeoptional" || pattern == self.own;
        let found = match included(self.files, &pattern, &directive.place, depth) {
            Err(missing @ ConfigError::Missing { .. }) if folder => match below(self.files, &pattern) {
                files if files.is_empty() && !optional => return Err(missing),
                files => files,
            },
            Err(ConfigError::Missing { .. }) if optional => Vec::new(),
            found => found?,
        };
        self.files(found, site, depth)
    }
}

/// Takes note of what a directive says of the site in which it stands.
fn describe(site: &mut Site, directive: &Directive, root: &Path) {
    let (first, second) = (directive.word(1), directive.word(2));
    match directive.name() {
        "servername" | "serveralias" => {
            // ServerName may have a scheme and a port.
            let bare = |name: &String| {
                let name = name.split_once("://").map_or(name.as_str(), |(_, name)| name);
                (directive.place.clone(), name.split(':').next().unwrap_or_default().to_ascii_lowercase())
            };
            site.names.extend(directive.arguments().iter().map(bare));
        }
        "sslengine" => {
            let tls = first.eq_ignore_ascii_case("on");
            site.listens.iter_mut().for_each(|listen| listen.tls = tls);
        }
        "sslcertificatefile" => {
            let chain = root.join(first);
            // The key may stand in the same file.
            let key = site.pair.take().map(|[_, key]| key).unwrap_or_else(|| chain.clone());
            site.pair = Some([chain, key]);
        }
        "sslcertificatekeyfile" => site.pair.get_or_insert_default()[1] = root.join(first),
        "proxypass" => {
            let backend = || second.strip_prefix("http://")?.split('/').next()?.parse().ok();
            site.backend = site.backend.or_else(backend);
        }
        "alias" if first.strip_prefix('/') == Some(CHALLENGES) => site.challenges = Some(root.join(second)),
        "redirect" | "redirectmatch" | "redirectpermanent" | "redirecttemp" => match directive.arguments() {
            [.., path, to] if to.starts_with("https://") => site.redirects.push((beginning(path), target(to))),
            [status, path] if status.starts_with('4') && path == "/" => site.turns_away = true,
            _ => {}
        },
        _ => {}
    }
}

/// How every path begins that a pattern of `RedirectMatch` fits: what stands there up to a group of alternatives or
/// something else that is no letter.
fn beginning(pattern: &str) -> String {
    let mut beginning = String::new();
    let pattern = pattern.trim_start_matches('^').replacen('(', "", 1);
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => beginning.extend(letters.next()),
            '(' | '[' | '?' | '*' | '+' | '.' | '|' | '$' => break,
            letter => beginning.push(letter),
        }
    }
    beginning
}

/// Whether a condition holds, which may be negated.
fn holds(condition: &str, known: &BTreeSet<String>) -> bool {
    let negated = condition.strip_prefix('!');
    known.contains(negated.unwrap_or(condition)) == negated.is_none()
}

/// All files below a folder, in the order of their names.
fn below(files: &dyn ConfigFiles, folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut paths: Vec<PathBuf> = files.names(folder).into_iter().map(|name| folder.join(name)).collect();
    paths.sort_unstable();
    let file = |path: PathBuf| match files.read(&path) {
        Some(text) => vec![(path, text)],
        None => below(files, &path),
    };
    paths.into_iter().flat_map(file).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::main_file::tests::{MAIN, PACKAGE};
    use super::*;
    use crate::front::config_files::tests::Texts;
    use crate::net::{HostName, PortNumber};

    const FOLDER: &str = "/usr/local/etc/apache24";
    const PORTS: [PortNumber; 2] = [PortNumber::HTTP, PortNumber::HTTPS];

    fn files(text: &str, more: &[(&str, &str)]) -> Texts {
        let mut files = Texts::of(&[(MAIN, text)]);
        for (name, text) in more {
            files.0.insert(Path::new(FOLDER).join(name), text.as_bytes().to_vec());
        }
        files
    }

    fn surveyed(text: &str, more: &[(&str, &str)]) -> Result<Survey, ConfigError> {
        let (host, domain): (HostName, HostName) =
            ("social.example.org".parse().unwrap(), "example.org".parse().unwrap());
        survey(Path::new(MAIN), &files(text, more), &Wanted { names: &[&host, &domain], ports: PORTS })
    }

    fn missing(text: &str) -> Vec<PortNumber> {
        surveyed(text, &[]).unwrap().missing_listens
    }

    fn includes_own(text: &str) -> bool {
        includes(&files(text, &[]))
    }

    fn includes(files: &Texts) -> bool {
        read(Path::new(MAIN), files, false, None).unwrap().includes_own
    }

    fn told(site: &str) -> Vec<String> {
        let survey = surveyed(PACKAGE, &[("Includes/a.conf", site)]).unwrap();
        survey.conflicts.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_package_needs_our_listen_alone() {
        let survey = surveyed(PACKAGE, &[]).unwrap();
        assert!(includes_own(PACKAGE) && survey.conflicts.is_empty() && survey.notes.len() == 1);
        assert_eq!((survey.missing_listens.as_slice(), &survey.held), (&[PortNumber::HTTPS][..], &Some((80, None))));
        let own = "Listen 443\n<VirtualHost *:443>\nServerName social.example.org\n</VirtualHost>\n";
        assert_eq!(surveyed(PACKAGE, &[(OWN_FILE, own)]).unwrap(), survey);
    }

    #[test]
    fn modules_decide_what_is_read() {
        let ssl = PACKAGE.replace("#LoadModule ssl_module", "LoadModule ssl_module");
        assert_eq!(missing(&ssl), []);
        let by_file = ssl.replace("<IfModule ssl_module>", "<IfModule mod_ssl.c>");
        assert_eq!(missing(&by_file), []);
        let negated = PACKAGE.replace("<IfModule ssl_module>", "<IfModule !ssl_module>");
        assert_eq!(missing(&negated), []);
        let event =
            PACKAGE.replace("#LoadModule mpm_event", "LoadModule mpm_event").replace("LoadModule mpm_prefork", "#");
        assert!(surveyed(&event, &[]).unwrap().notes.is_empty());
        let module = surveyed(PACKAGE, &[("modules.d/280_x.conf", "LoadModule ssl_module x/mod_ssl.so")]).unwrap();
        assert_eq!(module.missing_listens, []);
        let defined = "Define TLS\n<IfDefine TLS>\nListen [::]:443\n</IfDefine>\n<IfDefine !TLS>\nListen 0.0.0.0:8443\n</IfDefine>\n";
        assert_eq!(missing(defined), [PortNumber::HTTP]);
        assert_eq!(missing("Listen 192.0.2.1:80\n"), PORTS);
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
        assert!(told[0].contains("a.conf:1: this VirtualHost listens on 192.0.2.1 only"), "{told:?}");
        assert!(told[1].contains("listens on 2001:db8::1 only"), "{told:?}");
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let told = |text: &str| surveyed(text, &[]).unwrap_err().to_string();
        assert!(told("\n<VirtualHost *:80>\n").starts_with("/usr/local/etc/apache24/httpd.conf:2: the section"));
        assert!(told("Include etc/none.conf").contains("httpd.conf:1: /usr/local/etc/none.conf cannot be read"));
        assert!(told("Include etc/apache24/httpd.conf").contains("include each other"));
        assert!(surveyed("IncludeOptional etc/none.conf", &[]).is_ok());
        let host: HostName = "a.example".parse().unwrap();
        let nothing = survey(Path::new(MAIN), &Texts::default(), &Wanted { names: &[&host], ports: PORTS });
        assert!(nothing.unwrap_err().to_string().contains("httpd.conf cannot be read"));
    }

    #[test]
    fn folders_are_included_whole() {
        let text = "Include etc/apache24/Includes\n";
        let survey = surveyed(text, &[("Includes/x/a", "Listen 443"), ("Includes/b", "Listen 80")]).unwrap();
        assert!(includes_own("Include etc/apache24/Includes/*.conf") && survey.missing_listens.is_empty());
        let whole = files(text, &[("Includes/b", "")]);
        assert!(includes(&whole));
        assert!(!includes_own("Include etc/apache24/Includes/[a-y]*.conf"));
    }
}
