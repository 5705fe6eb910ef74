//! A folder in memory. Equal contents are kept once, so that hundreds of states of one machine need little more than one.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

/// The content of a file, with its digest.
#[derive(Debug, PartialEq, Eq)]
pub struct Content {
    pub bytes: Vec<u8>,
    pub digest: [u8; 32],
}

/// What stands at a path. Modes are whole, with the kind of what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Folder(u32),
    File(u32, Arc<Content>),
    Link(PathBuf),
}

/// What stands in a folder, and the folder itself under the empty path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image(pub BTreeMap<PathBuf, Node>);

thread_local! {
    /// Every content that this thread has met. A test has a thread of its own, so they go with it.
    static CONTENTS: RefCell<HashMap<[u8; 32], Arc<Content>>> = RefCell::default();
}

/// The one content with these bytes.
pub fn content(bytes: Vec<u8>) -> Arc<Content> {
    let digest = Sha256::digest(&bytes).into();
    let made = || Arc::new(Content { bytes, digest });
    CONTENTS.with_borrow_mut(|contents| Arc::clone(contents.entry(digest).or_insert_with(made)))
}

/// Tells whether a file is still as it was read: inode, size, and the times of the last change of content and of the inode.
type Stamp = (u64, u64, [i64; 4]);

fn stamp(metadata: &fs::Metadata) -> Stamp {
    let times = [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()];
    (metadata.ino(), metadata.size(), times)
}

/// What a reader has read before.
#[derive(Debug, Default)]
pub struct Known(HashMap<PathBuf, (Stamp, Arc<Content>)>);

impl Known {
    /// The content of a file, read only if it is another one than last time.
    pub fn content(&mut self, path: &Path, metadata: &fs::Metadata) -> Arc<Content> {
        let stamp = stamp(metadata);
        if let Some((known, content)) = self.0.get(path)
            && *known == stamp
        {
            return Arc::clone(content);
        }
        let content = content(fs::read(path).unwrap());
        self.0.insert(path.to_owned(), (stamp, Arc::clone(&content)));
        content
    }
}

impl Image {
    /// The image of a folder.
    pub fn of(folder: &Path) -> Self {
        Self::read(folder, |path, _| content(fs::read(path).unwrap()))
    }

    /// The same, with the contents of files from elsewhere.
    pub fn read(folder: &Path, mut content: impl FnMut(&Path, &fs::Metadata) -> Arc<Content>) -> Self {
        let mut image = Self::default();
        image.0.insert(PathBuf::new(), Node::Folder(folder.metadata().unwrap().mode()));
        image.take(folder, folder, &mut content);
        image
    }

    fn take(&mut self, root: &Path, folder: &Path, content: &mut impl FnMut(&Path, &fs::Metadata) -> Arc<Content>) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let node = if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap())
            } else if metadata.is_dir() {
                self.take(root, &path, content);
                Node::Folder(metadata.mode())
            } else {
                Node::File(metadata.mode(), content(&path, &metadata))
            };
            self.0.insert(path.strip_prefix(root).unwrap().to_owned(), node);
        }
    }

    /// Makes a folder of it, which must not be there.
    pub fn lay_out(&self, folder: &Path) {
        let set_mode = |path: &Path, mode: u32| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7777)).unwrap();
        };
        for (below, node) in &self.0 {
            // Joining an empty path would add a slash.
            let path = if below.as_os_str().is_empty() { folder.to_owned() } else { folder.join(below) };
            match node {
                Node::Folder(_) => fs::create_dir(&path).unwrap(),
                Node::Link(target) => symlink(target, &path).unwrap(),
                Node::File(mode, content) => {
                    fs::write(&path, &content.bytes).unwrap();
                    set_mode(&path, *mode);
                }
            }
        }
        // Last, as a folder may be one that nobody can write to.
        for (below, node) in self.0.iter().rev() {
            if let Node::Folder(mode) = node {
                set_mode(&folder.join(below), *mode);
            }
        }
    }

    /// The content of a file; `None` if there is none.
    pub fn file(&self, path: &str) -> Option<&Arc<Content>> {
        match self.0.get(Path::new(path)) {
            Some(Node::File(_, content)) => Some(content),
            _ => None,
        }
    }

    /// One digest for all of it. Names of temporary files are random, and all the same here.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for (path, node) in &self.0 {
            let temporary = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(".gts-bootstrap-"));
            let name = if temporary { path.with_file_name(".temporary") } else { path.clone() };
            digest.update(name.into_os_string().into_encoded_bytes());
            match node {
                Node::Folder(mode) => digest.update(format!("\0folder {mode}\0")),
                Node::Link(target) => digest.update(format!("\0link {}\0", target.display())),
                Node::File(mode, content) => {
                    digest.update(format!("\0file {mode}\0"));
                    digest.update(content.digest);
                }
            }
        }
        digest.finalize().into()
    }
}

#[test]
fn a_folder_comes_out_of_its_image_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    fs::create_dir_all(one.join("a/b")).unwrap();
    fs::write(one.join("a/b/file"), "text").unwrap();
    fs::set_permissions(one.join("a/b/file"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(one.join("a/b"), fs::Permissions::from_mode(0o555)).unwrap();
    symlink("/nowhere", one.join("link")).unwrap();
    let image = Image::of(&one);
    image.lay_out(&other);
    assert_eq!(Image::of(&other), image);
    assert_eq!(image.file("a/b/file").unwrap().bytes, b"text");
    let mut known = Known::default();
    let again = |known: &mut Known| Image::read(&one, |path, metadata| known.content(path, metadata));
    assert_eq!(again(&mut known), image);
    fs::write(one.join("a/b/file"), "texts").unwrap();
    assert_ne!(again(&mut known).digest(), image.digest());
}
