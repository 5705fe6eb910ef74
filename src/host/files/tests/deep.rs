//! Trees that are deeper than any path can name, and trees that somebody moves meanwhile.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::{Mode, mkdirat};

use super::*;
use crate::host::Onward;

const MANY: usize = 10_000;

fn folder(path: &Path) -> OwnedFd {
    open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).unwrap()
}

/// Makes folders in one another, all with this name, and a file in the innermost.
fn nest(within: &Path, depth: usize, name: &str) {
    let mut at = folder(within);
    for _ in 0..depth {
        mkdirat(&at, name, Mode::from_bits_truncate(0o700)).unwrap();
        at = openat(&at, name, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()).unwrap();
    }
    drop(openat(&at, "file", OFlag::O_CREAT | OFlag::O_WRONLY, Mode::from_bits_truncate(0o600)).unwrap());
}

fn flat(within: &Path, count: usize) {
    let at = folder(within);
    for number in 0..count {
        mkdirat(&at, format!("{number:05}").as_str(), Mode::from_bits_truncate(0o700)).unwrap();
    }
    fs::write(within.join("file"), "").unwrap();
}

impl Tree {
    /// How many folders and files there are.
    fn counted(&self, path: &str) -> (usize, usize) {
        let (mut folders, mut files) = (0, 0);
        let count = &mut |_: &Path, entry: &Entry| {
            match entry {
                Entry::Directory { .. } => folders += 1,
                _ => files += 1,
            }
            Onward::In
        };
        self.root.tree(Path::new(path), count).unwrap();
        (folders, files)
    }
}

/// The least time of several: others are at work on this machine, too.
fn least(times: usize, mut work: impl FnMut() -> Duration) -> Duration {
    (0..times).map(|_| work()).min().unwrap()
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

#[test]
fn nested_folders_cost_no_more_than_three_times_as_much_as_flat_ones() {
    let tree = Tree::new();
    let work = |make: &dyn Fn(&Path)| {
        let mut walked = Duration::MAX;
        let removed = least(3, || {
            fs::create_dir(tree.outside("/home/top")).unwrap();
            make(&tree.outside("/home/top"));
            walked = walked.min(timed(|| assert_eq!(tree.counted("/home/top"), (MANY, 1))));
            timed(|| tree.remove_tree("/home/top").unwrap())
        });
        assert!(tree.names("/home").is_empty());
        (walked, removed)
    };
    let (flat, nested) = (work(&|top| flat(top, MANY)), work(&|top| nest(top, MANY, "folder")));
    assert!(nested.0 <= 3 * flat.0, "walked: {nested:?}, flat: {flat:?}");
    assert!(nested.1 <= 3 * flat.1, "removed: {nested:?}, flat: {flat:?}");
}

#[test]
fn a_walk_tells_paths_of_any_length_and_keeps_few_folders_open() {
    let tree = Tree::new();
    nest(&tree.outside("/home"), 3000, &"n".repeat(200));
    let (mut highest, mut longest) = (0, 0);
    tree.root
        .tree(Path::new("/home"), &mut |path, _| {
            longest = path.as_os_str().len();
            highest = highest.max(fs::File::open("/dev/null").unwrap().as_raw_fd());
            Onward::In
        })
        .unwrap();
    assert_eq!(longest, "/home".len() + 3000 * 201 + "/file".len());
    assert!(highest < 2000, "other tests have files open, but not that many: {highest}");
    tree.remove_tree("/home").unwrap();
    assert!(tree.root.entry(Path::new("/home")).unwrap().is_none());
}

#[test]
fn a_walk_follows_no_link_and_goes_where_it_is_told() {
    let tree = Tree::new();
    fs::create_dir_all(tree.outside("/home/b/in")).unwrap();
    fs::create_dir_all(tree.outside("/home/c/in")).unwrap();
    fs::write(tree.outside("/home/a"), "").unwrap();
    symlink("/etc", tree.outside("/home/d")).unwrap();
    tree.root.make_symlink(Path::new("/srv/link"), Path::new("/home")).unwrap();
    let seen = |top: &str, end: &str| {
        let mut seen = Vec::new();
        tree.root
            .tree(Path::new(top), &mut |path, _| {
                seen.push(path.strip_prefix(top).unwrap().to_str().unwrap().to_owned());
                match () {
                    () if path.ends_with(end) => Onward::End,
                    () if path.ends_with("b") => Onward::Past,
                    () => Onward::In,
                }
            })
            .unwrap();
        seen
    };
    assert_eq!(seen("/home", "nothing"), ["a", "b", "c", "c/in", "d"]);
    assert_eq!(seen("/srv/link", "c"), ["a", "b", "c"], "what root linked is followed, and keeps its name");
    assert!(seen("/no/such", "").is_empty());
    assert!(tree.root.tree(Path::new("/home/a"), &mut |_, _| Onward::In).is_err());
    refused_as_planted(tree.root.tree(Path::new("/home/d"), &mut |_, _| Onward::In));
}

#[test]
fn a_tree_that_is_moved_meanwhile_is_left_and_nothing_else_is_touched() {
    let moved = |tree: &Tree| {
        let ten = format!("/home{}", "/a".repeat(10));
        fs::rename(tree.outside(&ten), tree.outside("/srv/moved")).unwrap();
    };
    let tree = Tree::new();
    tree.write("/srv/keep", "x").unwrap();
    nest(&tree.outside("/home"), 60, "a");
    let error = tree.root.tree(Path::new("/home"), &mut |path, _| {
        if path.ends_with("file") {
            moved(&tree);
        }
        Onward::In
    });
    let error = error.unwrap_err();
    assert!(error.to_string().contains("was moved or removed meanwhile"), "{error}");
    assert_eq!(tree.names("/srv"), ["keep", "moved"]);
}

#[cfg(debug_assertions)]
#[test]
fn a_removal_from_which_a_folder_is_moved_does_not_follow_it() {
    let tree = Tree::new();
    tree.write("/srv/keep", "x").unwrap();
    nest(&tree.outside("/home"), 60, "a");
    let [from, to] = [format!("/home{}", "/a".repeat(10)), "/srv/moved".to_owned()].map(|path| tree.outside(&path));
    let mut begun = false;
    watch(Box::new(move |step| {
        assert_eq!(step.operation, Operation::Unlink);
        if !std::mem::replace(&mut begun, true) {
            fs::rename(&from, &to).unwrap();
        }
        Ok(())
    }));
    let removed = tree.remove_tree("/home/a");
    watch(Box::new(|_| Ok(())));
    let error = removed.unwrap_err();
    assert!(error.to_string().contains("was moved or removed meanwhile"), "{error}");
    assert_eq!(tree.names("/srv"), ["keep", "moved"]);
    assert!(tree.names("/srv/moved").is_empty(), "it was in the tree when it was opened");
    assert_eq!(tree.counted("/home").0, 9);
}

#[cfg(debug_assertions)]
#[test]
fn every_removal_is_announced_once_at_any_depth() {
    let tree = Tree::new();
    nest(&tree.outside("/home"), 50, "a");
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let told = std::rc::Rc::clone(&seen);
    watch(Box::new(move |step| {
        told.borrow_mut().push((step.operation.clone(), step.path.clone()));
        Ok(())
    }));
    tree.remove_tree("/home/a").unwrap();
    watch(Box::new(|_| Ok(())));
    let innermost = tree.outside(&format!("/home{}", "/a".repeat(50)));
    let mut expected = vec![(Operation::Unlink, innermost.join("file"))];
    expected.extend(innermost.ancestors().take(50).map(|path| (Operation::Unlink, path.to_owned())));
    expected.push((Operation::SyncFolder, tree.outside("/home")));
    assert_eq!(*seen.borrow(), expected);
}

#[test]
fn a_removal_stops_when_it_is_asked_to() {
    let tree = Tree::new();
    flat(&tree.outside("/home"), 1000);
    let asked = std::cell::Cell::new(0);
    let stopped = tree.root.remove_tree(Path::new("/home"), &|| {
        asked.set(asked.get() + 1);
        (asked.get() == 2).then(|| "interrupted (SIGINT)".to_owned())
    });
    assert!(stopped.unwrap_err().to_string().contains("interrupted (SIGINT)"));
    assert_eq!(tree.counted("/home"), (1000 - 511, 1));
    tree.remove_tree("/home").unwrap();
}
