//! The hooks of the tests cost nothing in a release build: of `src/operation.rs`, compiled as the release profile compiles it,
//! nothing is left where it is called.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Words that only a watcher's question for the path, and the watcher itself, bring into the program.
const ASKED: &str = "somebody asks what is about to be done";
const WATCHER: &str = "WATCHER";

/// What a change of a file looks like, with the hooks and without.
fn caller(operation: &Path) -> String {
    format!(
        r#"
#[path = "{}"]
pub mod operation;
use std::fs::File;
use std::io::{{self, Write}};
use std::path::{{Path, PathBuf}};
use operation::{{Operation, about_to, aside, write_all}};

#[inline(never)]
fn path() -> PathBuf {{
    panic!("{ASKED}")
}}

#[unsafe(no_mangle)]
pub fn hooked(file: &mut File, folder: &Path, bytes: &[u8]) -> io::Result<()> {{
    about_to(Operation::MakeFolder, path).and_then(|()| std::fs::create_dir(folder))?;
    write_all(file, bytes, path)?;
    aside(|| file.sync_all())
}}

#[unsafe(no_mangle)]
pub fn plain(file: &mut File, folder: &Path, bytes: &[u8]) -> io::Result<()> {{
    std::fs::create_dir(folder)?;
    file.write_all(bytes)?;
    file.sync_all()
}}
"#,
        operation.display()
    )
}

/// The assembly of the caller.
fn assembly(debug_assertions: bool) -> String {
    let folder = tempfile::tempdir().unwrap();
    let operation = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/operation.rs");
    let (source, output) = (folder.path().join("caller.rs"), folder.path().join("caller.s"));
    fs::write(&source, caller(&operation)).unwrap();
    let compiled = Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit", "asm", "-C", "opt-level=3", "-o"])
        .arg(&output)
        .args(["-C", &format!("debug-assertions={debug_assertions}")])
        .arg(&source)
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    fs::read_to_string(output).unwrap()
}

/// The instructions of one function, without the names of labels.
fn instructions(assembly: &str, function: &str) -> Vec<String> {
    // Some systems put an underscore before each name.
    let labels = [format!("{function}:"), format!("_{function}:")];
    let lines = assembly.lines().map(str::trim).skip_while(|line| !labels.iter().any(|label| line == label)).skip(1);
    let lines = lines.take_while(|line| !line.starts_with(".size") && !line.starts_with(".cfi_endproc"));
    let word = |word: &str| if word.contains(".L") { "LABEL".to_owned() } else { word.to_owned() };
    lines.map(|line| line.split([' ', '\t']).map(word).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn nothing_of_them_is_left_in_a_release_build() {
    let watched = assembly(true);
    assert!(watched.contains(WATCHER) && watched.contains(ASKED), "this test would see nothing");
    let released = assembly(false);
    for word in [WATCHER, ASKED, "about_to", "aside"] {
        assert!(!released.contains(word), "{word} is in a release build");
    }
    let (hooked, plain) = (instructions(&released, "hooked"), instructions(&released, "plain"));
    assert!(hooked.len() > 20, "{hooked:?}");
    assert_eq!(hooked, plain, "with the hooks other instructions come out than without");
    assert_ne!(instructions(&watched, "hooked"), instructions(&watched, "plain"), "this test would see nothing");
}

#[test]
fn the_release_profile_is_compiled_like_that() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let manifest: toml_edit::DocumentMut = manifest.parse().unwrap();
    let release = manifest["profile"]["release"].as_table().unwrap();
    assert!(!release.contains_key("debug-assertions") && !release.contains_key("inherits"), "{release}");
}
