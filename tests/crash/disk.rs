//! What of the files below a folder is on the disk for good: a file's content since its last fsync(2), a folder's names since
//! the last fsync(2) of the folder. That is all that POSIX promises, and less than UFS and ZFS keep.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

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
    files: BTreeMap<u64, (u32, Vec<u8>)>,
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
        self.files.insert(metadata.ino(), (metadata.mode(), fs::read(path).unwrap()));
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

    /// Lays out what a power cut leaves. What it returns is which inode each path is of.
    pub fn lay_out(&self, root: &Path, into: &Path) -> BTreeMap<PathBuf, u64> {
        let mut inodes = BTreeMap::new();
        self.lay_out_folder(root.metadata().unwrap().ino(), into, &mut inodes);
        inodes
    }

    fn lay_out_folder(&self, inode: u64, into: &Path, inodes: &mut BTreeMap<PathBuf, u64>) {
        fs::create_dir_all(into).unwrap();
        inodes.insert(into.to_owned(), inode);
        // A folder that was never synced is there, and nothing in it.
        let Some((mode, names)) = self.folders.get(&inode) else { return };
        for (name, what) in names {
            let path = into.join(name);
            match what {
                Name::Folder(inode) => self.lay_out_folder(*inode, &path, inodes),
                Name::Link(target) => symlink(target, &path).unwrap(),
                Name::File(inode) => {
                    let (mode, bytes) = self.files.get(inode).cloned().unwrap_or((0o600, Vec::new()));
                    fs::write(&path, bytes).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
                    inodes.insert(path, *inode);
                }
            }
        }
        fs::set_permissions(into, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
    }
}

#[test]
fn what_was_not_synced_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (root, after) = (folder.path().join("root"), folder.path().join("after"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("old"), "old").unwrap();
    let mut disk = Disk::of(&root);
    fs::write(root.join("new"), "new").unwrap();
    fs::rename(root.join("new"), root.join("old")).unwrap();
    disk.lay_out(&root, &after);
    assert_eq!(fs::read_to_string(after.join("old")).unwrap(), "old", "the rename is not there yet");
    fs::remove_dir_all(&after).unwrap();
    disk.sync_folder(&root);
    disk.lay_out(&root, &after);
    assert_eq!(fs::read_to_string(after.join("old")).unwrap(), "", "renamed without a sync of the file");
    fs::remove_dir_all(&after).unwrap();
    disk.sync(&root.join("old"));
    disk.lay_out(&root, &after);
    assert_eq!(fs::read_to_string(after.join("old")).unwrap(), "new");
}
