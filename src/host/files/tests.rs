//! Tests of rooted files, on a folder with recorded owners.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod deep;
mod planted;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tempfile::TempDir;

use super::{Owners, Root, Whose};
use crate::host::freebsd::FreeBsd;
use crate::host::{Entry, HostError, NEVER, Observe, Owner};
#[cfg(debug_assertions)]
use crate::operation::{Operation, watch};

const SERVICE: Owner = Owner { uid: 209, gid: 209 };

struct Tree {
    folder: TempDir,
    root: Root,
}

impl Tree {
    /// `/etc` and `/srv` belong to root, `/home` belongs to the service.
    fn new() -> Self {
        // In memory where that is to be had: some tests make many folders.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let root = Root::recorded(folder.path(), BTreeMap::new());
        root.make_directory(Path::new("/etc"), 0o755, Owner::ROOT).unwrap();
        root.make_directory(Path::new("/srv"), 0o755, Owner::ROOT).unwrap();
        root.make_directory(Path::new("/home"), 0o750, SERVICE).unwrap();
        Self { folder, root }
    }

    fn outside(&self, path: &str) -> PathBuf {
        self.folder.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) -> Result<(), HostError> {
        self.root.write_file(Path::new(path), text.as_bytes(), 0o644, Owner::ROOT)
    }

    fn text(&self, path: &str) -> Option<String> {
        self.read(Path::new(path)).unwrap().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, HostError> {
        self.root.read_from(path, Whose::Folder, 0, usize::MAX)
    }

    /// Copies a file of the service's.
    fn copied(&self, from: &Path, to: &Path) -> Result<crate::host::CopiedFile, HostError> {
        self.root.copy_file(from, Whose::of(SERVICE), to, 0o600, SERVICE, NEVER)
    }

    fn remove_tree(&self, path: &str) -> Result<(), HostError> {
        self.root.remove_tree(Path::new(path), NEVER)
    }

    fn names(&self, path: &str) -> Vec<String> {
        self.root.list(Path::new(path)).unwrap()
    }
}

fn refused_as_planted<T: std::fmt::Debug>(result: Result<T, HostError>) {
    let text = result.unwrap_err().to_string();
    assert!(text.contains("is not followed"), "{text}");
}

#[test]
fn a_file_is_written_and_described() {
    let tree = Tree::new();
    tree.root.write_file(Path::new("/etc/x"), b"one", 0o640, SERVICE).unwrap();
    let expected = Entry::File { size: 3, mode: 0o640, owner: SERVICE };
    assert_eq!(tree.root.entry(Path::new("/etc/x")).unwrap(), Some(expected));
    tree.write("/etc/x", "two").unwrap();
    assert_eq!(tree.text("/etc/x").as_deref(), Some("two"));
    let expected = Entry::File { size: 3, mode: 0o644, owner: Owner::ROOT };
    assert_eq!(tree.root.entry(Path::new("/etc/x")).unwrap(), Some(expected));
    assert_eq!(tree.names("/etc"), ["x"]);
    let expected = Entry::Directory { mode: 0o750, owner: SERVICE };
    assert_eq!(tree.root.entry(Path::new("/home")).unwrap(), Some(expected));
    assert!(matches!(tree.root.entry(Path::new("/")).unwrap(), Some(Entry::Directory { .. })));
    fs::create_dir(tree.outside("/etc/pipes")).unwrap();
    nix::unistd::mkfifo(&tree.outside("/etc/pipes/p"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(tree.root.entry(Path::new("/etc/pipes/p")).unwrap(), Some(Entry::Other));
}

#[test]
fn what_is_not_there_is_none_and_a_file_for_a_folder_is_an_error() {
    let tree = Tree::new();
    assert_eq!(tree.root.entry(Path::new("/no/such/file")).unwrap(), None);
    assert_eq!(tree.text("/no/such/file"), None);
    assert_eq!(tree.root.read_from(Path::new("/etc/no"), Whose::ROOT, 0, 9).unwrap(), None);
    assert!(tree.names("/no").is_empty());
    tree.root.remove(Path::new("/no/such")).unwrap();
    tree.remove_tree("/etc/no").unwrap();
    tree.write("/etc/x", "").unwrap();
    let error = tree.root.entry(Path::new("/etc/x/y")).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::ENOTDIR as i32));
    assert_eq!(tree.root.list(Path::new("/etc/x")).unwrap_err().errno(), Some(nix::errno::Errno::ENOTDIR as i32));
    assert_eq!(tree.read(Path::new("/etc")).unwrap_err().errno(), Some(nix::errno::Errno::EISDIR as i32));
    assert!(tree.write("/no/such", "").unwrap_err().to_string().contains("folder that it should be in does not exist"));
    assert!(tree.write("etc/x", "").unwrap_err().to_string().contains("not absolute"));
    assert!(tree.write("/etc/..", "").unwrap_err().to_string().contains("root folder itself"));
}

#[test]
fn a_part_of_a_file_is_read() {
    let tree = Tree::new();
    tree.write("/etc/log", "0123456789").unwrap();
    let part = |offset, limit| tree.root.read_from(Path::new("/etc/log"), Whose::ROOT, offset, limit).unwrap().unwrap();
    assert_eq!(part(3, 4), b"3456");
    assert_eq!(part(8, 100), b"89");
    assert!(part(50, 4).is_empty());
}

#[test]
fn a_file_too_large_or_not_regular_is_not_read() {
    let tree = Tree::new();
    fs::File::create(tree.outside("/etc/big")).unwrap().set_len(crate::host::READ_LIMIT as u64 + 1).unwrap();
    let host = FreeBsd::rooted(tree.folder.path());
    assert!(host.read(Path::new("/etc/big")).unwrap_err().to_string().contains("larger than 64 MiB"));
    nix::unistd::mkfifo(&tree.outside("/etc/pipe"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert!(tree.read(Path::new("/etc/pipe")).unwrap_err().to_string().contains("not a regular file"));
}

#[test]
fn planted_links_are_refused() {
    let tree = Tree::new();
    tree.write("/etc/passwd", "secret").unwrap();
    symlink("../etc", tree.outside("/home/config")).unwrap();
    symlink("/etc/passwd", tree.outside("/home/file")).unwrap();
    let planted = Path::new("/home/config/passwd");
    refused_as_planted(tree.read(planted));
    refused_as_planted(tree.read(Path::new("/home/file")));
    refused_as_planted(tree.root.read_from(planted, Whose::Folder, 0, 1));
    refused_as_planted(tree.root.entry(planted));
    refused_as_planted(tree.root.list(Path::new("/home/config")));
    refused_as_planted(tree.root.write_file(planted, b"x", 0o644, SERVICE));
    refused_as_planted(tree.root.append_file(planted, b"x"));
    refused_as_planted(tree.root.make_directory(Path::new("/home/config/new"), 0o755, SERVICE));
    refused_as_planted(tree.root.make_symlink(Path::new("/home/config/new"), Path::new("x")));
    refused_as_planted(tree.root.remove(planted));
    refused_as_planted(tree.root.remove_tree(planted, &|| None));
    refused_as_planted(tree.root.rename(planted, Path::new("/etc/other")));
    refused_as_planted(tree.root.rename(Path::new("/etc/passwd"), Path::new("/home/config/new")));
    refused_as_planted(tree.root.free_bytes(planted));
    // At the end of the path: no folder is made over it, nothing is appended through it, a write replaces it.
    assert!(tree.root.make_directory(Path::new("/home/config"), 0o755, SERVICE).is_err());
    assert!(tree.root.append_file(Path::new("/home/file"), b"x").unwrap_err().to_string().contains("symbolic link"));
    tree.root.write_file(Path::new("/home/file"), b"mine", 0o644, SERVICE).unwrap();
    assert_eq!(tree.text("/home/file").as_deref(), Some("mine"));
    assert_eq!(tree.names("/etc"), ["passwd"]);
    assert_eq!(tree.text("/etc/passwd").as_deref(), Some("secret"));
}

#[test]
fn a_folder_that_group_or_others_can_write_is_not_trusted() {
    for mode in [0o775, 0o757, 0o1777] {
        let tree = Tree::new();
        tree.write("/etc/x", "x").unwrap();
        tree.root.make_directory(Path::new("/srv"), mode, Owner::ROOT).unwrap();
        symlink("/etc/x", tree.outside("/srv/x")).unwrap();
        refused_as_planted(tree.read(Path::new("/srv/x")));
        tree.root.make_directory(Path::new("/srv"), 0o755, Owner::ROOT).unwrap();
        assert_eq!(tree.text("/srv/x").as_deref(), Some("x"));
    }
}

#[test]
fn trusted_links_are_followed_within_the_base() {
    let tree = Tree::new();
    tree.write("/etc/x", "x").unwrap();
    for (name, target) in [("relative", "../etc"), ("absolute", "/etc"), ("beyond", "../../../../../../../../../etc")] {
        tree.root.make_symlink(&Path::new("/srv").join(name), Path::new(target)).unwrap();
        assert_eq!(tree.text(&format!("/srv/{name}/x")).as_deref(), Some("x"), "{name}");
        let local = tree.root.local_path(&Path::new("/srv").join(name).join("x"));
        assert_eq!(local, tree.outside("/etc/x"));
    }
    // The owner is recorded for the file itself, whichever path led to it.
    tree.root.write_file(Path::new("/srv/absolute/owned"), b"", 0o600, SERVICE).unwrap();
    let expected = Entry::File { size: 0, mode: 0o600, owner: SERVICE };
    assert_eq!(tree.root.entry(Path::new("/etc/owned")).unwrap(), Some(expected));
    // A trusted link into a service's folder does not make the links in that folder trusted.
    tree.root.make_symlink(Path::new("/srv/home"), Path::new("/home")).unwrap();
    symlink("/etc/x", tree.outside("/home/x")).unwrap();
    refused_as_planted(tree.read(Path::new("/srv/home/x")));
    let link = Entry::Symlink { target: "../etc".into() };
    assert_eq!(tree.root.entry(Path::new("/srv/relative")).unwrap(), Some(link));
}

#[test]
fn links_in_a_circle_end() {
    let tree = Tree::new();
    tree.root.make_symlink(Path::new("/srv/a"), Path::new("b")).unwrap();
    tree.root.make_symlink(Path::new("/srv/b"), Path::new("a")).unwrap();
    let error = tree.read(Path::new("/srv/a")).unwrap_err();
    assert_eq!(error.errno(), Some(nix::errno::Errno::ELOOP as i32));
    tree.root.make_symlink(Path::new("/srv/dangling"), Path::new("nothing")).unwrap();
    assert_eq!(tree.text("/srv/dangling"), None);
}

#[test]
fn dots_do_not_leave_the_base() {
    let tree = Tree::new();
    tree.write("/../../../../etc/../etc/x", "in").unwrap();
    assert_eq!(fs::read_to_string(tree.outside("/etc/x")).unwrap(), "in");
    assert_eq!(tree.root.local_path(Path::new("/../../no/../such/x")), tree.outside("/such/x"));
}

#[test]
fn modes_are_exact_and_a_failed_write_leaves_nothing_behind() {
    let tree = Tree::new();
    for mode in [0o600, 0o666, 0o777, 0o4755, 0o2750] {
        tree.root.write_file(Path::new("/etc/file"), b"", mode, Owner::ROOT).unwrap();
        assert_eq!(fs::metadata(tree.outside("/etc/file")).unwrap().permissions().mode() & 0o7777, mode);
    }
    for mode in [0o700, 0o777, 0o1777] {
        tree.root.make_directory(Path::new("/srv/folder"), mode, Owner::ROOT).unwrap();
        assert_eq!(fs::metadata(tree.outside("/srv/folder")).unwrap().permissions().mode() & 0o7777, mode);
    }
    // A folder exists there: the rename fails after everything else was done.
    assert!(tree.root.write_file(Path::new("/srv/folder"), b"x", 0o600, SERVICE).is_err());
    assert_eq!(tree.names("/srv"), ["folder"]);
    assert!(tree.root.owners().records().keys().all(|path| path == Path::new("/home")));
}

#[cfg(debug_assertions)]
#[test]
fn a_refused_owner_undoes_the_step() {
    let tree = Tree::new();
    watch(Box::new(|step| match step.operation {
        Operation::Owner(..) => Err(nix::errno::Errno::EPERM.into()),
        _ => Ok(()),
    }));
    let [written, made] = [
        tree.root.write_file(Path::new("/srv/x"), b"x", 0o600, SERVICE),
        tree.root.make_directory(Path::new("/srv/y"), 0o700, SERVICE),
    ];
    watch(Box::new(|_| Ok(())));
    assert!(written.is_err() && made.is_err());
    assert!(tree.names("/srv").is_empty());
}

#[test]
fn appending_makes_a_private_file_and_refuses_a_second_name() {
    let tree = Tree::new();
    let journal = Path::new("/etc/journal");
    tree.root.append_file(journal, b"one\n").unwrap();
    tree.root.append_file(journal, b"two\n").unwrap();
    assert_eq!(tree.text("/etc/journal").as_deref(), Some("one\ntwo\n"));
    let expected = Entry::File { size: 8, mode: 0o600, owner: Owner::ROOT };
    assert_eq!(tree.root.entry(journal).unwrap(), Some(expected));
    fs::hard_link(tree.outside("/etc/journal"), tree.outside("/home/log")).unwrap();
    assert!(
        tree.root.append_file(Path::new("/home/log"), b"x").unwrap_err().to_string().contains("more than one name")
    );
    assert_eq!(tree.text("/etc/journal").as_deref(), Some("one\ntwo\n"));
    assert!(tree.root.append_file(Path::new("/etc"), b"x").is_err());
}

#[test]
fn a_link_is_swapped_and_never_put_over_anything_else() {
    let tree = Tree::new();
    let current = Path::new("/srv/current");
    tree.root.make_symlink(current, Path::new("1")).unwrap();
    let first = fs::symlink_metadata(tree.outside("/srv/current")).unwrap().ino();
    tree.root.make_symlink(current, Path::new("2")).unwrap();
    assert_eq!(tree.root.entry(current).unwrap(), Some(Entry::Symlink { target: "2".into() }));
    // A different inode: a rename put it in place, so there was no moment without a link.
    assert_ne!(fs::symlink_metadata(tree.outside("/srv/current")).unwrap().ino(), first);
    tree.write("/srv/file", "x").unwrap();
    for taken in ["/srv/file", "/etc"] {
        let error = tree.root.make_symlink(Path::new(taken), Path::new("1")).unwrap_err();
        assert!(error.to_string().contains("not a symbolic link"), "{error}");
    }
    assert_eq!(tree.names("/srv"), ["current", "file"]);
}

#[test]
fn owners_follow_renames_and_end_with_what_they_belong_to() {
    let tree = Tree::new();
    tree.root.make_directory(Path::new("/srv/a"), 0o700, SERVICE).unwrap();
    tree.root.write_file(Path::new("/srv/a/x"), b"", 0o600, SERVICE).unwrap();
    tree.root.rename(Path::new("/srv/a"), Path::new("/srv/b")).unwrap();
    let records = tree.root.owners().records();
    let paths: Vec<&str> = records.keys().filter_map(|path| path.to_str()).collect();
    assert_eq!(paths, ["/home", "/srv/b", "/srv/b/x"]);
    tree.remove_tree("/srv/b").unwrap();
    assert_eq!(tree.root.owners().records().len(), 1);
    tree.write("/srv/b", "").unwrap();
    let expected = Entry::File { size: 0, mode: 0o644, owner: Owner::ROOT };
    assert_eq!(tree.root.entry(Path::new("/srv/b")).unwrap(), Some(expected));
    assert!(tree.root.rename(Path::new("/srv/none"), Path::new("/srv/c")).is_err());
    let kept = Root::recorded("/", tree.root.owners().records());
    assert_eq!(kept.owners().records(), tree.root.owners().records());
}

#[test]
fn removal_follows_no_link_and_spares_full_folders() {
    let tree = Tree::new();
    tree.write("/etc/keep", "x").unwrap();
    fs::create_dir_all(tree.outside("/home/a/b")).unwrap();
    fs::write(tree.outside("/home/a/b/c"), "").unwrap();
    symlink("../../etc", tree.outside("/home/a/link")).unwrap();
    let full = tree.root.remove(Path::new("/home/a")).unwrap_err();
    assert_eq!(full.errno(), Some(nix::errno::Errno::ENOTEMPTY as i32));
    tree.remove_tree("/home/a").unwrap();
    assert!(tree.names("/home").is_empty());
    assert_eq!(tree.names("/etc"), ["keep"]);
    symlink("/etc", tree.outside("/home/link")).unwrap();
    tree.remove_tree("/home/link").unwrap();
    assert_eq!(tree.names("/etc"), ["keep"]);
    tree.root.remove(Path::new("/etc/keep")).unwrap();
    tree.root.remove(Path::new("/etc")).unwrap();
    assert_eq!(tree.root.entry(Path::new("/etc")).unwrap(), None);
    assert!(tree.remove_tree("/").is_err());
}

#[test]
fn free_space_is_asked_of_the_nearest_parent() {
    let tree = Tree::new();
    assert!(tree.root.free_bytes(Path::new("/etc/no/such/folder")).unwrap() > 0);
    assert!(tree.root.free_bytes(Path::new("/")).unwrap() > 0);
}

#[test]
fn real_owners_are_set_on_disk() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = Root::new(folder.path(), Owners::OnDisk);
    root.write_file(Path::new("/x"), b"x", 0o4750, SERVICE).unwrap();
    let expected = Entry::File { size: 1, mode: 0o4750, owner: SERVICE };
    assert_eq!(root.entry(Path::new("/x")).unwrap(), Some(expected));
    root.make_directory(Path::new("/d"), 0o2770, SERVICE).unwrap();
    assert_eq!(root.entry(Path::new("/d")).unwrap(), Some(Entry::Directory { mode: 0o2770, owner: SERVICE }));
}

proptest! {
    #[test]
    fn no_path_leaves_the_base(parts in prop::collection::vec(prop::sample::select(vec!["..", ".", "etc", "up", "x"]), 1..8)) {
        let outer = TempDir::new().unwrap();
        let base = outer.path().join("base");
        fs::create_dir_all(base.join("etc")).unwrap();
        fs::set_permissions(&base, fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(base.join("etc"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink("../..", base.join("etc/up")).unwrap();
        symlink("..", base.join("up")).unwrap();
        let root = Root::recorded(&base, BTreeMap::new());
        let path = PathBuf::from(format!("/{}", parts.join("/")));
        let _ = root.write_file(&path, b"x", 0o600, Owner::ROOT);
        prop_assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
        prop_assert!(root.local_path(&path).starts_with(&base));
    }
}

#[test]
fn a_file_of_any_size_is_copied_with_its_digest_and_no_link_of_others_is_followed() {
    let tree = Tree::new();
    let bytes: Vec<u8> = (0..3_000_001_u32).map(|number| (number % 251) as u8).collect();
    tree.root.write_file(Path::new("/home/db"), &bytes, 0o644, SERVICE).unwrap();
    let copied = tree.copied(Path::new("/home/db"), Path::new("/srv/db")).unwrap();
    assert_eq!((copied.size, copied.sha256), (3_000_001, crate::release::Sha256Digest::of(&bytes).to_string()));
    assert_eq!(fs::read(tree.outside("/srv/db")).unwrap(), bytes);
    let expected = Entry::File { size: 3_000_001, mode: 0o600, owner: SERVICE };
    assert_eq!(tree.root.entry(Path::new("/srv/db")).unwrap(), Some(expected));
    assert_eq!(tree.names("/srv"), ["db"], "nothing is left beside it");

    tree.write("/etc/secret", "root's").unwrap();
    symlink("/etc/secret", tree.outside("/home/planted")).unwrap();
    refused_as_planted(tree.copied(Path::new("/home/planted"), Path::new("/srv/x")));
    tree.copied(Path::new("/srv/db"), Path::new("/home/planted")).unwrap();
    assert_eq!(tree.text("/etc/secret").unwrap(), "root's", "the link was replaced");
    for (from, why) in [("/home/nothing", "there is no such file"), ("/home", "Is a directory")] {
        let error = tree.copied(Path::new(from), Path::new("/srv/x")).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(tree.copied(Path::new("/srv/db"), Path::new("/no/such")).is_err());
    assert_eq!(tree.names("/srv"), ["db"]);
}

/// A file of any size costs its reader a bounded number of bytes after a signal.
#[test]
fn a_stop_is_heard_in_the_midst_of_a_large_file() {
    const LARGE: u64 = 1 << 30;
    let tree = Tree::new();
    tree.root.write_file(Path::new("/home/db"), b"", 0o644, SERVICE).unwrap();
    // It takes no room, and reads as zeros.
    fs::File::options().write(true).open(tree.outside("/home/db")).unwrap().set_len(LARGE).unwrap();
    let copied = || {
        let folder = fs::read_dir(tree.outside("/srv")).unwrap();
        folder.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    for at in [1, 2, 5] {
        let (asked, bytes) = (std::cell::Cell::new(0_u64), std::cell::Cell::new(0));
        let stop = || {
            asked.set(asked.get() + 1);
            bytes.set(copied());
            (asked.get() == at).then(|| "interrupted (SIGTERM)".to_owned())
        };
        let result =
            tree.root.copy_file(Path::new("/home/db"), Whose::of(SERVICE), Path::new("/srv/db"), 0o600, SERVICE, &stop);
        assert!(result.unwrap_err().to_string().contains("interrupted (SIGTERM)"));
        assert_eq!(asked.get(), at, "nothing is asked or copied after it");
        assert!(bytes.get() <= (at - 1) << 24, "{} bytes before question {at}", bytes.get());
        assert_eq!(tree.names("/srv"), [""; 0], "what was begun is gone");

        let mut file = tree.root.open_file(Path::new("/home/db"), Whose::of(SERVICE)).unwrap().unwrap();
        asked.set(0);
        super::digest_of(&mut file, &|| {
            asked.set(asked.get() + 1);
            (asked.get() == at).then(String::new)
        })
        .unwrap_err();
        assert!(std::io::Seek::stream_position(&mut file).unwrap() <= (at - 1) << 20);
    }
}
