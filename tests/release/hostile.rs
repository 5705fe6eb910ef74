//! The corpus of hostile archives. Each is refused for its reason, by a child that has nothing but an empty folder, and
//! the place is as it was. The content is harmless, and made here.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use gts_bootstrap::child::Ids;
use gts_bootstrap::release::{Error, Limits, NoProgress, PathRefusal, Refusal, Target, fetch};
use tar::EntryType;
use tempfile::TempDir;

use super::archives::{Tar, gzip, pax_record};
use super::places::{ASSET, fetcher_as, lock, soon};
use crate::machine::tree;

/// Nobody, whose uid and gid are the same on FreeBSD and Debian.
const NOBODY: u32 = 65534;

/// Where others could be harmed: a mirror, a release that is there, a link that leads out, and what is above it all.
struct Neighbourhood(TempDir);

impl Neighbourhood {
    fn with(archive: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["mirror/v0.19.2", "above/place/0.19.1/web", "above/other", "store"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        // Where the archives lead to, from the root of a staging folder or from a folder in it.
        for name in
            ["escaped", "above/escaped", "above/place/escaped", "above/other/file", "above/place/0.19.1/gotosocial"]
        {
            fs::write(path(name), "precious").unwrap();
        }
        fs::write(path("mirror/v0.19.2").join(ASSET), archive).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711)).unwrap();
        Self(folder)
    }

    fn state(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        tree(self.0.path())
    }

    /// Installs the archive; children have these ids.
    fn install(&self, archive: &[u8], ids: Option<Ids>) -> Result<(), Error> {
        let path = |name: &str| self.0.path().join(name);
        let target = Target { directory: &path("above/place/0.19.2"), partial: &path("store/download") };
        let source = gts_bootstrap::release::Source::MirrorDir(path("mirror"));
        let fetcher = fetcher_as(ids, soon(1), &NoProgress);
        fetch(&lock(archive), &source, target, &Limits::default(), &fetcher)
    }
}

/// Children as root starts them, where this is root; and as everybody else does.
fn everybody() -> Vec<Option<Ids>> {
    let nobody = Ids { uid: NOBODY, gid: NOBODY, groups: Vec::new() };
    let is_root = nix::unistd::geteuid().is_root();
    [None, Some(nobody).filter(|_| is_root)]
        .into_iter()
        .enumerate()
        .filter(|(at, ids)| *at == 0 || ids.is_some())
        .map(|(_, ids)| ids)
        .collect()
}

/// Whether a refusal is the one that is due.
type Due = fn(&Refusal) -> bool;

fn path(reason: PathRefusal) -> Due {
    match reason {
        PathRefusal::Absolute => |refusal| matches!(refusal, Refusal::Path(_, PathRefusal::Absolute)),
        PathRefusal::Parent => |refusal| matches!(refusal, Refusal::Path(_, PathRefusal::Parent)),
        PathRefusal::TooLong => |refusal| matches!(refusal, Refusal::Path(_, PathRefusal::TooLong)),
        other => panic!("{other}"),
    }
}

const DEEP: Due = |refusal| matches!(refusal, Refusal::TooDeep(_));
const LINK: Due = |refusal| matches!(refusal, Refusal::Link(_));
const DEVICE: Due = |refusal| matches!(refusal, Refusal::Device(_));
const UNKNOWN: Due = |refusal| matches!(refusal, Refusal::UnknownKind(_));
const SPECIAL: Due = |refusal| matches!(refusal, Refusal::SpecialMode(..));
const TWICE: Due = |refusal| matches!(refusal, Refusal::Duplicate(_));
const TWIN: Due = |refusal| matches!(refusal, Refusal::CaseTwin(_));
const HEADERS: Due = |refusal| matches!(refusal, Refusal::HeadersTooLarge(_));
const TRAILING: Due = |refusal| *refusal == Refusal::TrailingData;
const NO_END: Due = |refusal| *refusal == Refusal::NoEndMark;
const MALFORMED: Due = |refusal| matches!(refusal, Refusal::Malformed(_));

fn corpus() -> Vec<(&'static str, Vec<u8>, Due)> {
    let tar = Tar::with_program;
    let file = |tar: Tar| tar.file("harmless", 0o644, b"content").packed();
    let plain = |path: &[u8]| tar().entry(path, EntryType::Regular, 0o644, b"content").packed();
    let (absolute, parent) = (path(PathRefusal::Absolute), path(PathRefusal::Parent));
    let outside = b"../../other/file";
    let inside = b"gotosocial";
    let link = |kind, target: &[u8]| tar().link(kind, b"link", target).packed();
    let through =
        |target: &[u8]| tar().link(EntryType::Symlink, b"web", target).file("web/file", 0o644, b"content").packed();
    let of_kind = |kind| tar().entry(b"odd", kind, 0o644, b"").packed();
    let with_mode = |mode| tar().file("odd", mode, b"content").packed();
    let sparse_1_0 =
        ["GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=../escaped", "GNU.sparse.realsize=7"];
    let sparse_1_0: String = sparse_1_0
        .iter()
        .map(|record| record.split_once('=').unwrap())
        .map(|(key, value)| pax_record(key, value))
        .collect();
    let many_records: String = (0..20_000).map(|number| pax_record(&format!("k{number}"), "v")).collect();
    let whole = tar().packed();
    vec![
        ("an absolute path in a header", plain(b"/escaped"), absolute),
        ("an absolute path in ustar's prefix", tar().ustar(b"/above", b"escaped").packed(), absolute),
        ("an absolute path in a PAX record", file(tar().pax_path("/escaped")), absolute),
        ("an absolute path in a GNU long name", file(tar().gnu_long_name("/escaped")), absolute),
        ("a parent in a header", plain(b"../escaped"), parent),
        ("two parents in a header", plain(b"../../escaped"), parent),
        ("a parent further on", plain(b"web/../../escaped"), parent),
        ("a parent at the end", plain(b"web/.."), parent),
        ("a parent behind ./", plain(b"./../escaped"), parent),
        ("a parent in ustar's prefix", tar().ustar(b"..", b"escaped").packed(), parent),
        ("a parent between ustar's halves", tar().ustar(b"web/..", b"../escaped").packed(), parent),
        ("a parent in a PAX record", file(tar().pax_path("../escaped")), parent),
        ("a parent in a GNU long name", file(tar().gnu_long_name("../escaped")), parent),
        ("a parent of a folder", tar().entry(b"../", EntryType::Directory, 0o755, b"").packed(), parent),
        ("a long path in a PAX record", file(tar().pax_path(&"n/".repeat(300))), path(PathRefusal::TooLong)),
        ("a file 20 names deep", tar().file(&["n"; 20].join("/"), 0o644, b"").packed(), DEEP),
        ("a folder 20 names deep", tar().entry(&b"n/".repeat(20), EntryType::Directory, 0o755, b"").packed(), DEEP),
        ("a symbolic link that leads out", link(EntryType::Symlink, outside), LINK),
        ("a symbolic link that stays in", link(EntryType::Symlink, inside), LINK),
        ("an absolute symbolic link", link(EntryType::Symlink, b"/escaped"), LINK),
        ("a file through a symbolic link", through(b"../../other"), LINK),
        ("a hard link that leads out", link(EntryType::Link, outside), LINK),
        ("a hard link that stays in", link(EntryType::Link, inside), LINK),
        (
            "a link whose target is a PAX record",
            tar().pax("linkpath", "../../other/file").link(EntryType::Symlink, b"link", b"x").packed(),
            LINK,
        ),
        (
            "a link whose target is a GNU long name",
            tar().gnu_long_link("../../other/file").link(EntryType::Link, b"link", b"x").packed(),
            LINK,
        ),
        ("a character device", of_kind(EntryType::Char), DEVICE),
        ("a block device", of_kind(EntryType::Block), DEVICE),
        ("a FIFO", of_kind(EntryType::Fifo), DEVICE),
        ("a contiguous file", of_kind(EntryType::Continuous), UNKNOWN),
        ("a sparse file of GNU tar", tar().gnu_sparse(b"odd").packed(), UNKNOWN),
        (
            "a sparse file in PAX records",
            tar()
                .entry(b"pax", EntryType::XHeader, 0o644, sparse_1_0.as_bytes())
                .file("GNUSparseFile.0/harmless", 0o644, b"1\n0\n7\ncontent")
                .packed(),
            UNKNOWN,
        ),
        ("a file of a kind that nobody knows", of_kind(EntryType::new(b'Z')), UNKNOWN),
        ("a set-uid file", with_mode(0o4755), SPECIAL),
        ("a set-gid file", with_mode(0o2755), SPECIAL),
        ("a sticky file", with_mode(0o1755), SPECIAL),
        ("a set-gid folder", tar().entry(b"odd/", EntryType::Directory, 0o2755, b"").packed(), SPECIAL),
        ("the same file twice", file(tar().file("harmless", 0o644, b"other")), TWICE),
        ("the program twice", tar().file("gotosocial", 0o755, b"other").packed(), TWICE),
        ("a file that is a folder", file(tar().file("harmless/inner", 0o644, b"")), TWICE),
        ("two files but for capitals", file(tar().file("Harmless", 0o644, b"other")), TWIN),
        (
            "two files but for capitals beyond ASCII",
            tar().file("grüße", 0o644, b"").file("GRÜSSE", 0o644, b"").file("GRÜßE", 0o644, b"").packed(),
            TWIN,
        ),
        ("two folders but for capitals", tar().file("web/a", 0o644, b"").file("Web/b", 0o644, b"").packed(), TWIN),
        ("a file and a folder but for capitals", file(tar().file("HARMLESS/inner", 0o644, b"")), TWIN),
        ("a PAX record of a mebibyte", file(tar().pax("comment", &"x".repeat(1 << 20))), HEADERS),
        ("20,000 PAX records", file(tar().entry(b"pax", EntryType::XHeader, 0o644, many_records.as_bytes())), HEADERS),
        ("a GNU long name of a mebibyte", file(tar().gnu_long_name(&"n".repeat(1 << 20))), HEADERS),
        (
            "a global PAX header",
            file(tar().entry(b"pax", EntryType::XGlobalHeader, 0o644, pax_record("path", "../escaped").as_bytes())),
            UNKNOWN,
        ),
        ("a size in a PAX record that is another one", file(tar().pax("size", "1099511627776")), |refusal| {
            matches!(refusal, Refusal::FileTooLarge(..))
        }),
        (
            "100,000 files",
            (0..100_000).fold(tar(), |tar, number| tar.file(&format!("file{number}"), 0o644, b"")).packed(),
            |refusal| *refusal == Refusal::TooManyEntries(10_000),
        ),
        (
            "100,000 folders",
            (0..100_000)
                .fold(tar(), |tar, number| {
                    tar.entry(format!("folder{number}/").as_bytes(), EntryType::Directory, 0o755, b"")
                })
                .packed(),
            |refusal| *refusal == Refusal::TooManyEntries(10_000),
        ),
        (
            "4,000 files, each in two folders of its own",
            (0..4000).fold(tar(), |tar, number| tar.file(&format!("{number}/a/file"), 0o644, b"")).packed(),
            |refusal| *refusal == Refusal::TooManyEntries(10_000),
        ),
        ("a second gzip member with another archive", [whole.clone(), file(tar())].concat(), TRAILING),
        ("a second gzip member that is empty", [whole.clone(), gzip(b"")].concat(), TRAILING),
        ("bytes after the gzip stream", [&whole[..], b"more"].concat(), TRAILING),
        ("zeros after the gzip stream", [&whole[..], &[0; 512]].concat(), TRAILING),
        ("an archive after the end of the tar stream", gzip(&[tar().closed(), tar().closed()].concat()), TRAILING),
        ("a gzip stream that is cut off", whole[..whole.len() - 9].to_vec(), NO_END),
        (
            "a tar stream that is cut off in a file",
            gzip(&tar().header(b"cut", EntryType::Regular, 0o644, 2000).bytes(b"some").open_ended()),
            NO_END,
        ),
        ("a tar stream without its end", gzip(&tar().open_ended()), NO_END),
        (
            "a file that is larger than all that may be",
            gzip(&tar().header(b"huge", EntryType::Regular, 0o644, 1 << 40).open_ended()),
            |refusal| matches!(refusal, Refusal::FileTooLarge(..)),
        ),
        ("zeros without end after the tar stream", gzip(&[tar().closed(), vec![0; 2 << 20]].concat()), HEADERS),
        ("a header with a wrong checksum", gzip(&[tar().open_ended(), vec![b'x'; 1024]].concat()), MALFORMED),
        ("no archive at all", b"<html>not found</html>".to_vec(), MALFORMED),
        ("nothing", Vec::new(), NO_END),
    ]
}

#[test]
fn each_is_refused_for_its_reason_and_the_place_is_as_it_was() {
    let everybody = everybody();
    for (what, archive, is_due) in corpus() {
        let place = Neighbourhood::with(&archive);
        let before = place.state();
        for ids in &everybody {
            match place.install(&archive, ids.clone()) {
                Err(Error::Archive(asset, refusal)) => {
                    assert_eq!(asset, ASSET);
                    assert!(is_due(&refusal), "{what}: {refusal}");
                }
                other => panic!("{what}: not refused as an archive: {other:?}"),
            }
            assert!(place.state() == before, "{what}: something is different afterwards");
        }
    }
}

#[test]
fn what_a_stranger_unpacked_belongs_to_root() {
    use std::os::unix::fs::MetadataExt;
    let archive = super::archives::honest();
    for ids in everybody() {
        let place = Neighbourhood::with(&archive);
        place.install(&archive, ids).unwrap();
        let release = place.0.path().join("above/place/0.19.2");
        assert!(gts_bootstrap::release::verify(&release).unwrap().is_intact());
        for name in ["", "gotosocial", "web", "web/assets/a.css", ".manifest"] {
            let metadata = release.join(name).symlink_metadata().unwrap();
            assert_eq!(metadata.uid(), nix::unistd::geteuid().as_raw(), "{name}");
            assert_eq!(metadata.mode() & 0o7022, 0, "{name}");
        }
        let mut there = super::places::names_in(&place.0.path().join("above/place"));
        there.retain(|name| name.starts_with('.'));
        assert_eq!(there, Vec::<String>::new());
    }
}
