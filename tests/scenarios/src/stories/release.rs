//! The release: verified, and nothing left behind when it is not what it should be.

use std::fs;
use std::path::Path;

use gts_bootstrap::release::Sha256Digest;

use super::said;
use crate::bench::{ANSWERS, Bench, MIDDLE, OWN_FOLDER, ensure};
use crate::http_mirror::serve;
use crate::mirror::in_releases;
use crate::outcome::Outcome;
use crate::reset::ASIDE;
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
    let folder = mirror.join(format!("v{}", bench.mirror.middle));
    let made = tampered_copy(&bench.mirror.release(&bench.mirror.middle), &folder, how);
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
        (Tampering::Half, &format!("gotosocial_{}_freebsd_", bench.mirror.middle)),
    ] {
        install_tampered(bench, how)?.exits(1)?.says(word)?;
        before.is_still(&Snapshot::take(bench)?.system())?;
    }
    Ok(())
}

pub(super) fn plain_http_needs_a_digest(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?;
    let outcome = bench.install_from("http://127.0.0.1:9/gotosocial", ANSWERS, &["--yes"])?;
    outcome.exits(1)?.says("plain http")?.says("pin the SHA-256")?;
    before.is_still(&Snapshot::take(bench)?)
}

pub(super) fn pinned_digest_must_agree(bench: &Bench) -> Result<(), String> {
    bench.remove(&in_releases(&bench.mirror.middle))?;
    let before = Snapshot::take(bench)?.system();
    bench.install_with(ANSWERS, &["--yes", "--sha256", ZEROES])?.exits(1)?.says("0000000000000000")?;
    before.is_still(&Snapshot::take(bench)?.system())?;
    bench.install_with(ANSWERS, &["--yes", "--sha256", &locked_digest(bench)?])?.exits(0).map(drop)
}

/// The digest of what is installed.
fn locked_digest(bench: &Bench) -> Result<String, String> {
    let lock = bench.text("/usr/local/etc/gts-bootstrap/deployment.lock")?;
    let digest = lock.split('"').find(|text| text.parse::<Sha256Digest>().is_ok());
    digest.map(str::to_owned).ok_or_else(|| format!("there is no digest in {lock}"))
}

/// The child that fetches speaks HTTP, and the one that unpacks gets what it has fetched.
pub(super) fn fetched_over_http(bench: &Bench) -> Result<(), String> {
    let (release, digest) = (in_releases(&bench.mirror.middle), locked_digest(bench)?);
    bench.remove(&release)?;
    let mirror = serve(bench.mirror.place().into())?;
    bench.install_from(&mirror, ANSWERS, &["--yes", "--sha256", &digest])?.exits(0)?.says("release")?;
    ensure(bench.exists(&format!("{release}/gotosocial"))?, "the release is not there")?;
    bench.run(&["check"])?.exits(0).map(drop)
}

/// What upstream offers, over its network.
pub(super) fn upstream_is_asked(bench: &Bench) -> Result<(), String> {
    let before = Snapshot::take(bench)?.system();
    let file = bench.answers(&ANSWERS.replace(MIDDLE, "latest"))?;
    bench.run(&["install", "--answers", &file, "--plan"])?.exits(0)?.says("gotosocial_")?;
    before.is_still(&Snapshot::take(bench)?.system())
}

pub(super) fn changed_upstream(bench: &Bench) -> Result<(), String> {
    let release = in_releases(&bench.mirror.middle);
    let (there, aside) = (Path::new(&release), Path::new(ASIDE));
    bench.host()?.rename(there, aside).map_err(said)?;
    let before = Snapshot::take(bench)?;
    let outcome = install_tampered(bench, Tampering::LastByte)?.exits(1)?;
    let list = bench.mirror.release(&bench.mirror.middle);
    let other = fs::read_dir(&list).map_err(|error| format!("{}: {error}", list.display()))?.filter_map(|entry| {
        let path = entry.ok()?.path();
        let mut archive = fs::read(&path).ok().filter(|_| path.extension().is_some_and(|name| name == "gz"))?;
        let line = Tampering::LastByte.apply(&mut archive, "");
        Some(line.trim_end().to_owned())
    });
    let told = other.into_iter().any(|digest| outcome.stderr.contains(&digest) || outcome.stdout.contains(&digest));
    ensure(told, format!("the digest of what is there now is not told:\n{}", outcome.stderr))?;
    before.is_still(&Snapshot::take(bench)?)?;
    bench.host()?.rename(aside, there).map_err(said)
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
