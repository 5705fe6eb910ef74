//! What is refused, with nothing changed.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use gts_bootstrap::host::{Group, Owner, User};

use crate::bench::{ANSWERS, Bench, OWN_FOLDER, ensure};
use crate::reset::STRANGER;
use crate::snapshot::Snapshot;

/// Any id that nobody has.
const FREE_ID: u32 = 64_209;

pub(super) fn uid_taken(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    host.add_group(&Group { name: STRANGER.into(), gid: FREE_ID }).map_err(|error| error.to_string())?;
    let user = User {
        name: STRANGER.into(),
        uid: 209,
        gid: FREE_ID,
        gecos: "Has the number".into(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    host.add_user(&user).map_err(|error| error.to_string())?;
    drop(host);
    let before = Snapshot::take(bench)?;
    bench.install(ANSWERS)?.exits(1)?.says("uid 209")?.says(&format!("belongs to the user {STRANGER}"))?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn port_taken(bench: &Bench) -> Result<(), String> {
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).map_err(|error| format!("port 80: {error}"))?;
    let before = Snapshot::take(bench)?;
    let pid = std::process::id();
    bench.install(ANSWERS)?.exits(1)?.says("port 80: taken by acceptance")?.says(&format!("pid {pid}"))?;
    drop(listener);
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn wrong_digest(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?.without("/var/db/gts-bootstrap").without_times();
    let nothing_left =
        |bench: &Bench| before.is_still(&Snapshot::take(bench)?.without("/var/db/gts-bootstrap").without_times());
    let pinned = "0".repeat(64);
    bench.install_with(ANSWERS, &["--yes", "--sha256", &pinned])?.exits(1)?.says("0000000000000000")?;
    nothing_left(bench)?;

    // A mirror that has been tampered with: the digests in its list belong to other archives.
    let mirror = bench.local(OWN_FOLDER)?.join("mirror");
    let folder = mirror.join("v0.19.2");
    let copied = copy_folder(&bench.mirror.join("v0.19.2"), &folder);
    copied.map_err(|error| format!("cannot copy the mirror to {}: {error}", folder.display()))?;
    let list = folder.join("checksums.txt");
    let written = fs::read_to_string(&list).map(|text| swapped(&text)).and_then(|text| fs::write(&list, text));
    written.map_err(|error| format!("{}: {error}", list.display()))?;
    let outcome = bench.install_from(&mirror.display().to_string(), ANSWERS, &["--yes"]);
    fs::remove_dir_all(&mirror).map_err(|error| format!("{}: {error}", mirror.display()))?;
    outcome?.exits(1)?.says("SHA-256")?;
    nothing_left(bench)
}

pub(super) fn foreign_file(bench: &Bench) -> Result<(), String> {
    let host = bench.host()?;
    let path = Path::new("/usr/local/bin/gotosocial");
    for folder in ["/usr/local", "/usr/local/bin"] {
        if !bench.exists(folder)? {
            host.make_directory(Path::new(folder), 0o755, Owner::ROOT).map_err(|error| error.to_string())?;
        }
    }
    host.write_file(path, b"somebody else's\n", 0o755, Owner::ROOT).map_err(|error| error.to_string())?;
    drop(host);
    let before = Snapshot::take(bench)?;
    bench.install(ANSWERS)?.exits(1)?.says("/usr/local/bin/gotosocial is not a symbolic link")?;
    before.is_still(&Snapshot::take(bench)?)?;
    ensure(bench.exists("/usr/local/bin/gotosocial")?, "the foreign file is gone")
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}

/// A list of digests with the first character of each made another.
fn swapped(checksums: &str) -> String {
    let other = |line: &str| match line.split_at_checked(1) {
        Some((first, rest)) => format!("{}{rest}\n", if first == "0" { "1" } else { "0" }),
        None => String::new(),
    };
    checksums.lines().map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_digest_stays_as_it_was() {
        assert_eq!(swapped("0a  one\nba  two\n"), "1a  one\n0a  two\n");
    }
}
