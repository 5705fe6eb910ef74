//! The port: its generated files agree with Cargo.lock, and `tools/port-crates`, which makes them, refuses what it should.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

const PORT: &str = "port/sysutils/gts-bootstrap";

fn committed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn of_port(name: &str) -> String {
    committed(&format!("{PORT}/{name}"))
}

/// Name with version, and digest, of every crate that Cargo.lock takes from elsewhere.
fn locked() -> Vec<(String, String)> {
    let lock: toml::Table = committed("Cargo.lock").parse().unwrap();
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap().to_owned();
    lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| package.get("source").is_some())
        .map(|package| (format!("{}-{}", text(package, "name"), text(package, "version")), text(package, "checksum")))
        .collect()
}

#[test]
fn the_crates_are_those_of_cargo_lock() {
    let listed: Vec<String> = of_port("Makefile.crates")
        .strip_prefix("CARGO_CRATES=")
        .unwrap()
        .lines()
        .map(|line| line.trim_end_matches('\\').trim().to_owned())
        .collect();
    let locked: Vec<String> = locked().into_iter().map(|(name, _)| name).collect();
    assert!(!locked.is_empty());
    assert_eq!(listed, locked, "run tools/port-crates");
}

#[test]
fn the_digests_are_those_of_cargo_lock() {
    let distinfo = of_port("distinfo");
    let mut lines = distinfo.lines();
    assert!(lines.next().unwrap().strip_prefix("TIMESTAMP = ").unwrap().parse::<u64>().is_ok());
    for (name, digest) in locked() {
        assert_eq!(
            lines.next(),
            Some(format!("SHA256 (rust/crates/{name}.crate) = {digest}").as_str()),
            "run tools/port-crates"
        );
        let size = lines.next().unwrap().strip_prefix(&format!("SIZE (rust/crates/{name}.crate) = ")).unwrap();
        assert!(size.parse::<u64>().unwrap() > 0);
    }
    assert_eq!(lines.next(), None);
}

#[test]
fn the_port_is_of_this_version_and_what_it_installs_is_there() {
    let makefile = of_port("Makefile");
    assert!(makefile.contains(concat!("\nDISTVERSION=\t", env!("CARGO_PKG_VERSION"), "\n")), "{makefile}");
    for used in ["LICENSE", "man/gts-bootstrap.8", "docs/answers.md", "examples/direct.toml"] {
        assert!(!committed(used).is_empty());
    }
    // The ports tree wants at most 70 characters, no article and no full stop.
    let comment = makefile.lines().find_map(|line| line.strip_prefix("COMMENT=\t")).unwrap();
    assert!(comment.len() <= 70 && !comment.ends_with('.'), "{comment}");
}

/// What stands in the list of files is what the Makefile installs, and the completions are of every shell that the program knows.
#[test]
fn program_manual_page_and_completions_are_installed_where_the_shells_look() {
    let makefile = of_port("Makefile").replace("\\\n", " ").replace("${PORTNAME}", "gts-bootstrap");
    let plist = of_port("pkg-plist");
    let installed: BTreeSet<String> = makefile
        .lines()
        .filter(|line| line.starts_with("\t${INSTALL_DATA} ${WRKDIR}/"))
        .map(|line| line.split_whitespace().last().unwrap())
        .map(|path| path.replace("${STAGEDIR}${PREFIX}/", "").replace("${STAGEDIR}${DATADIR}", "%%DATADIR%%"))
        .chain(["sbin/gts-bootstrap".to_owned(), "share/man/man8/gts-bootstrap.8.gz".to_owned()])
        .collect();
    assert_eq!(plist.lines().map(str::to_owned).collect::<BTreeSet<_>>(), installed);
    let shells: Vec<&str> =
        makefile.lines().find_map(|line| line.strip_prefix(".for shell in ")).unwrap().split(' ').collect();
    let known: Vec<&str> = ["bash", "fish", "tcsh", "zsh"].to_vec();
    assert_eq!(shells, known);
    for shell in shells {
        let script = Command::new(env!("CARGO_BIN_EXE_gts-bootstrap")).args(["completions", shell]).output().unwrap();
        assert!(script.status.success() && !script.stdout.is_empty(), "{shell}");
        assert!(makefile.contains(&format!("${{WRKDIR}}/completions.{shell} ")), "{shell} is not installed");
    }
}

/// The script in a tree of its own, with a Cargo.lock and a cache of our making.
struct Tree(TempDir);

impl Tree {
    /// With these crates locked and in the cache: name, version, content.
    fn with(crates: &[(&str, &str, &str)]) -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for folder in ["tools", PORT] {
            fs::create_dir_all(tree.path(folder)).unwrap();
        }
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/port-crates"), tree.path("tools/port-crates"))
            .unwrap();
        let mut lock =
            "version = 4\n\n[[package]]\nname = \"ours\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n]\n"
                .to_owned();
        for (name, version, content) in crates {
            lock += &package(name, version, "registry+https://registry.example/index", &digest(content));
            tree.cache(name, version, content);
        }
        fs::write(tree.path("Cargo.lock"), lock).unwrap();
        tree
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn cache(&self, name: &str, version: &str, content: &str) {
        let folder = self.path("cargo/registry/cache/registry.example-0123456789abcdef");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(format!("{name}-{version}.crate")), content).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("sh")
            .arg(self.path("tools/port-crates"))
            .args(arguments)
            .env("CARGO_HOME", self.path("cargo"))
            .output()
            .unwrap()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(PORT).join(name)).unwrap()
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], words: &[&str]) {
        let output = self.run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in: {said}");
        }
        for file in ["Makefile.crates", "distinfo"] {
            assert!(!self.path(PORT).join(file).exists(), "{file} was written all the same");
        }
    }
}

fn digest(content: &str) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn package(name: &str, version: &str, source: &str, checksum: &str) -> String {
    format!(
        "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\nchecksum = \"{checksum}\"\n"
    )
}

#[test]
fn the_script_makes_both_files_and_keeps_the_time_as_long_as_nothing_changes() {
    let tree = Tree::with(&[("a", "1.0.0", "hello"), ("b-c", "0.2.1+meta.4", "worlds")]);
    assert!(tree.run(&[]).status.success());
    assert_eq!(tree.read("Makefile.crates"), "CARGO_CRATES=\ta-1.0.0 \\\n\t\tb-c-0.2.1+meta.4\n");
    let expected = format!(
        "SHA256 (rust/crates/a-1.0.0.crate) = {}\nSIZE (rust/crates/a-1.0.0.crate) = 5\n\
         SHA256 (rust/crates/b-c-0.2.1+meta.4.crate) = {}\nSIZE (rust/crates/b-c-0.2.1+meta.4.crate) = 6\n",
        digest("hello"),
        digest("worlds")
    );
    assert_eq!(tree.read("distinfo").split_once('\n').unwrap().1, expected);

    fs::write(tree.path(PORT).join("distinfo"), format!("TIMESTAMP = 1\n{expected}")).unwrap();
    assert!(tree.run(&[]).status.success());
    assert_eq!(tree.read("distinfo"), format!("TIMESTAMP = 1\n{expected}"));
    fs::write(tree.path(PORT).join("distinfo"), "TIMESTAMP = 1\nSIZE (rust/crates/a-0.9.0.crate) = 4\n").unwrap();
    assert!(tree.run(&[]).status.success());
    assert!(!tree.read("distinfo").starts_with("TIMESTAMP = 1\n"));
}

#[test]
fn a_crate_that_is_not_in_the_cache_is_named_with_the_cure() {
    let tree = Tree::with(&[("a", "1.0.0", "hello"), ("b", "2.0.0", "world")]);
    fs::remove_file(tree.path("cargo/registry/cache/registry.example-0123456789abcdef/b-2.0.0.crate")).unwrap();
    tree.refuses(&[], &["b-2.0.0.crate", "cargo fetch --locked"]);
    assert!(tree.run(&["crates"]).status.success(), "the list needs no cache");
}

#[test]
fn a_crate_with_another_digest_is_refused() {
    let tree = Tree::with(&[("a", "1.0.0", "hello")]);
    tree.cache("a", "1.0.0", "evil!");
    tree.refuses(&[], &["a-1.0.0.crate does not have the digest of Cargo.lock"]);
}

#[test]
fn what_a_port_cannot_take_from_a_registry_is_refused() {
    let tree = Tree::with(&[("a", "1.0.0", "hello")]);
    let lock = fs::read_to_string(tree.path("Cargo.lock")).unwrap();
    let forked = package("forked", "0.3.0", "git+https://git.example/forked#abc", &digest(""));
    fs::write(tree.path("Cargo.lock"), format!("{lock}{forked}")).unwrap();
    tree.refuses(&[], &["forked 0.3.0 is not from a registry"]);
    Tree::with(&[]).refuses(&[], &["Cargo.lock names no crate"]);
    Tree::with(&[("a", "1.0.0", "hello")]).refuses(&["distinfos"], &["distinfos"]);
}

#[test]
fn shellcheck_has_nothing_to_say_about_the_script() {
    match Command::new("shellcheck").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/port-crates")).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("shellcheck is not installed: nothing was checked")
        }
        Err(error) => panic!("shellcheck: {error}"),
    }
}
