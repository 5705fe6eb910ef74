//! The corpus of hostile backups. Each is a real one with something about it that no backup has; what it would do to a reader that
//! interprets a tar file is said beside it. The contents are harmless. Whatever is refused has changed nothing on the host.

mod content;
mod forged;

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use gts_bootstrap::backup::{self, Entry, Manifest};
use gts_bootstrap::change::digest;
use nix::sys::stat::Mode;

use super::backup::instance;
use crate::machine::{Machine, Outcome, differences};
use forged::{Forged, header, pax, scene, sealed};

const MEDIUM: &str = "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1XZ.gif";
const CRONTAB: &str = "/etc/crontab";
const CERTIFICATE: &str = "certificates/social.example.org";
const LOCK: &str = "records/deployment.lock";

fn restore(machine: &Machine, bytes: &[u8]) -> Outcome {
    let file = machine.beside("forged.tar");
    fs::write(&file, bytes).unwrap();
    machine.run(&["restore", "--yes", file.to_str().unwrap()])
}

/// Fails unless each is refused for its reason, and the host is byte for byte what it was.
#[track_caller]
fn refused<'a>(machine: &Machine, cases: impl IntoIterator<Item = (&'a str, Vec<u8>, &'a str)>) {
    let before = machine.snapshot();
    let mut wrong = Vec::new();
    for (what, bytes, why) in cases {
        let outcome = restore(machine, &bytes);
        let said = outcome.said();
        if outcome.code != 1 || !said.contains(why) || !said.contains("help GTSB-BACKUP-UNUSABLE") {
            wrong.push(format!("{what}: {} {said}", outcome.code));
        }
        let changed = differences(&before, &machine.snapshot());
        if !changed.is_empty() {
            wrong.push(format!("{what}: {changed:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_path_that_leads_elsewhere_is_refused_in_every_form() {
    let (machine, base) = scene();
    let plain = |path: &str, kind| header(path, kind, 2, 0o600, base.head.created);
    let not_allowed = "is not allowed, because";
    let no_file = "is not a regular file";
    let mut cases = Vec::new();
    for path in
        [CRONTAB, "//etc/crontab", "../../etc/crontab", "storage/../../etc/crontab", "storage/..", "./config.yaml"]
    {
        cases.push((path, base.with(path, "hi").bytes(), not_allowed));
        // The manifest says something else.
        let why = if path.starts_with("./") { "has another header" } else { not_allowed };
        let why = if path.starts_with("./") { "where the manifest has" } else { why };
        cases.push((path, base.disguised("hi", plain(path, b'0')).bytes(), why));
    }
    let mut prefixed = plain("crontab", b'0');
    prefixed[345..349].copy_from_slice(b"/etc");
    cases.push(("a prefix of ustar", base.disguised("hi", sealed(prefixed)).bytes(), not_allowed));
    for (what, name, kind, content) in [
        ("PAX: the next member's path", "PaxHeaders/x", b'x', pax("path", CRONTAB)),
        ("PAX: the next member's link", "PaxHeaders/x", b'x', pax("linkpath", CRONTAB)),
        ("PAX: a path for all members", "PaxHeaders/x", b'g', pax("path", "../../etc/crontab")),
        ("GNU: the next member's path", "././@LongLink", b'L', b"/etc/crontab\0".to_vec()),
        ("GNU: the next member's link", "././@LongLink", b'K', b"/etc/crontab\0".to_vec()),
        ("GNU: a list of renames", "x", b'N', b"Rename storage to /etc\n".to_vec()),
    ] {
        let header = header(name, kind, content.len(), 0o600, base.head.created);
        cases.push((what, base.disguised(content, header).bytes(), no_file));
    }
    refused(&machine, cases);
}

#[test]
fn a_member_that_is_no_plain_file_of_roots_is_refused() {
    let (machine, base) = scene();
    let no_file = "is not a regular file";
    let other = "has another header than the manifest says";
    let of = |kind| header(MEDIUM, kind, 2, 0o600, base.head.created);
    let mut cases = Vec::new();
    for (what, kind) in [
        ("a hard link to the passwords", b'1'),
        ("a symbolic link to the passwords", b'2'),
        ("a character device", b'3'),
        ("a block device", b'4'),
        ("a folder", b'5'),
        ("a pipe", b'6'),
        ("a contiguous file", b'7'),
        ("a sparse file of GNU tar", b'S'),
        ("a folder with its names of GNU tar", b'D'),
        ("a further volume", b'M'),
        ("the name of a volume", b'V'),
        ("an extended header of Solaris", b'X'),
        ("a kind that nobody knows", b'Z'),
    ] {
        let mut header = of(kind);
        header[157..175].copy_from_slice(b"/etc/master.passwd");
        header[329..337].copy_from_slice(b"0000001\0");
        cases.push((what, base.disguised("hi", sealed(header)).bytes(), no_file));
    }
    let sparse = [pax("GNU.sparse.major", "1"), pax("GNU.sparse.realsize", "1099511627776")].concat();
    let mut map = of(b'x');
    map[124..135].copy_from_slice(format!("{:011o}", sparse.len()).as_bytes());
    cases.push(("PAX: a sparse file of 1 TiB", base.disguised(sparse, sealed(map)).bytes(), no_file));
    for (what, at, text) in [
        ("set-user-id", 100, "0004755"),
        ("set-group-id", 100, "0002755"),
        ("somebody else's", 108, "0000321"),
        ("of another group", 116, "0000321"),
        ("of another size", 124, "00000000001"),
        ("a size in the form of GNU tar", 124, "\u{80}"),
        ("of another time", 136, "00000000001"),
        ("a kind from before ustar", 156, "\0"),
        ("a link's target without a link", 157, "/etc/master.passwd"),
        ("of no form that there is", 257, "posix"),
        ("a user's name", 265, "gotosocial"),
    ] {
        let mut header = of(b'0');
        let bytes: Vec<u8> = text.chars().map(|letter| u8::try_from(letter).unwrap()).collect();
        header[at..at + bytes.len()].copy_from_slice(&bytes);
        cases.push((what, base.disguised("hi", sealed(header)).bytes(), other));
    }
    let mut unsealed = of(b'0');
    unsealed[150] ^= 1;
    cases.push(("a wrong checksum", base.disguised("hi", unsealed).bytes(), other));
    for (what, mode) in [("set-user-id", 0o4755), ("set-group-id", 0o2755), ("sticky", 0o1777), ("a type", 0o120_777)] {
        cases.push((what, base.clone().with_mode(MEDIUM, b"hi", mode).bytes(), "has a special mode"));
    }
    refused(&machine, cases);
}

#[test]
fn a_name_that_no_backup_has_is_refused_and_so_is_one_twice() {
    let (machine, base) = scene();
    let unknown = "has a name that no backup of gts-bootstrap contains";
    let mut cases = Vec::new();
    for path in [
        "etc/crontab",
        "boot/loader.conf",
        "usr/local/etc/rc.d/gotosocial",
        "database/load.sql",
        "database/.pgpass",
        "config.yaml/x",
        "storage",
        // On a file system that ignores case this is another file's name.
        "Config.yaml",
        "CONFIG.WRITTEN.YAML",
        "Database/sqlite.db",
        "RECORDS/deployment.toml",
    ] {
        cases.push((path, base.with(path, "hi").bytes(), unknown));
    }
    for path in ["config.yaml", LOCK, "manifest.json"] {
        cases.push((path, base.with(path, "hi").bytes(), "is there twice"));
    }
    let mut swapped = base.clone();
    let [first, second] = [0, 1].map(|at| swapped.parts[at].clone());
    (swapped.parts[0].header, swapped.parts[0].content) = (second.header, second.content);
    (swapped.parts[1].header, swapped.parts[1].content) = (first.header, first.content);
    cases.push((
        "members in another order",
        swapped.bytes(),
        "where the manifest has \"database/sqlite.db\", there is",
    ));
    let early = base.disguised("hi", vec![0; 512]).bytes();
    cases.push(("the end, and one member more", early, "there is \"the end\""));
    refused(&machine, cases);
}

#[test]
fn sizes_and_ends_are_those_that_the_manifest_says() {
    let (machine, base) = scene();
    let whole = base.bytes();
    let zipped = |bytes: &[u8]| {
        let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
        zipped.write_all(bytes).unwrap();
        zipped.finish().unwrap()
    };
    let first = |kind, size: &[u8]| {
        let mut header = header("manifest.json", kind, 0, 0o600, base.head.created);
        header[124..124 + size.len()].copy_from_slice(size);
        [sealed(header), whole[512..].to_vec()].concat()
    };
    let [length, foreign, larger] =
        ["it was truncated, or something was", "it is not a backup of", "no backup has one with more"];
    let filled = "is followed by bytes that belong to no file";
    let at_end = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] = 1;
        bytes
    };
    // The end of the database's last block, or of the description's.
    let of_description =
        base.parts.iter().take(2).map(|part| 512 + part.content.len().next_multiple_of(512)).sum::<usize>();
    let room = usize::from_str_radix(std::str::from_utf8(&whole[124..135]).unwrap(), 8).unwrap();
    let manifest = 512 + room.next_multiple_of(512);
    refused(
        &machine,
        [
            ("a byte more", [&whole[..], b"x"].concat(), length),
            ("another tar file behind it", [&whole[..], &whole].concat(), length),
            ("a member behind the end", [&whole[..], &header(MEDIUM, b'0', 0, 0o600, 0)].concat(), length),
            ("no end", whole[..whole.len() - 1024].to_vec(), length),
            ("half an end", whole[..whole.len() - 512].to_vec(), length),
            ("half a manifest", whole[..900].to_vec(), length),
            ("half a header", whole[..300].to_vec(), foreign),
            ("nothing", Vec::new(), foreign),
            ("something in the end", at_end(whole.len() - 1), filled),
            (
                "something behind the manifest",
                at_end(manifest - 1),
                if room.is_multiple_of(512) { "makes no sense" } else { filled },
            ),
            ("something behind a member", at_end(manifest + of_description - 1), filled),
            ("a gzip file", zipped(&whole), foreign),
            ("a gzip file of two members", [zipped(&whole[..512]), zipped(&whole[512..])].concat(), foreign),
            ("a PAX header of 1 GiB first", first(b'x', b"10000000000"), foreign),
            ("a global PAX header of 8 GiB first", first(b'g', b"77777777777"), foreign),
            ("a manifest of 8 GiB", first(b'0', b"77777777777"), foreign),
            (
                "a manifest of 2^64 bytes",
                first(b'0', &[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
                foreign,
            ),
            ("a manifest of no number", first(b'0', b"9999 bytes "), foreign),
            ("a manifest of 512 MiB that is not there", first(b'0', b"04000000000"), length),
            ("a configuration of 1 MiB", base.replaced("config.yaml", vec![b'#'; (1 << 20) + 1]).bytes(), larger),
            ("a certificate of 128 KiB", base.replaced(CERTIFICATE, vec![b' '; (128 << 10) + 1]).bytes(), larger),
            ("a lock of 64 KiB", base.replaced(LOCK, vec![b'#'; (64 << 10) + 1]).bytes(), larger),
        ],
    );
}

/// Sparse files: large for whoever reads all of it into memory.
#[test]
fn large_claims_take_no_memory_and_many_small_files_are_too_many() {
    let (machine, base) = scene();
    let file = machine.beside("forged.tar");
    let mut bytes = header("manifest.json", b'x', 1 << 30, 0o600, base.head.created);
    bytes.extend(pax("path", CRONTAB));
    fs::write(&file, bytes).unwrap();
    File::options().write(true).open(&file).unwrap().set_len(3 << 30).unwrap();
    let command = ["restore", "--yes", file.to_str().unwrap()];
    machine.run(&command).exits(1).says("its first member is not manifest.json");

    // Nine lists of zeros, each as large as a list may be.
    let content = vec![0; 16 << 20];
    let mut listed = base.clone();
    for number in 0..9 {
        listed = listed.with_mode(&format!("records/filters/l{number}.list"), b"", 0o600);
        let part = listed.parts.last_mut().unwrap();
        part.listed = Entry { size: content.len() as u64, sha256: String::new(), ..part.listed.clone() };
        part.header = header(&part.listed.path, b'0', content.len(), 0o600, base.head.created);
    }
    let sha256 = digest(&content);
    listed
        .parts
        .iter_mut()
        .filter(|part| part.listed.sha256.is_empty())
        .for_each(|part| part.listed.sha256.clone_from(&sha256));
    let whole = listed.bytes();
    let (front, lists) = whole.split_at(whole.len() - 1024 - 9 * 512);
    let mut out = File::create(&file).unwrap();
    out.write_all(front).unwrap();
    let mut length = front.len() as u64;
    for header in lists[..9 * 512].chunks(512) {
        out.write_all_at(header, length).unwrap();
        length += 512 + content.len() as u64;
    }
    out.set_len(length + 1024).unwrap();
    let before = machine.snapshot();
    machine.run(&command).exits(1).says("is one of too many").says("help GTSB-BACKUP-UNUSABLE");
    assert!(differences(&before, &machine.snapshot()).is_empty());
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let machine = instance();
    let [pipe, link] = ["pipe.tar", "link.tar"].map(|name| machine.beside(name));
    nix::unistd::mkfifo(&pipe, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
    symlink(&pipe, &link).unwrap();
    for file in [&pipe, &link, Path::new("/dev/null"), Path::new("/dev/zero"), &machine.root()] {
        let outcome = machine.run(&["restore", "--yes", file.to_str().unwrap()]).exits(1);
        outcome.says("it is not a regular file").says("help GTSB-BACKUP-UNUSABLE");
    }
}

#[test]
fn a_hundred_thousand_members_are_read_and_the_last_one_counts() {
    const MANY: usize = 100_000;
    let (_, base) = scene();
    let path = |number: usize| format!("storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/small/{number:026}.webp");
    let empty = Entry { path: String::new(), size: 0, mode: 0o640, sha256: digest(b"") };
    let mut entries: Vec<Entry> = base.parts[..1].iter().map(|part| part.listed.clone()).collect();
    entries.extend((0..MANY).map(|number| Entry { path: path(number), ..empty.clone() }));
    let manifest = Manifest { head: base.head.clone(), entries };
    let mut bytes = Forged { parts: base.parts[..1].to_vec(), ..base.clone() }.bytes();
    let first = usize::from_str_radix(std::str::from_utf8(&bytes[124..135]).unwrap(), 8).unwrap();
    let members = bytes.split_off(512 + first.next_multiple_of(512));
    let text = serde_json::to_vec(&manifest).unwrap();
    bytes = header("manifest.json", b'0', text.len(), 0o600, base.head.created);
    bytes.extend(&text);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes.extend(&members[..members.len() - 1024]);
    for number in 0..MANY {
        bytes.extend(header(&path(number), b'0', 0, 0o640, base.head.created));
    }
    let last = bytes.len() - 512;
    bytes.resize(bytes.len() + 1024, 0);
    let mut file = tempfile::tempfile_in("/dev/shm").or_else(|_| tempfile::tempfile()).unwrap();
    file.write_all(&bytes).unwrap();
    let read = |file: &mut File| {
        let mut count = 0;
        let manifest = backup::open(file).unwrap().manifest;
        backup::walk(file, &manifest, &|| Ok(()), &mut |_, _| {
            count += 1;
            Ok(())
        })
        .map(|()| count)
    };
    assert_eq!(read(&mut file).unwrap(), MANY + 1);
    file.write_all_at(b"2", last as u64 + 156).unwrap();
    assert!(read(&mut file).unwrap_err().to_string().contains("is not a regular file"));
}
