//! FreeBSD's own commands, as far as the documents use them, on the model of the rehearsal. A command is a script in `PATH`,
//! which runs the test at the end of this file as its child: that one has the library, and so the model.

use std::env;
use std::fs;

use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::rehearsal::stand_in_release::stand_in_archive;
use gts_bootstrap::host::{Host, Observe, ServiceAction};
use gts_bootstrap::release::{Arch, Sha256Digest, Variant};
use semver::Version;

/// The commands.
pub const COMMANDS: [&str; 9] =
    ["fetch", "kldload", "kldstat", "kldunload", "pkg", "reboot", "service", "sysctl", "sysrc"];

/// The script of a command.
pub fn wrapper(name: &str) -> String {
    let child = env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    format!(
        "answer=$STAGE/answer.$$\nCOMMAND=\"{name} $*\" ANSWER=$answer '{child}' --exact documents::host::a_command --ignored >/dev/null 2>&1 || exit 126\n\
         code=$(sed -n 1p \"$answer\")\nsed 1d \"$answer\"\nexit \"$code\"\n"
    )
}

/// Does a command; what it prints, or why it fails.
fn command(host: &Rehearsal, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split_whitespace().filter(|word| !["-y", "-n"].contains(word)).collect();
    let done = |result: Result<(), gts_bootstrap::host::HostError>| {
        result.map(|()| String::new()).map_err(|error| error.to_string())
    };
    match words.as_slice() {
        ["kldload", name] => done(host.load_module(name)),
        ["kldunload", name] => done(host.unload_module(name)),
        ["kldstat", "-q", "-m", name] => match host.module_loaded(name) {
            Ok(true) => Ok(String::new()),
            _ => Err(String::new()),
        },
        ["fetch", address] => fetch(address),
        // What only builds the program, and is no matter of the model's.
        ["pkg", "install", "rust"] => Ok(String::new()),
        ["pkg", "install", names @ ..] => names
            .iter()
            .try_for_each(|name| host.install_package(name))
            .map(|()| String::new())
            .map_err(|error| error.to_string()),
        ["pkg", "delete", name] => done(host.delete_package(name)),
        ["reboot"] => done(host.reboot()),
        ["service", name, "start"] => done(host.service_action(name, ServiceAction::Start)),
        ["service", name, "stop"] => done(host.service_action(name, ServiceAction::Stop)),
        ["service", name, "reload"] => done(host.service_action(name, ServiceAction::Reload)),
        ["service", name, "restart"] => {
            host.service_action(name, ServiceAction::Stop).map_err(|error| error.to_string())?;
            done(host.service_action(name, ServiceAction::Start))
        }
        ["service", name, "status"] => match host.service(name) {
            Ok(state) if state.is_running() => Ok(format!("{name} is running.\n")),
            Ok(_) => Err(format!("{name} is not running.\n")),
            Err(error) => Err(error.to_string()),
        },
        // Its own commands are run by tests/rc.d.
        ["service", "gotosocial", "configtest" | "health" | "reopen"] => Ok(String::new()),
        ["sysctl", setting] => match setting.split_once('=') {
            Some((name, value)) => done(host.set_sysctl(name, value)),
            None => {
                let value = host.sysctl(setting).map_err(|error| error.to_string())?;
                value
                    .map(|value| format!("{setting}: {value}\n"))
                    .ok_or_else(|| format!("sysctl: unknown oid '{setting}'\n"))
            }
        },
        ["sysrc", setting] => match setting.split_once('=') {
            Some((name, value)) => done(host.set_rc_variable(name, Some(value))),
            None => {
                let value = host.rc_variable(setting).map_err(|error| error.to_string())?;
                value
                    .map(|value| format!("{setting}: {value}\n"))
                    .ok_or_else(|| format!("sysrc: unknown variable '{setting}'\n"))
            }
        },
        _ => Err(format!("the rehearsal has no command: {line}\n")),
    }
}

/// Upstream's server is the stand-in here. What is fetched is put into the folder that the command was given in.
fn fetch(address: &str) -> Result<String, String> {
    let (folder, name) = address.rsplit_once('/').ok_or("no address\n")?;
    let version = folder.rsplit_once("/releases/download/v").and_then(|(_, version)| Version::parse(version).ok());
    let version = version.ok_or("nothing but upstream's releases can be fetched here\n")?;
    let archive = |arch| stand_in_archive(&version, arch, Variant::Default).map_err(|error| error.to_string());
    let assets = [(Arch::Amd64, "amd64"), (Arch::Arm64, "arm64")]
        .map(|(arch, word)| (arch, format!("gotosocial_{version}_freebsd_{word}.tar.gz")));
    let bytes = match assets.iter().find(|(_, asset)| asset == name) {
        Some((arch, _)) => archive(*arch)?,
        None if name == "checksums.txt" => {
            let mut text = String::new();
            for (arch, asset) in &assets {
                text += &format!("{}  {asset}\n", Sha256Digest::of(&archive(*arch)?));
            }
            text.into_bytes()
        }
        None => return Err(format!("{name}: Not Found\n")),
    };
    fs::write(name, bytes).map(|()| String::new()).map_err(|error| error.to_string())
}

#[test]
#[ignore = "no test: the scripts of the documents' stage run it, to act on the model"]
fn a_command() {
    let (Ok(stage), Ok(line), Ok(answer)) = (env::var("STAGE"), env::var("COMMAND"), env::var("ANSWER")) else {
        return;
    };
    let host = Rehearsal::open(std::path::Path::new(&stage).join("root")).unwrap();
    let text = match command(&host, &line) {
        Ok(said) => format!("0\n{said}"),
        Err(said) => format!("1\n{said}"),
    };
    fs::write(answer, text).unwrap();
}
