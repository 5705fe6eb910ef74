//! The release: verified, and nothing left behind when it is not what it should be.

use std::fs;
use std::path::Path;

use gts_bootstrap::release::Sha256Digest;

use crate::bench::{ANSWERS, Bench, OWN_FOLDER, ensure};
use crate::outcome::Outcome;
use crate::snapshot::Snapshot;

/// What is wrong with the archives of a mirror, or with the list of their digests.
#[derive(Debug, Clone, Copy)]
enum Tampering {
    /// The list has other digests.
    OtherDigests,
    /// The list has other files.
    OtherNames,
    /// The archives are cut in half.
    Half,
    /// The archives end with another byte.
    LastByte,
}

impl Tampering {
    /// Does it to an archive; its line for the list.
    fn apply(self, archive: &mut Vec<u8>, name: &str) -> String {
        match self {
            Self::OtherDigests => return format!("{ZEROES}  {name}\n"),
            Self::OtherNames => return format!("{}  other-{name}\n", Sha256Digest::of(archive)),
            Self::Half => archive.truncate(archive.len() / 2),
            Self::LastByte => archive.iter_mut().last().into_iter().for_each(|last| *last ^= 1),
        }
        format!("{}  {name}\n", Sha256Digest::of(archive))
    }
}

const ZEROES: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Installs from a mirror on which the release has been tampered with.
fn install_tampered(bench: &Bench, how: Tampering) -> Result<Outcome, String> {
    let mirror = bench.local(OWN_FOLDER)?.join("mirror");
    let folder = mirror.join("v0.19.2");
    let made = tampered_copy(&bench.mirror.join("v0.19.2"), &folder, how);
    let outcome =
        made.map_err(|error| format!("cannot make the mirror {}: {error}", folder.display())).and_then(|()| {
            // The program works on its own, so the mirror is gone only when it has ended.
            bench.install_from(&mirror.display().to_string(), ANSWERS, &["--yes"])
        });
    fs::remove_dir_all(&mirror).map_err(|error| format!("{}: {error}", mirror.display()))?;
    outcome
}

fn tampered_copy(from: &Path, to: &Path, how: Tampering) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    let mut list = String::new();
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        if name == "checksums.txt" {
            continue;
        }
        let mut archive = fs::read(from.join(&name))?;
        list += &how.apply(&mut archive, &name.to_string_lossy());
        fs::write(to.join(&name), archive)?;
    }
    fs::write(to.join("checksums.txt"), list)
}

pub(super) fn bad_archives_leave_nothing(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?.system();
    for (how, word) in [
        (Tampering::OtherDigests, "SHA-256"),
        (Tampering::OtherNames, "checksums.txt"),
        (Tampering::Half, "gotosocial_0.19.2_freebsd_"),
    ] {
        install_tampered(bench, how)?.exits(1)?.says(word)?;
        before.is_still(&Snapshot::take(bench)?.system())?;
    }
    Ok(())
}

pub(super) fn pinned_digest_must_agree(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?.system();
    bench.install_with(ANSWERS, &["--yes", "--sha256", ZEROES])?.exits(1)?.says("0000000000000000")?;
    bench
        .install_from("http://127.0.0.1:9/gotosocial", ANSWERS, &["--yes"])?
        .exits(1)?
        .says("plain http")?
        .says("pin the SHA-256")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    // Where there are two builds for a CPU, the stand-in of both is the same.
    let list = bench.mirror.join("v0.19.2/checksums.txt");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let digest = list.split_whitespace().next().unwrap_or_default();
    bench.install_with(ANSWERS, &["--yes", "--sha256", digest])?.exits(0).map(drop)
}

pub(super) fn changed_upstream(bench: &Bench) -> Result<(), String> {
    bench.install(ANSWERS)?.exits(0)?;
    bench.remove("/usr/local/libexec/gotosocial/0.19.2")?;
    let before = Snapshot::take(bench)?;
    let outcome = install_tampered(bench, Tampering::LastByte)?.exits(1)?;
    let list = bench.mirror.join("v0.19.2");
    let other = fs::read_dir(&list).map_err(|error| format!("{}: {error}", list.display()))?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let mut archive = fs::read(&path).ok().filter(|_| path.extension().is_some_and(|name| name == "gz"))?;
        let line = Tampering::LastByte.apply(&mut archive, "");
        Some(line.trim_end().to_owned())
    });
    let told = other.into_iter().any(|digest| outcome.stderr.contains(&digest) || outcome.stdout.contains(&digest));
    ensure(told, format!("the digest of what is there now is not told:\n{}", outcome.stderr))?;
    before.is_still(&Snapshot::take(bench)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tampered_mirror_has_digests_that_fit_unless_they_are_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir(&from).unwrap();
        fs::write(from.join("a.tar.gz"), "archive").unwrap();
        fs::write(from.join("checksums.txt"), "old").unwrap();
        tampered_copy(&from, &to, Tampering::Half).unwrap();
        assert_eq!(fs::read(to.join("a.tar.gz")).unwrap(), b"arc");
        let list = fs::read_to_string(to.join("checksums.txt")).unwrap();
        assert_eq!(list, format!("{}  a.tar.gz\n", Sha256Digest::of(b"arc")));
        tampered_copy(&from, &to, Tampering::OtherDigests).unwrap();
        assert_eq!(fs::read_to_string(to.join("checksums.txt")).unwrap(), format!("{ZEROES}  a.tar.gz\n"));
        tampered_copy(&from, &to, Tampering::OtherNames).unwrap();
        assert!(fs::read_to_string(to.join("checksums.txt")).unwrap().ends_with("  other-a.tar.gz\n"));
        tampered_copy(&from, &to, Tampering::LastByte).unwrap();
        assert_eq!(fs::read(to.join("a.tar.gz")).unwrap(), b"archivd");
    }
}
