//! What of the files below a folder is on the disk for good: a file's content since its last fsync(2), a folder's names since
//! the last fsync(2) of the folder. That is all that POSIX promises, and less than UFS and ZFS keep.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::image::{Content, Image, Node, content};

/// A name in a folder.
#[derive(Debug, Clone)]
enum Name {
    File(u64),
    Folder(u64),
    Link(PathBuf),
}

/// The disk, by inode.
#[derive(Debug, Default)]
pub struct Disk {
    files: BTreeMap<u64, (u32, Arc<Content>)>,
    folders: BTreeMap<u64, (u32, BTreeMap<OsString, Name>)>,
}

impl Disk {
    /// All that is there now.
    pub fn of(root: &Path) -> Self {
        let mut disk = Self::default();
        disk.take(root);
        disk
    }

    fn take(&mut self, folder: &Path) {
        self.sync_folder(folder);
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                self.take(&path);
            } else if kind.is_file() {
                self.sync(&path);
            }
        }
    }

    /// fsync(2) of a file.
    pub fn sync(&mut self, path: &Path) {
        // A release is renamed as a folder; a file that is gone by now needs no syncing.
        let Ok(metadata) = path.symlink_metadata() else { return };
        self.files.insert(metadata.ino(), (metadata.mode(), content(fs::read(path).unwrap())));
    }

    /// fsync(2) of a folder.
    pub fn sync_folder(&mut self, path: &Path) {
        let Ok(metadata) = path.symlink_metadata() else { return };
        let names = fs::read_dir(path).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.path().symlink_metadata().unwrap();
            let name = match metadata.file_type() {
                kind if kind.is_dir() => Name::Folder(metadata.ino()),
                kind if kind.is_symlink() => Name::Link(fs::read_link(entry.path()).unwrap()),
                _ => Name::File(metadata.ino()),
            };
            (entry.file_name(), name)
        });
        self.folders.insert(metadata.ino(), (metadata.mode(), names.collect()));
    }

    /// What a power cut leaves, and which inode each path is of.
    pub fn after_cut(&self, root: &Path) -> (Image, BTreeMap<PathBuf, u64>) {
        let (mut image, mut inodes) = (Image::default(), BTreeMap::new());
        self.add_folder(root.metadata().unwrap().ino(), PathBuf::new(), &mut image, &mut inodes);
        (image, inodes)
    }

    fn add_folder(&self, inode: u64, path: PathBuf, image: &mut Image, inodes: &mut BTreeMap<PathBuf, u64>) {
        inodes.insert(path.clone(), inode);
        // A folder that was never synced is there, and nothing in it.
        let Some((mode, names)) = self.folders.get(&inode) else {
            image.0.insert(path, Node::Folder(0o40755));
            return;
        };
        for (name, what) in names {
            let path = path.join(name);
            match what {
                Name::Folder(inode) => self.add_folder(*inode, path, image, inodes),
                Name::Link(target) => drop(image.0.insert(path, Node::Link(target.clone()))),
                Name::File(inode) => {
                    let empty = || (0o100_600, content(Vec::new()));
                    let (mode, content) = self.files.get(inode).cloned().unwrap_or_else(empty);
                    image.0.insert(path.clone(), Node::File(mode, content));
                    inodes.insert(path, *inode);
                }
            }
        }
        image.0.insert(path, Node::Folder(*mode));
    }
}

#[test]
fn what_was_not_synced_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let old = |disk: &Disk| disk.after_cut(root).0.file("old").unwrap().bytes.clone();
    fs::write(root.join("old"), "old").unwrap();
    let mut disk = Disk::of(root);
    fs::write(root.join("new"), "new").unwrap();
    fs::rename(root.join("new"), root.join("old")).unwrap();
    assert_eq!(old(&disk), b"old", "the rename is not there yet");
    disk.sync_folder(root);
    assert_eq!(old(&disk), b"", "renamed without a sync of the file");
    disk.sync(&root.join("old"));
    assert_eq!(old(&disk), b"new");
}
