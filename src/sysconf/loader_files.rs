//! The files that loader(8) reads its configuration from, in its order.
//!
//! As `config.readConf()` in `stand/lua/config.lua` does it: it begins with `/boot/defaults/loader.conf`. What a file
//! names in `loader_conf_files` is read right after that file, no file twice. When all that is done it reads the
//! `*.conf` files in the folders of `loader_conf_dirs`, and, from 14.1 on, what `local_loader_conf_files` names.
//! Until then `/boot/loader.conf.local` stands in `loader_conf_files`, and so comes *before* `/boot/loader.conf.d`.
//!
//! In a folder the loader takes the files as the file system has them, in no order to rely on; here they are sorted.
//! Left out: files in Lua (from 15 on), `product_vars`, and `/boot/nextboot.conf`, which is for one boot only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::loader_conf;

/// The first file. Which others there are stands in it.
const DEFAULTS: &str = "/boot/defaults/loader.conf";
/// What a root without that file is taken to have: the defaults of 14.1.
const DEFAULTS_OF_14_1: &str = "\
loader_conf_files=\"/boot/device.hints /boot/loader.conf\"
loader_conf_dirs=\"/boot/loader.conf.d\"
local_loader_conf_files=\"/boot/loader.conf.local\"
";

/// One of the files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoaderFile {
    /// Where it is, as a path of the host.
    pub path: String,
    /// What is in it.
    pub text: Vec<u8>,
}

/// Reads them all. `text` gives what is in a file, `list` the names in a folder. A file that is named and not there is
/// passed over, as the loader does.
///
/// # Errors
/// Those of `text` and `list`.
pub fn read<E>(
    text: impl Fn(&Path) -> Result<Option<Vec<u8>>, E>,
    list: impl Fn(&Path) -> Result<Vec<String>, E>,
) -> Result<Vec<LoaderFile>, E> {
    let mut seen = BTreeSet::new();
    let mut files = Vec::new();
    // Reads a file, and then those that it names.
    let mut read = |files: &mut Vec<LoaderFile>, first: String| {
        let mut next = vec![first];
        while let Some(path) = next.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            let place = Path::new("/").join(&path);
            let text = match text(&place)? {
                None if path != DEFAULTS => continue,
                text => text.unwrap_or_else(|| DEFAULTS_OF_14_1.into()),
            };
            next.extend(words(loader_conf::FILE.get(&text, "loader_conf_files")).into_iter().rev());
            files.push(LoaderFile { path: place.to_string_lossy().into_owned(), text });
        }
        Ok(())
    };
    // The words of a variable, as the files set it that have been read so far.
    let named = |files: &[LoaderFile], variable| {
        words(files.iter().rev().find_map(|file| loader_conf::FILE.get(&file.text, variable)))
    };
    read(&mut files, DEFAULTS.to_owned())?;
    for folder in named(&files, "loader_conf_dirs") {
        // “.conf$” is a pattern of Lua: any character, then “conf”.
        let is_conf = |name: &&String| name.ends_with("conf") && name.len() > "conf".len();
        for name in list(Path::new(&folder))?.iter().filter(is_conf) {
            read(&mut files, format!("{folder}/{name}"))?;
        }
    }
    named(&files, "local_loader_conf_files").into_iter().try_for_each(|name| read(&mut files, name))?;
    Ok(files)
}

/// Every variable with the value that it has after all files have been read.
pub fn variables(files: &[LoaderFile]) -> BTreeMap<String, String> {
    let settings = files.iter().flat_map(|file| loader_conf::FILE.settings(&file.text));
    settings.map(|setting| (setting.name, setting.value)).collect()
}

/// The modules of the kernel that the loader loads, if it can find them.
pub fn modules(files: &[LoaderFile]) -> BTreeSet<String> {
    let variables = variables(files);
    let in_name = |character: char| character.is_ascii_alphanumeric() || matches!(character, '-' | '_');
    let blacklist = variables.get("module_blacklist").map(String::as_str).unwrap_or_default();
    let is_barred = |name: &str| blacklist.split(|character| !in_name(character)).any(|word| word == name);
    variables
        .iter()
        .filter(|(_, value)| loader_conf::loads(value))
        .filter_map(|(key, _)| key.strip_suffix("_load"))
        .map(|key| variables.get(&format!("{key}_name")).map_or(key, String::as_str))
        .filter(|name| !is_barred(name))
        .map(str::to_owned)
        .collect()
}

/// Lua's `[%w%p]+`.
fn words(text: Option<String>) -> Vec<String> {
    let words = text.iter().flat_map(|text| text.split(|character: char| !character.is_ascii_graphic()));
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::path::PathBuf;

    /// A root in memory.
    #[derive(Default)]
    struct Root(BTreeMap<PathBuf, String>);

    impl Root {
        fn with(mut self, path: &str, text: &str) -> Self {
            self.0.insert(PathBuf::from(path), text.to_owned());
            self
        }

        fn read(&self) -> Vec<LoaderFile> {
            let text = |path: &Path| Ok::<_, Infallible>(self.0.get(path).map(|text| text.clone().into_bytes()));
            let list = |folder: &Path| {
                let inside = self.0.keys().filter(|path| path.parent() == Some(folder));
                Ok(inside.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect())
            };
            read(text, list).unwrap()
        }

        fn paths(&self) -> Vec<String> {
            self.read().into_iter().map(|file| file.path).collect()
        }
    }

    const IN_13: &str = "loader_conf_files=\"/boot/device.hints /boot/loader.conf /boot/loader.conf.local\"\n\
                         loader_conf_dirs=\"/boot/loader.conf.d\"\n";

    #[test]
    fn a_local_file_comes_last_from_14_1_on_and_before_the_folder_until_then() {
        let root = Root::default()
            .with("/boot/loader.conf", "")
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
        assert_eq!(root.with(DEFAULTS, IN_13).paths(), [DEFAULTS, conf, local, a, b]);
    }

    #[test]
    fn a_file_that_another_one_names_is_read_right_after_it_and_once() {
        let root = Root::default()
            .with("/boot/loader.conf", "loader_conf_files=\"/boot/mine /boot/loader.conf /nowhere /boot\"\na.b=\"1\"\n")
            .with("/boot/mine", "a.b=\"2\"\nloader_conf_files=\"/boot/yours\"\n")
            .with("/boot/yours", "loader_conf_dirs=\"\"\nmac_portacl_load=yes\n")
            .with("/boot/loader.conf.d/a.conf", "")
            .with("/boot/loader.conf.local", "");
        let paths = [DEFAULTS, "/boot/loader.conf", "/boot/mine", "/boot/yours", "/boot/loader.conf.local"];
        assert_eq!(root.paths(), paths);
        let files = root.read();
        assert_eq!(variables(&files).get("a.b").map(String::as_str), Some("2"));
        assert_eq!(modules(&files), BTreeSet::from(["mac_portacl".to_owned()]));
    }

    #[test]
    fn a_module_on_the_blacklist_or_under_another_name_is_not_loaded() {
        let loads = |text: &str| {
            let text = format!("mac_portacl_load=\"YES\"\n{text}\n").into_bytes();
            modules(&[LoaderFile { path: "/boot/loader.conf".to_owned(), text }]).contains("mac_portacl")
        };
        assert!(loads("module_blacklist=\"drm mac_portacl2\""));
        assert!(!loads("module_blacklist=\"drm,mac_portacl\""));
        assert!(!loads("mac_portacl_name=\"/boot/other\""));
        assert!(!loads("mac_portacl_load=\"NO\""));
        assert!(loads("mac_portacl_load=\"NO\"\nports_load=yes\nports_name=mac_portacl"));
    }
}
