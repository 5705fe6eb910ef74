//! The completions, asked for by the shells themselves. A shell that is not installed is not asked: tests/run installs them all.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_gts-bootstrap");

/// A folder with the script of a shell.
struct Place {
    folder: TempDir,
    script: PathBuf,
}

impl Place {
    fn with(shell: &str, name: &str) -> Self {
        let output = Command::new(PROGRAM).args(["completions", shell]).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join(name);
        fs::write(&script, output.stdout).unwrap();
        Self { folder, script }
    }

    /// What a shell prints; `None` if it is not installed.
    fn ask(&self, shell: &str, arguments: &[&str]) -> Option<String> {
        let program_first =
            format!("{}:{}", Path::new(PROGRAM).parent().unwrap().display(), std::env::var("PATH").unwrap());
        let asked = Command::new(shell)
            .args(arguments)
            .env("PATH", program_first)
            .env("SCRIPT", &self.script)
            .env("HOME", self.folder.path())
            .env("TERM", "vt100")
            .env_remove("XDG_CONFIG_HOME")
            .current_dir(self.folder.path())
            .output();
        match asked {
            Ok(output) => {
                let said =
                    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
                assert!(output.status.success(), "{shell} {arguments:?}: {said}");
                Some(said)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("{shell} is not installed: its completions were not tried");
                None
            }
            Err(error) => panic!("{shell}: {error}"),
        }
    }
}

/// Words that are completed, the line they are asked with, and what must not be among them.
const ASKED: [(&str, &[&str], &[&str]); 7] = [
    ("gts-bootstrap sw", &["switch-to-proxy", "switch-to-direct"], &["install"]),
    ("gts-bootstrap portacl gr", &["grant"], &["revoke"]),
    ("gts-bootstrap install --an", &["--answers"], &["--burst"]),
    ("gts-bootstrap filter rate --b", &["--burst"], &["--answers"]),
    ("gts-bootstrap install --set adm", &["admin.username=", "admin.email="], &["host="]),
    ("gts-bootstrap install --set exp", &["exposure.mode=nginx"], &["release.version="]),
    ("gts-bootstrap check --color ne", &["never"], &["always"]),
];

#[track_caller]
fn fits(line: &str, said: &str, wanted: &[&str], unwanted: &[&str]) {
    for word in wanted {
        assert!(said.contains(word), "{line}: {word} is not in: {said}");
    }
    for word in unwanted {
        assert!(!said.contains(word), "{line}: {word} is in: {said}");
    }
}

#[test]
fn bash_completes() {
    let place = Place::with("bash", "gts-bootstrap.bash");
    let Some(bound) = place.ask("bash", &["--norc", "-c", ". \"$SCRIPT\"; complete -p gts-bootstrap"]) else { return };
    assert!(bound.contains("-F _gts_bootstrap "), "{bound}");
    for (line, wanted, unwanted) in ASKED {
        let ask = format!(
            ". \"$SCRIPT\"; COMP_WORDS=({line}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE='{line}'; \
             _gts_bootstrap gts-bootstrap \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD - 1]}}\"; echo \"${{COMPREPLY[@]}}\""
        );
        fits(line, &place.ask("bash", &["--norc", "-c", &ask]).unwrap(), wanted, unwanted);
    }
}

#[test]
fn fish_completes() {
    let place = Place::with("fish", "gts-bootstrap.fish");
    for (line, wanted, unwanted) in ASKED {
        let ask = format!("source $SCRIPT; complete -C '{line}'");
        let Some(said) = place.ask("fish", &["--no-config", "-c", &ask]) else { return };
        // What stands behind a tab describes the word.
        let words: Vec<&str> = said.lines().map(|line| line.split('\t').next().unwrap()).collect();
        fits(line, &words.join(" "), wanted, unwanted);
    }
}

/// Types into a shell at a terminal (zsh's own zpty), and waits until this much of the line stands there.
fn typed(place: &Place, start: &str, setup: &str, line: &str, completed: &str) -> bool {
    let driver = format!(
        "zmodload zsh/zpty; zpty shell {start}; zpty -w shell {setup:?}; zpty -r -m shell seen '*READY*' || exit 1\n\
         zpty -w -n shell $'{line}\\t'; zpty -r -m shell seen '*'{completed:?}'*' || {{ print -r -- \"$seen\"; exit 1 }}; zpty -d shell"
    );
    // The read ends when the text is there. If it never comes, the shell is ended.
    place.ask("timeout", &["-k", "1", "60", "zsh", "-f", "-c", &driver]).is_some()
}

fn has(shell: &str) -> bool {
    let found = Command::new(shell).args(["-f", "-c", "exit 0"]).output().is_ok();
    if !found {
        eprintln!("{shell} is not installed: nothing was typed");
    }
    found
}

#[test]
fn zsh_completes() {
    let place = Place::with("zsh", "_gts-bootstrap");
    if place.ask("zsh", &["-f", "-n", "_gts-bootstrap"]).is_none() {
        return;
    }
    let setup = "PROMPT= RPROMPT=; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; echo REA''DY";
    for (line, completed) in [
        ("gts-bootstrap swi", "switch-to-"),
        ("gts-bootstrap portacl gr", "portacl grant"),
        ("gts-bootstrap install --an", "--answers"),
        ("gts-bootstrap install --set admin.u", "admin.username="),
        ("gts-bootstrap help air", "air-gapped"),
    ] {
        assert!(typed(&place, "zsh -f -i", setup, line, completed));
    }
}

#[test]
fn tcsh_completes() {
    let place = Place::with("tcsh", "gts-bootstrap.csh");
    let Some(rules) = place.ask("tcsh", &["-f", "-c", "source $SCRIPT; complete gts-bootstrap"]) else { return };
    for rule in
        ["n/portacl/(show explain lint grant revoke apply)/", "n/--answers/f/", "n/--color/(auto always never)/"]
    {
        assert!(rules.contains(rule), "{rule} is not among what tcsh has understood: {rules}");
    }
    if !has("zsh") {
        return;
    }
    let setup = "set prompt=; source $SCRIPT; echo REA''DY";
    // What tcsh adds to the line; before it stands a bell if there is more than one way on.
    for (line, added) in [
        ("gts-bootstrap swi", "tch-to-"),
        ("gts-bootstrap portacl gr", "ant "),
        ("gts-bootstrap install --an", "swers "),
        ("gts-bootstrap install --set admin.u", "sername="),
        ("gts-bootstrap --color ne", "ver "),
        ("gts-bootstrap help air", "-gapped "),
        ("gts-bootstrap install --answers gts-bootstrap.c", "sh "),
    ] {
        assert!(typed(&place, "tcsh -f -i", setup, line, added));
    }
}

#[test]
fn the_options_that_tcsh_asks_for_are_those_of_the_line() {
    let ask = |line: &str| {
        let asked = Command::new(PROGRAM)
            .args(["completions", "tcsh", "--options"])
            .env("COMMAND_LINE", line)
            .output()
            .unwrap();
        String::from_utf8(asked.stdout).unwrap()
    };
    let of_options = |line: &str| line.rsplit(' ').next().is_some_and(|word| word.starts_with("--"));
    for (line, wanted, unwanted) in ASKED.iter().filter(|(line, ..)| of_options(line)) {
        fits(line, &ask(line), wanted, unwanted);
    }
}

#[test]
fn there_is_no_json_of_a_script() {
    let output = Command::new(PROGRAM).args(["--json", "completions", "bash"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["error"].as_str().unwrap().contains("leave --json out"), "{report}");
}
