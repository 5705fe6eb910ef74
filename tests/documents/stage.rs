//! Where the commands of a page are run: a rehearsal, a folder to work in, and a `PATH` with nothing in it but what stands here.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::CommandFactory;
use gts_bootstrap::cli::Cli;
use gts_bootstrap::host::Jail;
use gts_bootstrap::host::rehearsal::Rehearsal;
use tempfile::TempDir;

use super::host;
use super::page::{Block, Order, is_as_shown};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// What somebody types in who is asked by `gts-bootstrap install`.
const TYPED: &str = "host = \"social.example.org\"\n[tls]\nemail = \"admin@example.net\"\n[admin]\nusername = \"alice\"\nemail = \"alice@example.net\"\n";
/// The answers of a machine that is installed already.
const INSTALLED: &str =
    "host = \"social.example.org\"\n[tls]\nemail = \"admin@example.net\"\n[release]\nversion = \"0.19.2\"\n";

/// Programs of the system the tests run on, as they are.
const AS_IT_IS: [&str; 17] = [
    "awk",
    "basename",
    "chmod",
    "cut",
    "date",
    "diff",
    "env",
    "mktemp",
    "sed",
    "sh",
    "sha256sum",
    "sleep",
    "sort",
    "tr",
    "umask",
    "uname",
    "wc",
];
/// The same, with absolute paths taken in the rehearsal.
const ON_ITS_FILES: [&str; 9] = ["cat", "cp", "grep", "head", "ls", "mkdir", "mv", "rm", "tail"];
/// What is none of ours and cannot act on a rehearsal: it does nothing, and succeeds. Each with its reason.
const NOT_OURS: [(&str, &str); 7] = [
    ("ee", "an editor, with somebody before it"),
    ("freebsd-update", "updates FreeBSD itself, which the rehearsal has none of"),
    ("git", "gets the sources of this very program"),
    ("host", "asks the name servers of the world"),
    ("scp", "copies to another machine"),
    ("ssh", "logs in at another machine"),
    ("tar", "packs and unpacks the files that others have made"),
];
/// The scripts of this repository: what they do is tested elsewhere, but they have to be there.
const SCRIPTS: [&str; 8] = [
    ".ci/run",
    "fuzz/run",
    "tests/rc.d/run",
    "tests/run",
    "tools/acceptance-bundle",
    "tools/cross-freebsd",
    "tools/port-crates",
    "tools/terminal-picture",
];

/// A machine with what a page has done to it so far.
pub struct Stage {
    folder: TempDir,
}

impl Stage {
    /// The machine that a page says it is on.
    pub fn on(machine: &str) -> Result<Self, String> {
        let folder =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).map_err(|error| error.to_string())?;
        let stage = Self { folder };
        stage.furnish().map_err(|error| format!("cannot make the machine: {error}"))?;
        Rehearsal::open(stage.root()).map_err(|error| error.to_string())?;
        let install = |mode: &str| {
            stage.runs(&format!("gts-bootstrap install --answers ../installed.toml --set exposure.mode={mode} --yes"))
        };
        match machine {
            "a fresh machine" => {}
            "an installed machine" => install("direct")?,
            "an installed machine behind nginx" => install("nginx")?,
            "a jail" | "a jail whose host allows the ports" => stage.jail(machine != "a jail")?,
            other => return Err(format!("there is no machine \"{other}\"")),
        }
        Ok(stage)
    }

    /// Makes the machine a jail that shares its host's network.
    fn jail(&self, allowed: bool) -> Result<(), String> {
        let rehearsal = Rehearsal::open(self.root()).map_err(|error| error.to_string())?;
        let edited = rehearsal.edit(|model| {
            model.jail = Jail::Shared;
            if allowed {
                model.modules.insert("mac_portacl".to_owned());
                model
                    .sysctls
                    .insert("security.mac.portacl.rules".to_owned(), "uid:209:tcp:80,uid:209:tcp:443".to_owned());
                model.sysctls.insert("net.inet.ip.portrange.reservedhigh".to_owned(), "79".to_owned());
            }
        });
        edited.map_err(|error| error.to_string())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn root(&self) -> PathBuf {
        self.path("root")
    }

    fn furnish(&self) -> std::io::Result<()> {
        for folder in ["bin", "work"] {
            fs::create_dir(self.path(folder))?;
        }
        fs::write(self.path("typed.toml"), TYPED)?;
        fs::write(self.path("installed.toml"), INSTALLED)?;
        symlink(Path::new(REPOSITORY).join("examples"), self.path("work/examples"))?;
        for name in AS_IT_IS {
            if let Some(found) =
                ["/usr/bin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
            {
                symlink(found, self.path("bin").join(name))?;
            }
        }
        for name in ON_ITS_FILES {
            self.program(&format!("bin/{name}"), &on_its_files(name))?;
        }
        for (name, why) in NOT_OURS {
            self.program(&format!("bin/{name}"), &format!(": # {why}\n"))?;
        }
        for name in SCRIPTS {
            let real = Path::new(REPOSITORY).join(name);
            fs::create_dir_all(self.path("work").join(name).parent().unwrap_or(Path::new("")))?;
            self.program(&format!("work/{name}"), &format!("test -x '{}'\n", real.display()))?;
        }
        for name in host::COMMANDS {
            self.program(&format!("bin/{name}"), &host::wrapper(name))?;
        }
        self.program("bin/cargo", CARGO)?;
        // Whoever types here may do everything.
        self.program("bin/sudo", "exec \"$@\"\n")?;
        if let Some(real) = ansible() {
            self.program("bin/ansible-playbook", &format!("real='{}'\n{ANSIBLE}", real.display()))?;
        }
        self.program("bin/gts-bootstrap", &gts_bootstrap())
    }

    fn program(&self, name: &str, text: &str) -> std::io::Result<()> {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{text}"))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    }

    /// Does what a block says.
    pub fn play(&self, block: &Block) -> Result<(), String> {
        let mut expected = 0;
        for order in &block.orders {
            match order {
                Order::Before(command) => self.runs(command)?,
                Order::Exit(code) => expected = *code,
                Order::File(name) => {
                    fs::write(self.path("work").join(name), &block.text).map_err(|error| format!("{name}: {error}"))?;
                }
                Order::On(_) => {}
            }
        }
        match block.language.as_str() {
            "sh" => self.ends(&block.text, expected).map(drop),
            "console" => {
                for (command, shown) in commands(&block.text)? {
                    if command.starts_with("ansible-playbook ") && ansible().is_none() {
                        eprintln!("ansible-playbook is not installed: the playbook was not played");
                        continue;
                    }
                    let output = self.ends(&command, expected)?;
                    if !shown.is_empty() && !is_as_shown(&shown, &output) {
                        return Err(format!("{command}\nis shown with:\n{shown}\nand really prints:\n{output}"));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn runs(&self, script: &str) -> Result<(), String> {
        self.ends(script, 0).map(drop)
    }

    /// Runs a script; what it prints, if it ends as it should.
    pub fn ends(&self, script: &str, expected: i32) -> Result<String, String> {
        stays_in_its_place(script)?;
        let output = Command::new("/bin/sh")
            .args(["-euc", &format!("exec 2>&1\n{script}")])
            .current_dir(self.path("work"))
            .env_clear()
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("work"))
            .env("STAGE", self.folder.path())
            .env("TZ", "UTC")
            // The pages are for everybody, and whoever tests them may be root.
            .env("GTSB_REHEARSE_AS_ROOT", "yes")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(code) if code == expected => Ok(said),
            code => Err(format!("{script}\nended with {code:?} and not with {expected}:\n{said}")),
        }
    }
}

/// The shell itself opens the files that it is redirected to, and knows of no rehearsal.
fn stays_in_its_place(script: &str) -> Result<(), String> {
    let outside = script
        .split('>')
        .skip(1)
        .map(str::trim_start)
        .find(|target| target.starts_with('/') && !target.starts_with("/dev/null"));
    match outside {
        Some(target) => Err(format!("a redirection leads out of the rehearsal: > {target}")),
        None => Ok(()),
    }
}

/// The commands of a console, each with what is shown to be printed.
pub fn commands(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        let prompted = line.strip_prefix("# ").or_else(|| line.strip_prefix("$ "));
        match (prompted, found.last_mut()) {
            (Some(command), _) => found.push((format!("{command}\n"), String::new())),
            (None, Some((command, shown))) if shown.is_empty() && command.ends_with("\\\n") => {
                writeln!(command, "{line}").map_err(|error| error.to_string())?
            }
            (None, Some((_, shown))) => writeln!(shown, "{line}").map_err(|error| error.to_string())?,
            (None, None) => {
                return Err(format!("a console begins with a prompt, \"# \" or \"$ \", and not with: {line}"));
            }
        }
    }
    Ok(found)
}

/// Cargo has built the program already.
const CARGO: &str = r#"
case $1 in
run)
	while [ $# -gt 0 ] && [ "$1" != -- ]; do shift; done
	shift
	exec gts-bootstrap "$@" ;;
build) PATH=/bin:/usr/bin mkdir -p target/release && echo built >target/release/gts-bootstrap ;;
fetch) : ;;
*) exit 127 ;;
esac
"#;

/// Where Ansible is, if it is installed.
fn ansible() -> Option<PathBuf> {
    ["/usr/bin", "/usr/local/bin"]
        .iter()
        .map(|folder| Path::new(folder).join("ansible-playbook"))
        .find(|path| path.exists())
}

/// The real Ansible, with this machine for the server and the rehearsal behind the program.
const ANSIBLE: &str = r#"
PATH=/usr/bin:/bin mkdir -p ../there
printf '[gotosocial]\nlocalhost ansible_connection=local ansible_python_interpreter=auto_silent\n' >hosts
printf '#!/bin/sh\nexec "%s" "$@"\n' "$(command -v gts-bootstrap)" >gts-bootstrap
PATH=/usr/bin:/bin:/usr/local/bin LC_ALL=C.UTF-8 ANSIBLE_REMOTE_TMP="$STAGE/ansible" \
	exec "$real" -e program="$STAGE/there/gts-bootstrap" -e answers="$STAGE/there/gotosocial.toml" "$@"
"#;

/// A program that is given the rehearsal's paths.
fn on_its_files(name: &str) -> String {
    format!(
        "count=$#\nwhile [ $count -gt 0 ]; do\n\tcase $1 in /*) set -- \"$@\" \"$STAGE/root$1\" ;; *) set -- \"$@\" \"$1\" ;; esac\n\tshift\n\
         \tcount=$((count - 1))\ndone\nPATH=/usr/bin:/bin exec {name} \"$@\"\n"
    )
}

/// The program on the rehearsal, unless another is named. Whoever types these commands says yes when asked, and answers the
/// questions of the first installation; where the questions are asked for, Enter takes the answers of before.
fn gts_bootstrap() -> String {
    let mut asking = Vec::new();
    asking_commands(&Cli::command(), "", &mut asking);
    let asking: Vec<String> = asking.iter().map(|path| format!("*\" {path} \"*")).collect();
    format!(
        r#"
line=" $* "
case $line in *" --rehearse "*) ;; *) set -- --rehearse "$STAGE/root" "$@" ;; esac
case $line in
" install ") test -e "$STAGE/root/usr/local/etc/gts-bootstrap/deployment.toml" || set -- "$@" --answers "$STAGE/typed.toml" ;;
esac
case $line in
*" --ask "*) test -p /dev/stdin || exec '{program}' "$@" <<'TYPED'





y
TYPED
	;;
*" --yes "* | *" --plan "* | *" --help "* | *" help "*) ;;
{asking}) set -- "$@" --yes ;;
esac
exec '{program}' "$@"
"#,
        asking = asking.join(" | "),
        program = env!("CARGO_BIN_EXE_gts-bootstrap")
    )
}

/// The commands that ask for consent.
fn asking_commands(command: &clap::Command, path: &str, found: &mut Vec<String>) {
    for below in command.get_subcommands() {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        if below.get_arguments().any(|argument| argument.get_long() == Some("yes")) {
            found.push(path.clone());
        }
        asking_commands(below, &path, found);
    }
}

#[test]
fn redirections_out_of_the_rehearsal_are_refused() {
    assert!(stays_in_its_place("echo a > b; echo c >/dev/null 2>&1").is_ok());
    assert!(stays_in_its_place("echo a >> /etc/rc.conf").is_err());
}

#[test]
fn a_console_is_commands_with_their_output() {
    let found = commands("# a \\\n  b\nsays\n$ c\n").unwrap();
    assert_eq!(found, [("a \\\n  b\n".to_owned(), "says\n".to_owned()), ("c\n".to_owned(), String::new())]);
    assert!(commands("no prompt\n").is_err());
}

#[test]
fn a_wrong_exit_a_wrong_output_and_an_unknown_command_fail() {
    let stage = Stage::on("a fresh machine").unwrap();
    let play = |text: &str, orders: Vec<Order>| {
        stage.play(&Block { language: "console".to_owned(), text: text.to_owned(), line: 1, not_run: None, orders })
    };
    play("# gts-bootstrap check\n…gts-bootstrap install…\n", vec![Order::Exit(3)]).unwrap();
    assert!(play("# gts-bootstrap check\n", Vec::new()).unwrap_err().contains("Some(3)"));
    assert!(play("# gts-bootstrap --version\ngts-bootstrap 7\n", Vec::new()).unwrap_err().contains("really prints"));
    assert!(play("# frobnicate\n", Vec::new()).unwrap_err().contains("127"));
    assert!(Stage::on("a mainframe").is_err());
}
