//! Files that somebody else than root may have put there.

use std::os::unix::fs::chown;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const COPY: &str = "/srv/copy";

impl Tree {
    /// Makes a second name for a file, as the service user can.
    fn link(&self, original: &str, name: &str) {
        fs::hard_link(self.outside(original), self.outside(name)).unwrap();
    }

    fn copy(&self, from: &str) -> Result<crate::host::CopiedFile, HostError> {
        self.copy_of(Whose::of(SERVICE), from)
    }

    fn copy_of(&self, whose: Whose, from: &str) -> Result<crate::host::CopiedFile, HostError> {
        self.root.copy_file(Path::new(from), whose, Path::new(COPY), 0o600, Owner::ROOT, NEVER)
    }

    /// Everything that opens a file to read refuses this one, whoever of these it should belong to.
    fn refuses(&self, path: &str, why: &str) {
        for whose in [Whose::of(SERVICE), Whose::ROOT, Whose::Folder] {
            self.refuses_of(whose, path, why);
        }
    }

    fn refuses_of(&self, whose: Whose, path: &str, why: &str) {
        let at = Path::new(path);
        for error in [
            self.root.read_from(at, whose, 0, 0).unwrap_err(),
            self.root.open_file(at, whose).unwrap_err(),
            self.copy_of(whose, path).unwrap_err(),
        ] {
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.refusal().is_some_and(|told| told.contains(why)));
        }
        assert!(self.root.entry(Path::new(COPY)).unwrap().is_none());
    }
}

#[test]
fn a_file_with_another_name_or_owner_is_not_read_where_others_can_write() {
    let tree = Tree::new();
    tree.write("/etc/secret", "root's").unwrap();
    tree.link("/etc/secret", "/home/db");
    tree.refuses("/home/db", "it has 2 names");
    // What was linked is often replaced, and then has one name.
    fs::remove_file(tree.outside("/etc/secret")).unwrap();
    tree.refuses("/home/db", "it belongs to uid 0 and is in a folder that others than root can write to");

    tree.root.write_file(Path::new("/home/own"), b"own", 0o640, SERVICE).unwrap();
    assert_eq!(tree.text("/home/own").as_deref(), Some("own"));
    let copied = tree.copy("/home/own").unwrap();
    assert_eq!((copied.mode, copied.owner), (0o640, SERVICE), "of the file that was copied");
    tree.root.remove(Path::new(COPY)).unwrap();
    tree.link("/home/own", "/home/other");
    tree.refuses("/home/own", "it has 2 names");
}

#[test]
fn what_everybody_may_read_is_read_wherever_it_is_and_nothing_else_by_that_name() {
    let tree = Tree::new();
    let at = Path::new("/home/ca.pem");
    let read = || tree.root.read_from(at, Whose::Public, 0, 2);
    tree.root.write_file(at, b"own", 0o644, SERVICE).unwrap();
    assert_eq!(read().unwrap().as_deref(), Some(&b"ow"[..]));
    fs::remove_file(tree.outside("/home/ca.pem")).unwrap();
    tree.root.write_file(Path::new("/etc/secret"), b"root's", 0o600, Owner::ROOT).unwrap();
    tree.link("/etc/secret", "/home/ca.pem");
    assert!(read().unwrap_err().to_string().contains("Permission denied"));
    fs::remove_file(tree.outside("/home/ca.pem")).unwrap();
    nix::unistd::mkfifo(&tree.outside("/home/ca.pem"), nix::sys::stat::Mode::from_bits_truncate(0o644)).unwrap();
    assert!(read().is_err());
}

/// Whoever may write to it can have linked root's file there, before root replaced the original.
#[test]
fn in_a_folder_of_roots_that_others_may_write_to_no_file_of_roots_is_read() {
    let tree = Tree::new();
    for (name, mode) in [("/srv/group", 0o775), ("/srv/all", 0o1777)] {
        tree.root.make_directory(Path::new(name), mode, Owner::ROOT).unwrap();
        tree.write("/etc/secret", "root's").unwrap();
        let [linked, own] = ["linked", "own"].map(|file| format!("{name}/{file}"));
        tree.link("/etc/secret", &linked);
        tree.refuses(&linked, "it has 2 names");
        fs::remove_file(tree.outside("/etc/secret")).unwrap();
        tree.refuses(&linked, "it belongs to uid 0 and is in a folder that others than root can write to");
        tree.refuses_of(Whose::ROOT, &linked, "have the folder belong to root, and let nobody else write to it");
        // What belongs to the user who is named is what it should be.
        tree.root.write_file(Path::new(&own), b"own", 0o640, SERVICE).unwrap();
        assert_eq!(
            tree.root.read_from(Path::new(&own), Whose::of(SERVICE), 0, 9).unwrap().as_deref(),
            Some(&b"own"[..])
        );
        tree.refuses_of(Whose::ROOT, &own, "it belongs to uid 209");
        tree.refuses_of(Whose::Folder, &own, "it belongs to uid 209");
    }
}

/// After a move from a machine on which it had another uid, the folders may still be of that one.
#[test]
fn the_user_who_is_named_counts_and_not_that_of_the_folder() {
    let tree = Tree::new();
    let other = Owner { uid: 1001, gid: 1001 };
    tree.root.make_directory(Path::new("/srv/moved"), 0o770, other).unwrap();
    tree.root.write_file(Path::new("/srv/moved/new"), b"new", 0o640, SERVICE).unwrap();
    tree.root.write_file(Path::new("/srv/moved/old"), b"old", 0o640, other).unwrap();
    assert_eq!(tree.copy("/srv/moved/new").unwrap().owner, SERVICE);
    tree.root.remove(Path::new(COPY)).unwrap();
    tree.refuses_of(Whose::Folder, "/srv/moved/new", "give it to uid 1001 (chown)");
    tree.refuses_of(Whose::of(SERVICE), "/srv/moved/old", "it belongs to uid 1001");
    tree.refuses_of(Whose::of(SERVICE), "/srv/moved/old", "give it to uid 209 (chown)");
    let old = tree.root.read_from(Path::new("/srv/moved/old"), Whose::Folder, 0, 9).unwrap();
    assert_eq!(old.as_deref(), Some(&b"old"[..]), "as certificates are kept by others");
}

#[test]
fn in_a_folder_of_roots_alone_everything_is_read() {
    let tree = Tree::new();
    tree.root.write_file(Path::new("/etc/x"), b"x", 0o640, SERVICE).unwrap();
    tree.link("/etc/x", "/etc/y");
    assert_eq!(tree.text("/etc/y").as_deref(), Some("x"));
    assert_eq!(tree.root.read_unjudged(Path::new("/etc/y")).unwrap().as_deref(), Some(&b"x"[..]));
    // The kernel lets a process of the model read what root does not.
    tree.link("/etc/x", "/home/z");
    tree.refuses("/home/z", "it has 3 names");
    assert_eq!(tree.root.read_unjudged(Path::new("/home/z")).unwrap().as_deref(), Some(&b"x"[..]));
}

#[test]
fn a_pipe_or_a_folder_in_place_of_a_file_is_refused_without_waiting() {
    let tree = Tree::new();
    nix::unistd::mkfifo(&tree.outside("/home/db"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    tree.refuses("/home/db", "not a regular file");
    fs::remove_file(tree.outside("/home/db")).unwrap();
    fs::create_dir(tree.outside("/home/db")).unwrap();
    tree.refuses("/home/db", "Is a directory");
}

#[test]
fn what_was_judged_is_what_is_copied_whatever_swaps_the_names_meanwhile() {
    const TRIES: usize = 400;
    // Whose a file is must be the file's own, not that of its name: a record would be wrong here.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let folder = TempDir::new().unwrap();
    let root = Root::new(folder.path(), Owners::OnDisk);
    root.make_directory(Path::new("/etc"), 0o700, Owner::ROOT).unwrap();
    root.make_directory(Path::new("/home"), 0o700, SERVICE).unwrap();
    let (own, secret) = (vec![b'o'; 3000], vec![b's'; 3000]);
    root.write_file(Path::new("/etc/secret"), &secret, 0o600, Owner::ROOT).unwrap();
    let [victim, db, next] = ["etc/secret", "home/db", "home/next"].map(|path| folder.path().join(path));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::hard_link(&victim, &next).unwrap();
                fs::rename(&next, &db).unwrap();
                fs::write(&next, &own).unwrap();
                chown(&next, Some(SERVICE.uid), Some(SERVICE.gid)).unwrap();
                fs::rename(&next, &db).unwrap();
            }
        });
        let copied = || {
            let copied = root.copy_file(
                Path::new("/home/db"),
                Whose::of(SERVICE),
                Path::new("/etc/copy"),
                0o600,
                Owner::ROOT,
                NEVER,
            );
            copied.map(|_| fs::read(folder.path().join("etc/copy")).unwrap())
        };
        let stolen = (0..TRIES).filter(|_| copied().is_ok_and(|copy| copy != own)).count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(stolen, 0, "of {TRIES} copies");
    });
}

#[test]
fn a_folder_that_vanishes_between_look_and_open_is_not_there() {
    const TRIES: usize = 5000;
    let tree = Tree::new();
    let folder = tree.outside("/home/folder");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fs::create_dir(&folder).unwrap();
                fs::remove_dir(&folder).unwrap();
            }
        });
        let read = || tree.root.read_from(Path::new("/home/folder/x"), Whose::ROOT, 0, 0);
        let failed = (0..TRIES).find_map(|_| read().err().map(|error| error.to_string()));
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, None);
    });
}
