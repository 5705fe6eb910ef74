//! The files that loader(8) reads its configuration from, in its order.
//!
//! As `config.readConf()` in `stand/lua/config.lua` does it: it begins with `/boot/defaults/loader.conf`. What a file
//! names in `loader_conf_files` is read right after that file, no file twice. When all that is done it reads the
//! `*.conf` files in the folders of `loader_conf_dirs`, and, from 14.1 on, what `local_loader_conf_files` names.
//! Until then `/boot/loader.conf.local` stands in `loader_conf_files`, and so comes *before* `/boot/loader.conf.d`.
//!
//! In a folder the loader takes the files as the file system has them, in no order to rely on; here they are sorted.
//! Left out: files in Lua (from 15 on), `product_vars`, and `/boot/nextboot.conf`, which is for one boot only.

use std::collections::BTreeSet;
use std::path::Path;

use super::loader_conf;
use crate::host::{Entry, HostError, Observe};

/// The first file. Which others there are stands in it.
const DEFAULTS: &str = "/boot/defaults/loader.conf";
/// What stands there since 14.1, for a root that has no such file.
const DEFAULT_FILES: &str = "/boot/device.hints /boot/loader.conf";
const DEFAULT_FOLDERS: &str = "/boot/loader.conf.d";
const DEFAULT_LOCAL: &str = "/boot/loader.conf.local";

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderFile {
    /// Where it is, as a path of the host.
    pub path: String,
    /// What is in it.
    pub text: Vec<u8>,
}

/// Reads them all. A file that is named and not there is passed over, as the loader does.
///
/// # Errors
/// A file that is there cannot be read.
pub fn read(host: &dyn Observe) -> Result<Vec<LoaderFile>, HostError> {
    let mut reading = Reading { host, seen: BTreeSet::new(), files: Vec::new() };
    reading.read(DEFAULTS)?;
    if reading.files.is_empty() {
        reading.read_all(DEFAULT_FILES)?;
    }
    let there = reading.seen.len() > 1 && reading.files.first().is_some_and(|file| file.path == DEFAULTS);
    let or = |set: Option<String>, default: &str| if there { set } else { Some(set.unwrap_or(default.to_owned())) };
    for folder in words(&or(variable(&reading.files, "loader_conf_dirs"), DEFAULT_FOLDERS).unwrap_or_default()) {
        for name in host.list(Path::new(&folder))?.iter().filter(|name| name.ends_with("conf")) {
            // “.conf$” is a pattern of Lua: any character, then “conf”.
            if name.len() > "conf".len() {
                reading.read(&format!("{folder}/{name}"))?;
            }
        }
    }
    let local = or(variable(&reading.files, "local_loader_conf_files"), DEFAULT_LOCAL);
    reading.read_all(&local.unwrap_or_default())?;
    Ok(reading.files)
}

/// The value that a variable has after all files have been read.
#[must_use]
pub fn variable(files: &[LoaderFile], name: &str) -> Option<String> {
    files.iter().rev().find_map(|file| loader_conf::get(&file.text, name))
}

/// Whether the loader loads that module of the kernel, if it can find it.
#[must_use]
pub fn loads(files: &[LoaderFile], module: &str) -> bool {
    let is_on = variable(files, &format!("{module}_load")).is_some_and(|value| value.eq_ignore_ascii_case("yes"));
    let is_it = variable(files, &format!("{module}_name")).is_none_or(|name| name == module);
    let blacklist = variable(files, "module_blacklist").unwrap_or_default();
    let in_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    is_on && is_it && !blacklist.split(|character| !in_name(character)).any(|word| word == module)
}

struct Reading<'a> {
    host: &'a dyn Observe,
    seen: BTreeSet<String>,
    files: Vec<LoaderFile>,
}

impl Reading<'_> {
    fn read(&mut self, path: &str) -> Result<(), HostError> {
        if !self.seen.insert(path.to_owned()) {
            return Ok(());
        }
        let place = Path::new("/").join(path);
        if !matches!(self.host.entry(&place)?, Some(Entry::File { .. } | Entry::Symlink { .. })) {
            return Ok(());
        }
        let Some(text) = self.host.read(&place)? else { return Ok(()) };
        let more = loader_conf::get(&text, "loader_conf_files").unwrap_or_default();
        self.files.push(LoaderFile { path: place.to_string_lossy().into_owned(), text });
        self.read_all(&more)
    }

    fn read_all(&mut self, names: &str) -> Result<(), HostError> {
        words(names).iter().try_for_each(|name| self.read(name))
    }
}

/// Lua's `[%w%p]+`.
fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_ascii_graphic())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::host::rehearsal::Rehearsal;
    use crate::host::{Host, Owner};

    struct Root {
        host: Rehearsal,
        _folder: tempfile::TempDir,
    }

    impl Root {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            Root { host: Rehearsal::open(folder.path()).unwrap(), _folder: folder }
        }

        fn with(self, path: &str, text: &str) -> Self {
            self.host.write_file(Path::new(path), text.as_bytes(), 0o644, Owner::ROOT).unwrap();
            self
        }

        fn paths(&self) -> Vec<String> {
            read(&self.host).unwrap().into_iter().map(|file| file.path).collect()
        }
    }

    const IN_13: &str = "loader_conf_files=\"/boot/device.hints /boot/loader.conf /boot/loader.conf.local\"\n\
                         loader_conf_dirs=\"/boot/loader.conf.d\"\n";

    #[test]
    fn a_local_file_comes_last_from_14_1_on_and_before_the_folder_until_then() {
        let root = Root::new()
            .with("/boot/loader.conf.local", "")
            .with("/boot/loader.conf.d/b.conf", "")
            .with("/boot/loader.conf.d/a.conf", "")
            .with("/boot/loader.conf.d/a.txt", "");
        let [conf, local, a, b] = [
            "/boot/loader.conf",
            "/boot/loader.conf.local",
            "/boot/loader.conf.d/a.conf",
            "/boot/loader.conf.d/b.conf",
        ];
        assert_eq!(root.paths(), [DEFAULTS, conf, a, b, local]);
        let root = root.with(DEFAULTS, IN_13);
        assert_eq!(root.paths(), [DEFAULTS, conf, local, a, b]);
        root.host.remove(Path::new(DEFAULTS)).unwrap();
        assert_eq!(root.paths(), [conf, a, b, local]);
    }

    #[test]
    fn a_file_that_another_one_names_is_read_right_after_it_and_once() {
        let root = Root::new()
            .with("/boot/loader.conf", "loader_conf_files=\"/boot/mine /boot/loader.conf /nowhere /boot\"\na.b=\"1\"\n")
            .with("/boot/mine", "a.b=\"2\"\nloader_conf_files=\"/boot/yours\"\n")
            .with("/boot/yours", "loader_conf_dirs=\"\"\nmac_portacl_load=yes\n")
            .with("/boot/loader.conf.d/a.conf", "")
            .with("/boot/loader.conf.local", "");
        let paths = [DEFAULTS, "/boot/loader.conf", "/boot/mine", "/boot/yours", "/boot/loader.conf.local"];
        assert_eq!(root.paths(), paths);
        let files = read(&root.host).unwrap();
        assert_eq!(variable(&files, "a.b").as_deref(), Some("2"));
        assert!(loads(&files, "mac_portacl"));
        assert!(!loads(&files, "zfs"));
    }

    #[test]
    fn a_module_on_the_blacklist_or_under_another_name_is_not_loaded() {
        let files = |text: &str| {
            let text = format!("mac_portacl_load=\"YES\"\n{text}\n").into_bytes();
            vec![LoaderFile { path: "/boot/loader.conf".to_owned(), text }]
        };
        assert!(loads(&files("module_blacklist=\"drm mac_portacl2\""), "mac_portacl"));
        assert!(!loads(&files("module_blacklist=\"drm,mac_portacl\""), "mac_portacl"));
        assert!(!loads(&files("mac_portacl_name=\"/boot/other\""), "mac_portacl"));
        assert!(!loads(&files("mac_portacl_load=\"NO\""), "mac_portacl"));
    }
}
