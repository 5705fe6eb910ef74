//! Round trips, and malicious files.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::write::hexadecimal;
use super::*;

const OTHER: &str = "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X8.gif";
const MEDIUM: &str = "storage/01FPST95B8FC3HG3AGCDKPQNQ2/attachment/original/01FPST9QK4V5XWS3F9Z4F2G1X7.gif";

fn head() -> Head {
    Head {
        schema: manifest::SCHEMA,
        program: "0.1.0".into(),
        host: "social.example.org".into(),
        account_domain: "example.org".into(),
        version: "0.19.2".parse().unwrap(),
        created: 1_767_225_600,
        database: DatabaseKind::Sqlite,
        state: None,
        media: true,
    }
}

fn member(folder: &Path, path: &str, needed: bool) -> Member {
    Member { path: path.to_owned(), from: folder.join(path), mode: 0o640, needed }
}

fn opener(member: &Member) -> io::Result<Source> {
    match File::open(&member.from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Err("it was deleted meanwhile".to_owned())),
        opened => opened.map(Ok),
    }
}

/// Writes a backup; with it what was left out.
fn written(
    out: &mut File,
    members: &[Member],
    open: &dyn Fn(&Member) -> io::Result<Source>,
) -> io::Result<(Manifest, Vec<Skipped>)> {
    let mut left_out = LeftOut::default();
    let manifest = write(out, &head(), members, open, &|| Ok(()), &mut left_out)?;
    assert_eq!(left_out.count, left_out.files.len() as u64);
    Ok((manifest, left_out.files))
}

/// Writes files of these names and contents, and a backup of them.
fn backup_of(files: &BTreeMap<String, Vec<u8>>) -> (tempfile::TempDir, File, Manifest) {
    let folder = tempfile::tempdir().unwrap();
    let mut members = Vec::new();
    for (path, bytes) in files {
        let there = folder.path().join(path);
        fs::create_dir_all(there.parent().unwrap()).unwrap();
        fs::write(there, bytes).unwrap();
        members.push(member(folder.path(), path, true));
    }
    let mut out = tempfile::tempfile().unwrap();
    let (manifest, skipped) = written(&mut out, &members, &opener).unwrap();
    assert_eq!(skipped, []);
    (folder, out, manifest)
}

fn contents(file: &mut File) -> Result<BTreeMap<String, Vec<u8>>, BackupError> {
    let manifest = open(file)?.manifest;
    let mut found = BTreeMap::new();
    walk(file, &manifest, &|| Ok(()), &mut |entry, bytes| {
        let mut content = Vec::new();
        bytes.read_to_end(&mut content)?;
        found.insert(entry.path.clone(), content);
        Ok(())
    })?;
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_goes_in_comes_out(
        mut files in prop::collection::btree_map("storage/[0-9A-HJKMNP-TV-Z]{26}/[a-z]{1,9}/[a-z]{1,9}/[0-9A-HJKMNP-TV-Z]{26}[.][a-z0-9]{1,60}", prop::collection::vec(any::<u8>(), 0..3000), 0..6),
        database in prop::collection::vec(any::<u8>(), 0..3000),
    ) {
        files.insert(SQLITE.to_owned(), database);
        let (_folder, mut out, manifest) = backup_of(&files);
        prop_assert_eq!(&open(&mut out).unwrap().manifest, &manifest);
        prop_assert_eq!(contents(&mut out).unwrap(), files);
    }

    #[test]
    fn no_flipped_bit_of_a_member_goes_unseen(place in any::<prop::sample::Index>(), bit in 0..8_u8) {
        let files = BTreeMap::from([(SQLITE.to_owned(), vec![7; 900]), (MEDIUM.to_owned(), vec![9; 700])]);
        let (_folder, mut out, manifest) = backup_of(&files);
        let length = out.metadata().unwrap().len();
        let before = length - END - 2 * (BLOCK + 1024);
        let members = usize::try_from(length - before).unwrap();
        let at = before + place.index(members) as u64;
        let mut byte = [0];
        out.read_exact_at(&mut byte, at).unwrap();
        out.write_all_at(&[byte[0] ^ (1 << bit)], at).unwrap();
        let outcome = contents(&mut out);
        prop_assert!(outcome.is_err(), "{:?} {:?}", at, manifest);
    }
}

#[test]
fn what_vanishes_is_left_out_unless_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("database")).unwrap();
    fs::write(folder.path().join(SQLITE), "x").unwrap();
    let mut members = vec![member(folder.path(), SQLITE, true), member(folder.path(), MEDIUM, false)];
    let mut out = tempfile::tempfile().unwrap();
    let (manifest, skipped) = written(&mut out, &members, &opener).unwrap();
    let path = folder.path().join(MEDIUM).to_str().unwrap().to_owned();
    assert_eq!(skipped, [Skipped { path, why: "it was deleted meanwhile".to_owned() }]);
    assert_eq!((manifest.entries.len(), contents(&mut out).unwrap().len()), (1, 1));
    members[1].needed = true;
    let refused = written(&mut tempfile::tempfile().unwrap(), &members, &opener).unwrap_err();
    assert!(refused.to_string().contains("X7.gif: it was deleted meanwhile"), "{refused}");
}

#[test]
fn what_changes_is_read_again_and_what_has_no_place_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let long = format!("{}{}", &MEDIUM[..MEDIUM.len() - 3], "n".repeat(120));
    let big = "records/deployment.lock";
    let [changes, restless, stray] = ["tls/a.example.pem", "tls/a.example.key", "records/deployment.toml~"];
    let paths = [changes, restless, long.as_str(), stray, big, SQLITE];
    for path in paths {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "as it was, and long enough to matter").unwrap();
    }
    File::options().write(true).open(folder.path().join(big)).unwrap().set_len(1 << 20).unwrap();
    let members: Vec<Member> = paths.map(|path| member(folder.path(), path, [stray, SQLITE].contains(&path))).into();
    let readings = Cell::new(0);
    // A file of this length that is shorter when it is read, as if it had been truncated at that moment.
    let open = |member: &Member| -> io::Result<Source> {
        let (file, path) = (opener(member)?, &member.from);
        let once = path.ends_with(changes) && readings.replace(readings.get() + 1) == 0;
        if let Ok(file) = file.as_ref()
            && (once || path.ends_with(restless))
        {
            let mut ahead = file;
            ahead.seek(SeekFrom::Start(5)).unwrap();
        }
        Ok(file)
    };
    let mut out = tempfile::tempfile().unwrap();
    let (manifest, skipped) = written(&mut out, &members, &open).unwrap();
    let why: Vec<&str> = skipped.iter().map(|file| file.why.as_str()).collect();
    let too_long = "its path does not fit into a tar file";
    let too_large = "it is larger than such a file can be";
    assert_eq!(why, ["it changed each time that it was read", too_long, STRAY, too_large]);
    let found = contents(&mut out).unwrap();
    assert_eq!(found[changes], b"as it was, and long enough to matter");
    assert_eq!(found.keys().collect::<Vec<_>>(), [SQLITE, changes]);
    assert_eq!(manifest.entries.len(), 2);
}

/// A tar file whose manifest names these members, with the given additions to each.
fn forged(names: &[(&str, EntryType)], listed: &[(&str, u32)], schema: u32) -> File {
    let bytes = b"bytes";
    let mut hasher = Sha256::new();
    hasher.update(bytes);
    let sha256 = hexadecimal(hasher);
    let entry =
        |(path, mode): &(&str, u32)| Entry { path: (*path).into(), size: 5, mode: *mode, sha256: sha256.clone() };
    let manifest = Manifest { head: Head { schema, ..head() }, entries: listed.iter().map(entry).collect() };
    let text = serde_json::to_vec(&manifest).unwrap();
    let mut out = tempfile::tempfile().unwrap();
    let mut add = |path: &str, kind: EntryType, content: &[u8]| {
        let mut header = write::header("x", 0o600, content.len() as u64, head().created).unwrap();
        // Bypasses the checks of the library, as an attacker would.
        header.as_old_mut().name = [0; 100];
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_cksum();
        out.write_all(header.as_bytes()).unwrap();
        out.write_all(content).unwrap();
        out.write_all(&vec![0; usize::try_from(padded(content.len() as u64)).unwrap() - content.len()]).unwrap();
    };
    add(manifest::FILE, EntryType::Regular, &text);
    for (path, kind) in names {
        add(path, *kind, bytes);
    }
    out.write_all(&[0; 1024]).unwrap();
    out
}

#[test]
fn what_no_backup_has_is_refused() {
    use EntryType::{Char, Directory, Fifo, GNULongName, GNUSparse, Link, Regular, Symlink, XHeader};
    let good = (SQLITE, Regular);
    let listed = (SQLITE, 0o600);
    assert!(contents(&mut forged(&[good], &[listed], 1)).is_ok());
    let refused = |names: &[(&str, EntryType)], entries: &[(&str, u32)], schema| {
        contents(&mut forged(names, entries, schema)).unwrap_err().to_string()
    };
    for path in ["/etc/passwd", "../x", "storage/../../x", "a//b", "a\u{7}b"] {
        let said = refused(&[good, (path, Regular)], &[listed, (path, 0o600)], 1);
        assert!(said.contains("is not allowed, because"), "{path}: {said}");
        // Also if only the file has the bad path, and the manifest a good one.
        let said = refused(&[good, (path, Regular)], &[listed, (MEDIUM, 0o600)], 1);
        assert!(said.contains("is not allowed, because"), "{path}: {said}");
    }
    for kind in [Symlink, Link, Char, Fifo, Directory, GNULongName, GNUSparse, XHeader] {
        let said = refused(&[good, (MEDIUM, kind)], &[listed, (MEDIUM, 0o600)], 1);
        assert!(said.contains("is not a regular file"), "{kind:?}: {said}");
    }
    let twice = refused(&[good, good], &[listed, listed], 1);
    assert!(twice.contains("is there twice"), "{twice}");
    let second = refused(&[good, ("manifest.json", Regular)], &[listed, ("manifest.json", 0o600)], 1);
    assert!(second.contains("is there twice"), "{second}");
    let special = refused(&[good], &[(SQLITE, 0o4755)], 1);
    assert!(special.contains("has a special mode"), "{special}");
    let other = refused(&[good, (OTHER, Regular)], &[listed, (MEDIUM, 0o600)], 1);
    assert!(other.contains(&format!("where the manifest has \"{MEDIUM}\", there is \"{OTHER}\"")), "{other}");
    let more = refused(&[good, (OTHER, Regular)], &[listed], 1);
    assert!(more.contains("something was added"), "{more}");
    let newer = refused(&[good], &[listed], 2);
    assert!(newer.contains("newer gts-bootstrap (manifest of schema 2"), "{newer}");
    let none = refused(&[(MEDIUM, Regular)], &[(MEDIUM, 0o600)], 1);
    assert!(none.contains("there is no database in it"), "{none}");
}

#[test]
fn what_is_something_else_is_told() {
    for bytes in [&b""[..], b"a letter to my aunt", &[0; 4096]] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let said = open(&mut file).unwrap_err().to_string();
        assert!(said.contains("it is not a backup of gts-bootstrap"), "{said}");
    }
    let mut file = forged(&[(SQLITE, EntryType::Regular)], &[(SQLITE, 0o600)], 1);
    let length = file.metadata().unwrap().len();
    file.set_len(length - 1).unwrap();
    assert!(matches!(open(&mut file), Err(BackupError::Length { .. })));
    let mut file = forged(&[], &[], 1);
    file.write_all_at(b"{", 512).unwrap();
    file.write_all_at(b"[", 513).unwrap();
    let said = open(&mut file).unwrap_err().to_string();
    assert!(said.contains("its manifest makes no sense"), "{said}");
}

#[test]
fn sizes_that_are_only_claimed_take_no_memory() {
    let mut file = forged(&[(SQLITE, EntryType::Regular)], &[(SQLITE, 0o600)], 1);
    let mut text = vec![0; 512];
    file.read_exact_at(&mut text, 512).unwrap();
    let text = String::from_utf8_lossy(&text).replace("\"size\":5,", "\"size\":18446744073709551615,");
    file.write_all_at(&text.as_bytes()[..512], 512).unwrap();
    assert!(open(&mut file).is_err());
}

#[test]
fn a_stop_is_heard_in_the_midst_of_a_large_member() {
    const LARGE: usize = 8 << 20;
    let files = BTreeMap::from([(SQLITE.to_owned(), vec![7; 900]), (MEDIUM.to_owned(), vec![9; LARGE])]);
    let (folder, mut out, manifest) = backup_of(&files);
    // Whether the member is wanted, or passed over.
    for wanted in [true, false] {
        let (asked, seen) = (Cell::new(0_u64), Cell::new(0));
        let may_go_on = || {
            asked.set(asked.get() + 1);
            if asked.get() > 12 { Err(io::Error::other("interrupted")) } else { Ok(()) }
        };
        let read = walk(&mut out, &manifest, &may_go_on, &mut |_, bytes| {
            let mut piece = [0; 1 << 16];
            loop {
                match if wanted { bytes.read(&mut piece)? } else { 0 } {
                    0 => return Ok(()),
                    count => seen.set(seen.get() + count),
                }
            }
        });
        assert!(read.unwrap_err().to_string().contains("interrupted"));
        assert_eq!(asked.get(), 13, "nothing is read after it");
        assert!(seen.get() < LARGE / 4, "{} bytes", seen.get());
    }
    let asked = Cell::new(0);
    let may_go_on = || {
        asked.set(asked.get() + 1);
        if asked.get() > 6 { Err(io::Error::other("interrupted")) } else { Ok(()) }
    };
    let members: Vec<Member> = files.keys().map(|path| member(folder.path(), path, true)).collect();
    let mut into = tempfile::tempfile().unwrap();
    write(&mut into, &head(), &members, &opener, &may_go_on, &mut LeftOut::default()).unwrap_err();
    assert!(asked.get() == 7 && into.metadata().unwrap().len() < LARGE as u64 * 3 / 4);
}
