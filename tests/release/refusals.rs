//! What is unpacked, and what is refused.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use gts_bootstrap::release::{Error, Limits, PathRefusal, Refusal, Sha256Digest, Target, fetch, verify};
use nix::sys::stat::{Mode, umask};
use tar::EntryType;

use super::archives::{Tar, gzip, honest};
use super::places::{ASSET, hasty, install, install_from, install_with, lock, mirror, names_in};

fn refusal_of(archive: &[u8]) -> Refusal {
    match install(archive) {
        Err(Error::Archive(asset, refusal)) => {
            assert_eq!(asset, ASSET);
            refusal
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_honest_release_is_unpacked_with_normal_modes_whatever_the_umask() {
    umask(Mode::from_bits_truncate(0o077));
    let (_parent, unpacked) = install(&honest()).unwrap();
    let mode = |path: &str| {
        let metadata = fs::symlink_metadata(unpacked.path.join(path)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    for (path, expected) in [
        ("", 0o755),
        ("gotosocial", 0o755),
        ("example", 0o755),
        ("example/config.yaml", 0o644),
        ("web/assets", 0o755),
        ("web/assets/a.css", 0o644),
        (".manifest", 0o644),
    ] {
        assert_eq!(mode(path), expected, "{path}");
    }
    assert_eq!(fs::read(unpacked.path.join("LICENSE")).unwrap(), b"licence");
    assert_eq!(unpacked.manifest.archive, Sha256Digest::of(&honest()));
    assert!(verify(&unpacked.path).unwrap().is_intact());
    umask(Mode::from_bits_truncate(0o022));
}

#[test]
fn the_program_is_executable_even_if_the_archive_forgot() {
    let (_parent, unpacked) = install(&Tar::default().file("gotosocial", 0o644, b"x").packed()).unwrap();
    assert_eq!(unpacked.manifest.files["gotosocial"].mode, 0o755);
}

#[test]
fn folder_entries_and_long_names_are_understood() {
    let long = format!("web/assets/{}/{}", "a".repeat(120), "b".repeat(120));
    let longer = format!("{long}c");
    let archive = Tar::with_program()
        .entry(b"web/", EntryType::Directory, 0o700, b"")
        .entry(b"empty/", EntryType::Directory, 0o755, b"")
        .gnu_long_name(&long)
        .file("short", 0o644, b"gnu")
        .pax_path(&longer)
        .file("short", 0o644, b"pax")
        .file("./web/dotted", 0o644, b"dotted")
        .packed();
    let (_parent, unpacked) = install(&archive).unwrap();
    assert_eq!(fs::read(unpacked.path.join(&long)).unwrap(), b"gnu");
    assert_eq!(fs::read(unpacked.path.join(&longer)).unwrap(), b"pax");
    assert_eq!(fs::read(unpacked.path.join("web/dotted")).unwrap(), b"dotted");
    assert!(!unpacked.path.join("empty").exists());
    assert!(verify(&unpacked.path).unwrap().is_intact());
}

#[test]
fn hostile_paths_are_refused() {
    for (path, expected) in [
        (&b"/etc/passwd"[..], PathRefusal::Absolute),
        (b"../escaped", PathRefusal::Parent),
        (b"web/../../escaped", PathRefusal::Parent),
        (b"web/\xff", PathRefusal::NotUtf8),
        (b"web/\x1b[2J", PathRefusal::ControlCharacter),
        (b"web//a", PathRefusal::Empty),
        (b".manifest", PathRefusal::Reserved),
    ] {
        let archive = Tar::with_program().entry(path, EntryType::Regular, 0o644, b"x").packed();
        let refusal = refusal_of(&archive);
        assert!(matches!(&refusal, Refusal::Path(_, reason) if *reason == expected), "{refusal}");
        assert!(!refusal.to_string().contains('\x1b'));
    }
    for long in [Tar::with_program().gnu_long_name(&"n/".repeat(300)), Tar::with_program().pax_path(&"n".repeat(256))] {
        let refusal = refusal_of(&long.file("short", 0o644, b"").packed());
        assert!(matches!(refusal, Refusal::Path(_, PathRefusal::TooLong)), "{refusal}");
    }
}

#[test]
fn hostile_long_names_are_refused_too() {
    for archive in [Tar::with_program().gnu_long_name("../escaped"), Tar::with_program().pax_path("../escaped")] {
        let refusal = refusal_of(&archive.file("harmless", 0o644, b"").packed());
        assert!(matches!(refusal, Refusal::Path(_, PathRefusal::Parent)));
    }
}

#[test]
fn links_and_devices_are_refused() {
    let kind = |kind| refusal_of(&Tar::with_program().entry(b"odd", kind, 0o644, b"").packed());
    for link in [EntryType::Symlink, EntryType::Link] {
        assert!(matches!(kind(link), Refusal::Link { .. }));
    }
    for device in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        assert!(matches!(kind(device), Refusal::Device { .. }));
    }
    for unknown in [EntryType::Continuous, EntryType::XGlobalHeader, EntryType::new(b'Z')] {
        assert!(matches!(kind(unknown), Refusal::UnknownKind { .. }));
    }
}

#[test]
fn special_modes_are_refused() {
    for mode in [0o4755, 0o2755, 0o1755] {
        let file = Tar::with_program().file("special", mode, b"").packed();
        let folder = Tar::with_program().entry(b"special/", EntryType::Directory, mode, b"").packed();
        for archive in [file, folder] {
            let refusal = refusal_of(&archive);
            assert!(matches!(refusal, Refusal::SpecialMode(_, found) if found == mode));
        }
    }
}

#[test]
fn a_path_that_is_there_twice_is_refused() {
    let file = |path| Tar::with_program().file(path, 0o644, b"");
    for archive in [
        file("a").file("a", 0o644, b""),
        file("a").file("./a", 0o644, b""),
        file("a").file("a/b", 0o644, b""),
        file("a/b").file("a", 0o644, b""),
        file("a").entry(b"a/", EntryType::Directory, 0o755, b""),
        Tar::with_program().entry(b"a/", EntryType::Directory, 0o755, b"").file("a", 0o644, b""),
    ] {
        let refusal = refusal_of(&archive.packed());
        assert!(matches!(refusal, Refusal::Duplicate { .. }), "{refusal}");
    }
}

#[test]
fn bombs_are_refused() {
    let archive = Tar::with_program().file("a", 0o644, &[0; 600]).file("b", 0o644, &[0; 600]).packed();
    let refused = |limits: Limits| match install_with(&archive, &limits) {
        Err(Error::Archive(_, refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    };
    let limits = Limits::default();
    assert!(matches!(refused(Limits { file_bytes: 599, ..limits }), Refusal::FileTooLarge { .. }));
    assert!(matches!(refused(Limits { unpacked_bytes: 1206, ..limits }), Refusal::UnpacksTooLarge { .. }));
    assert!(matches!(refused(Limits { entries: 2, ..limits }), Refusal::TooManyEntries(2)));
    let exact = Limits { file_bytes: 600, unpacked_bytes: 1207, entries: 3, ..limits };
    assert!(install_with(&archive, &exact).is_ok());
    assert!(matches!(install_with(&archive, &Limits { archive_bytes: 10, ..limits }), Err(Error::TooLarge(_, 10))));
}

#[test]
fn a_file_that_claims_to_be_endless_is_refused() {
    let archive = Tar::with_program().header(b"huge", EntryType::Regular, 0o644, 1 << 40).open_ended();
    assert!(matches!(refusal_of(&gzip(&archive)), Refusal::FileTooLarge { .. }));
}

#[test]
fn headers_and_padding_do_not_fill_the_memory() {
    let name = Tar::with_program().gnu_long_name(&"n".repeat(1 << 20));
    assert!(matches!(refusal_of(&name.file("short", 0o644, b"").packed()), Refusal::HeadersTooLarge { .. }));
    let mut padded = Tar::with_program().closed();
    padded.resize(padded.len() + (2 << 20), 0);
    assert!(matches!(refusal_of(&gzip(&padded)), Refusal::HeadersTooLarge { .. }));
}

#[test]
fn an_archive_without_the_program_is_refused() {
    let archive = Tar::default().file("web/gotosocial", 0o755, b"").packed();
    assert_eq!(refusal_of(&archive), Refusal::NoProgram);
    assert_eq!(refusal_of(&Tar::default().packed()), Refusal::NoProgram);
}

#[test]
fn both_streams_must_end_properly() {
    assert_eq!(refusal_of(&gzip(&Tar::with_program().open_ended())), Refusal::NoEndMark, "no end mark");
    let mut half = Tar::with_program().open_ended();
    half.resize(half.len() + 512, 0);
    assert_eq!(refusal_of(&gzip(&half)), Refusal::NoEndMark, "half an end mark");
    let cut = Tar::with_program().header(b"cut", EntryType::Regular, 0o644, 2000).bytes(b"some");
    assert_eq!(refusal_of(&gzip(&cut.open_ended())), Refusal::NoEndMark, "cut file");
    let mut short = Tar::with_program().packed();
    short.truncate(short.len() - 3);
    assert_eq!(refusal_of(&short), Refusal::NoEndMark, "cut gzip trailer");
}

#[test]
fn nothing_may_follow_the_end() {
    let mut after_tar = Tar::with_program().closed();
    after_tar.extend_from_slice(b"more");
    assert_eq!(refusal_of(&gzip(&after_tar)), Refusal::TrailingData);
    let mut after_gzip = Tar::with_program().packed();
    after_gzip.extend_from_slice(b"more");
    assert_eq!(refusal_of(&after_gzip), Refusal::TrailingData);
    let mut two_members = Tar::with_program().packed();
    two_members.extend_from_slice(&gzip(b""));
    assert_eq!(refusal_of(&two_members), Refusal::TrailingData);
}

#[test]
fn what_is_no_archive_is_refused() {
    assert!(matches!(refusal_of(b"<html>not found</html>"), Refusal::Malformed { .. }));
    assert!(matches!(refusal_of(&gzip(&[b'x'; 2048])), Refusal::Malformed { .. }));
    let mut bad_sum = Tar::with_program().packed();
    let crc = bad_sum.len() - 8;
    bad_sum[crc] ^= 1;
    assert!(matches!(refusal_of(&bad_sum), Refusal::Malformed { .. }));
}

#[test]
fn a_wrong_digest_is_refused_and_comes_before_other_faults() {
    let good = honest();
    let mut hostile = Tar::with_program().entry(b"../a", EntryType::Regular, 0o644, b"").packed();
    // So that it does not seem to be cut off.
    hostile.extend_from_slice(&[0; 100_000]);
    for archive in [Tar::with_program().packed(), hostile] {
        let (_mirror, source) = mirror(&archive);
        match install_from(&source, &lock(&good), &Limits::default(), &hasty(1)) {
            Err(Error::WrongDigest { expected, actual, .. }) => {
                assert_eq!(expected, Sha256Digest::of(&good));
                assert_eq!(actual, Sha256Digest::of(&archive));
            }
            other => panic!("not refused: {other:?}"),
        }
    }
}

#[cfg(debug_assertions)]
#[test]
fn a_wrong_digest_never_reaches_gzip() {
    use gts_bootstrap::operation::{Operation, watch};
    use std::{cell::RefCell, rc::Rc};

    let archive = honest();
    let (_mirror, source) = mirror(&archive);
    let server = super::server::Server::start(move |_, _| super::server::Reply::ok(&honest()));
    for source in [source, gts_bootstrap::release::Source::mirror(&server.url()).unwrap()] {
        let unpackings = |digest_of: &[u8]| {
            let seen = Rc::new(RefCell::new(0));
            let count = Rc::clone(&seen);
            watch(Box::new(move |step| {
                let is_one = step.operation == Operation::Command || step.path.to_string_lossy().contains(".staging");
                *count.borrow_mut() += usize::from(is_one);
                Ok(())
            }));
            let installed = install_from(&source, &lock(digest_of), &Limits::default(), &hasty(1));
            watch(Box::new(|_| Ok(())));
            (installed.is_ok(), *seen.borrow() > 0)
        };
        assert_eq!(unpackings(&archive), (true, true));
        assert_eq!(unpackings(b"another"), (false, false));
    }
}

#[test]
fn a_lock_of_a_rehearsal_is_not_installed() {
    let archive = honest();
    let (_mirror, source) = mirror(&archive);
    let mut lock = lock(&archive);
    lock.url = format!("rehearsal:v0.19.2/{ASSET}");
    let error = install_from(&source, &lock, &Limits::default(), &hasty(1)).unwrap_err();
    assert!(matches!(error, Error::RehearsalLock { .. }), "{error}");
}

#[test]
fn a_truncated_file_is_refused() {
    let good = honest();
    let (_mirror, source) = mirror(&good[..good.len() / 2]);
    let mut lock = lock(&good);
    let error = install_from(&source, &lock, &Limits::default(), &hasty(1)).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error}");
    lock.size = Some(good.len() as u64);
    let error = install_from(&source, &lock, &Limits::default(), &hasty(1)).unwrap_err();
    assert!(matches!(error, Error::WrongSize { .. }), "{error}");
}

#[test]
fn a_leftover_of_a_crash_is_removed_and_never_followed() {
    let archive = honest();
    let (_mirror, source) = mirror(&archive);
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("precious"), "").unwrap();
    let parent = tempfile::tempdir().unwrap();
    let staging = parent.path().join(".staging-0.19.2");
    let destination = parent.path().join("0.19.2");
    let target = Target { directory: &destination, partial: &parent.path().join("download") };
    let install = || fetch(&lock(&archive), &source, target, &Limits::default(), &hasty(1));

    symlink(elsewhere.path(), &staging).unwrap();
    install().unwrap();
    assert_eq!(names_in(elsewhere.path()), ["precious"]);
    assert_eq!(names_in(parent.path()), ["0.19.2"]);

    fs::remove_dir_all(&destination).unwrap();
    fs::create_dir(&staging).unwrap();
    fs::write(staging.join("gotosocial"), "half").unwrap();
    symlink(elsewhere.path(), staging.join("link")).unwrap();
    install().unwrap();
    assert!(verify(&destination).unwrap().is_intact());
    assert_eq!(names_in(elsewhere.path()), ["precious"]);
}

#[test]
fn an_existing_destination_and_a_missing_folder_are_refused() {
    let archive = honest();
    let (_mirror, source) = mirror(&archive);
    let parent = tempfile::tempdir().unwrap();
    fs::create_dir(parent.path().join("taken")).unwrap();
    let install = |name: &str| {
        let target = Target { directory: &parent.path().join(name), partial: &parent.path().join("download") };
        fetch(&lock(&archive), &source, target, &Limits::default(), &hasty(1)).unwrap_err()
    };
    assert!(matches!(install("taken"), Error::DestinationExists(_)));
    assert!(matches!(install("none/a"), Error::File { .. }));
    assert_eq!(names_in(parent.path()), ["taken"]);
}
