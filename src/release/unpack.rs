//! The child that unpacks: gunzip, tar, files in an empty folder.
//!
//! The digest of the archive is known to be right by then, and still nothing is believed of it: everything it holds is
//! limited and checked on the way. The child has no other folder than that one, and whoever started it looks at the
//! result (`adopt`).

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::AsFd;
use std::rc::Rc;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, mkdirat};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tar::{Archive, EntryType};

use super::archive_path::clean;
use super::digest::Hashing;
use super::gunzip::{Gunzip, TRAILING};
use super::{ManifestEntry, PathRefusal, Sha256Digest};
use crate::shown::Shown;

/// How much is written at a time, in bytes.
const PIECE: usize = 256 * 1024;

/// The program that must be in the archive, at its root.
pub(super) const PROGRAM: &str = "gotosocial";

/// The most names in a path. Folders on the way to a file have no entries of their own, and cost as much. Upstream's
/// paths are far shorter.
pub(super) const MOST_NAMES: usize = 16;

/// How much is kept of a text from the child, in characters: as much as the longest path.
pub(super) const LONGEST_TEXT: usize = 512;

/// How much of tar's own data (headers, long names, padding) is read before a file's content comes. It keeps an
/// extended header from filling the memory.
const HEADER_BYTES: u64 = 64 * 1024;

/// How much may follow the last file. tar fills its last record up to 10 KiB with zeros.
const TAIL_BYTES: u64 = 1024 * 1024;

/// The modes of files, as those who made the archive mean them.
pub(super) const MODES: [u32; 2] = [0o644, 0o755];

/// What an archive may have at most. GoToSocial 0.20 has an archive of some 40 MB, about 400 files, and a program of
/// 85 MB; the defaults leave room to grow, and keep a decompression bomb from filling the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The archive itself, in bytes.
    pub archive_bytes: u64,
    /// All files together, in bytes.
    pub unpacked_bytes: u64,
    /// The largest single file, in bytes.
    pub file_bytes: u64,
    /// How many entries, and folders on the way to them.
    pub entries: u64,
}

impl Default for Limits {
    /// 256 MiB packed, 1 GiB unpacked, 512 MiB for a file, 10,000 entries.
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self { archive_bytes: 256 * MIB, unpacked_bytes: 1024 * MIB, file_bytes: 512 * MIB, entries: 10_000 }
    }
}

/// Why an archive is refused although it is complete and has the right digest. The texts are paths of entries, made
/// printable; the numbers are limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// An entry has a path that is not allowed.
    #[error("the entry \"{0}\" is not allowed, because {1}")]
    Path(String, PathRefusal),
    /// A path with too many names.
    #[error("the entry \"{0}\" lies deeper than the 16 names that a path may have")]
    TooDeep(String),
    /// A symbolic or hard link.
    #[error("the entry \"{0}\" is a link, and releases have none")]
    Link(String),
    /// A device or FIFO.
    #[error("the entry \"{0}\" is a device or FIFO")]
    Device(String),
    /// Neither file nor folder, but something else that tar knows.
    #[error("the entry \"{0}\" is neither a file nor a folder")]
    UnknownKind(String),
    /// setuid, setgid or sticky.
    #[error("the entry \"{0}\" has the special mode {1:04o} (setuid, setgid or sticky)")]
    SpecialMode(String, u32),
    /// The same path twice, or as a file and as a folder.
    #[error("the entry \"{0}\" is there twice, or as a file and as a folder")]
    Duplicate(String),
    /// The same path as another one but for capital letters.
    #[error("the entry \"{0}\" has the name of another one, but for capital letters")]
    CaseTwin(String),
    /// Too many entries.
    #[error("it has more than the {0} entries that are allowed")]
    TooManyEntries(u64),
    /// One file is too large.
    #[error("the entry \"{0}\" is larger than the {1} bytes that are allowed for a file")]
    FileTooLarge(String, u64),
    /// All files together are too large.
    #[error("it unpacks to more than the {0} bytes that are allowed")]
    UnpacksTooLarge(u64),
    /// Headers or padding are larger than any honest ones.
    #[error("it has more than {0} bytes of headers or padding in one place")]
    HeadersTooLarge(u64),
    /// The program is not in it.
    #[error("it holds no program \"gotosocial\"")]
    NoProgram,
    /// The tar stream has no end mark.
    #[error("its tar stream is not complete")]
    NoEndMark,
    /// Something follows the end.
    #[error("something follows after its end")]
    TrailingData,
    /// The decoder cannot read the gzip or tar stream.
    #[error("it cannot be read as a tar.gz archive ({0})")]
    Malformed(String),
    /// What is in the folder is not what the child reported.
    #[error("what was unpacked as \"{0}\" is not what was reported")]
    Unfaithful(String),
}

impl Refusal {
    /// As a message can show it: the archive may have taken over the child that says it.
    pub(super) fn cut(mut self) -> Self {
        match &mut self {
            Self::Path(text, _)
            | Self::TooDeep(text)
            | Self::Link(text)
            | Self::Device(text)
            | Self::UnknownKind(text)
            | Self::SpecialMode(text, _)
            | Self::Duplicate(text)
            | Self::CaseTwin(text)
            | Self::FileTooLarge(text, _)
            | Self::Malformed(text)
            | Self::Unfaithful(text) => {
                *text = text.chars().take(LONGEST_TEXT).collect::<String>().shown().into_owned();
            }
            Self::TooManyEntries(_)
            | Self::UnpacksTooLarge(_)
            | Self::HeadersTooLarge(_)
            | Self::NoProgram
            | Self::NoEndMark
            | Self::TrailingData => {}
        }
        self
    }
}

/// What a child reports: the files that it has made, by their path, or why there are none.
pub(super) type Report = Result<BTreeMap<String, ManifestEntry>, Fault>;

/// What went wrong.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Fault {
    /// A file or folder could not be written, with this errno; the archive is not to blame.
    Write(String, i32),
    /// The archive is not what it should be.
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Fault {
    /// For `map_err`: what was written when the error came.
    fn write<E: Into<io::Error>>(path: &str) -> impl Fn(E) -> Self {
        const EIO: i32 = 5;
        move |error| Self::Write(path.to_owned(), error.into().raw_os_error().unwrap_or(EIO))
    }
}

/// Unpacks the archive on standard input into the working folder, which is empty, and reports on standard output. `seal`
/// gives up everything but these; the role of the child is in `host`, which knows how.
pub(crate) fn unpack_child(task: Value, seal: impl Fn(&File) -> Result<(), String>) -> Result<(), String> {
    let in_words = |error: io::Error| error.to_string();
    let limits: Limits = serde_json::from_value(task).map_err(|error| error.to_string())?;
    let folder = File::open(".").map_err(in_words)?;
    let input = io::stdin().as_fd().try_clone_to_owned().map_err(in_words)?;
    // The last thread that this process can make. It reads nothing before the first byte is asked for.
    let unpacked = Gunzip::start(File::from(input)).map_err(in_words)?;
    seal(&folder)?;
    let report = pass(unpacked, &folder, &limits);
    let mut output = BufWriter::new(io::stdout());
    serde_json::to_writer(&mut output, &report).map_err(|error| error.to_string())?;
    output.flush().map_err(in_words)
}

/// A reader of no more bytes than are allowed. The allowance is renewed from outside, while the tar reader reads.
struct Metered<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

/// The kind of the error for more bytes than allowed.
const OVERRUN: io::ErrorKind = io::ErrorKind::FileTooLarge;

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.get();
        if left == 0 && !buffer.is_empty() {
            return Err(OVERRUN.into());
        }
        let count = (&mut self.inner).take(left).read(buffer)?;
        self.left.set(left - count as u64);
        Ok(count)
    }
}

fn pass(unpacked: Gunzip, folder: &File, limits: &Limits) -> Report {
    let allowed = Rc::new(Cell::new(HEADER_BYTES));
    let mut archive = Archive::new(Metered { inner: unpacked, left: Rc::clone(&allowed) });
    let mut tree = Tree {
        root: folder,
        piece: vec![0; PIECE],
        files: BTreeMap::new(),
        folders: BTreeSet::new(),
        claimed: BTreeSet::new(),
        small: BTreeMap::new(),
    };
    let mut count = 0;
    let mut total = 0_u64;
    let mut entries = archive.entries().map_err(fault(HEADER_BYTES))?;
    loop {
        allowed.set(HEADER_BYTES);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(fault(HEADER_BYTES))?;
        count += 1;
        if count > limits.entries {
            return Err(Refusal::TooManyEntries(limits.entries).into());
        }
        let raw_path = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        let path = clean(&raw_path, kind.is_dir())
            .map_err(|reason| Refusal::Path(raw_path.escape_ascii().to_string(), reason))?;
        if path.split('/').count() > MOST_NAMES {
            return Err(Refusal::TooDeep(path).into());
        }
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            EntryType::Symlink | EntryType::Link => return Err(Refusal::Link(path).into()),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(Refusal::Device(path).into()),
            _ => return Err(Refusal::UnknownKind(path).into()),
        }
        // GNU tar's sparse files, in the form that other programs take for ordinary ones.
        let records = entry.pax_extensions().map_err(fault(HEADER_BYTES))?;
        if records.into_iter().flatten().flatten().any(|record| record.key_bytes().starts_with(b"GNU.sparse.")) {
            return Err(Refusal::UnknownKind(path).into());
        }
        tree.take_name(&path)?;
        if tree.small.len() as u64 > limits.entries {
            return Err(Refusal::TooManyEntries(limits.entries).into());
        }
        let mode = entry.header().mode().map_err(fault(HEADER_BYTES))?;
        if mode & 0o7000 != 0 {
            return Err(Refusal::SpecialMode(path, mode & 0o7777).into());
        }
        if kind.is_dir() {
            // It is made only when a file goes into it.
            if tree.files.contains_key(&path) || !tree.claimed.insert(path.clone()) {
                return Err(Refusal::Duplicate(path).into());
            }
            continue;
        }
        let size = entry.size();
        if size > limits.file_bytes {
            return Err(Refusal::FileTooLarge(path, limits.file_bytes).into());
        }
        total = total.saturating_add(size);
        if total > limits.unpacked_bytes {
            return Err(Refusal::UnpacksTooLarge(limits.unpacked_bytes).into());
        }
        let mode = if mode & 0o111 != 0 || path == PROGRAM { 0o755 } else { 0o644 };
        allowed.set(size);
        let sha256 = tree.write(&path, size, &mut entry)?;
        tree.files.insert(path, ManifestEntry { size, sha256, mode });
    }
    allowed.set(TAIL_BYTES);
    let mut metered = archive.into_inner();
    // After the first block of zeros, which tells that there are no more entries, POSIX wants a second one (pax(1),
    // "ustar Interchange Format"); more zeros may follow, and nothing else.
    let mut tail = Vec::new();
    let read = metered.read_to_end(&mut tail);
    if tail.iter().any(|byte| *byte != 0) {
        return Err(Refusal::TrailingData.into());
    }
    if read.map_err(fault(TAIL_BYTES))? < 512 {
        return Err(Refusal::NoEndMark.into());
    }
    if !tree.files.contains_key(PROGRAM) {
        return Err(Refusal::NoProgram.into());
    }
    Ok(tree.files)
}

/// For `map_err`: what a failed read of at most `limit` bytes means.
fn fault(limit: u64) -> impl Fn(io::Error) -> Fault {
    move |error| {
        Fault::Refused(match error.kind() {
            OVERRUN => Refusal::HeadersTooLarge(limit),
            TRAILING => Refusal::TrailingData,
            io::ErrorKind::UnexpectedEof => Refusal::NoEndMark,
            _ => Refusal::Malformed(error.to_string()),
        })
    }
}

/// The files and folders made so far.
struct Tree<'a> {
    root: &'a File,
    /// Room for a piece of a file.
    piece: Vec<u8>,
    files: BTreeMap<String, ManifestEntry>,
    /// Folders on the disk.
    folders: BTreeSet<String>,
    /// Folders that have an entry of their own.
    claimed: BTreeSet<String>,
    /// All paths, and those of the folders on the way, by what they are in small letters.
    small: BTreeMap<String, String>,
}

impl Tree<'_> {
    /// Refuses a path that would be the same as another one where capital letters do not count.
    fn take_name(&mut self, path: &str) -> Result<(), Refusal> {
        let ends = path.match_indices('/').map(|(end, _)| end).chain([path.len()]);
        for name in ends.map(|end| &path[..end]) {
            let taken = self.small.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
            if taken != name {
                return Err(Refusal::CaseTwin(path.to_owned()));
            }
        }
        Ok(())
    }

    /// Makes the folders on the way to a file. Whoever looks at the result gives them, and the files, their modes.
    fn make_folders(&mut self, path: &str) -> Result<(), Fault> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.files.contains_key(folder) {
                return Err(Refusal::Duplicate(path.to_owned()).into());
            }
            if self.folders.insert(folder.to_owned()) {
                mkdirat(self.root, folder, Mode::from_bits_truncate(0o700)).map_err(Fault::write(folder))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &str, size: u64, content: &mut impl Read) -> Result<Sha256Digest, Fault> {
        if self.files.contains_key(path) || self.folders.contains(path) || self.claimed.contains(path) {
            return Err(Refusal::Duplicate(path.to_owned()).into());
        }
        self.make_folders(path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(self.root, path, flags, Mode::from_bits_truncate(0o600)).map_err(Fault::write(path))?;
        let (mut file, mut content) = (File::from(file), Hashing::new(content));
        loop {
            match content.read(&mut self.piece).map_err(fault(size))? {
                0 => break,
                count => file.write_all(&self.piece[..count]).map_err(Fault::write(path))?,
            }
        }
        // The tar reader takes the end of the stream for the end of the file.
        if content.count != size {
            return Err(Refusal::NoEndMark.into());
        }
        Ok(content.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_the_child_is_cut_and_printable() {
        let Refusal::Link(text) = Refusal::Link(format!("\u{1b}{}", "x".repeat(1 << 20))).cut() else {
            panic!("another refusal")
        };
        assert!(text.starts_with("\\u{1b}xxx") && text.len() < 600, "{}", text.len());
        assert_eq!(Refusal::Link("web/a.css".to_owned()).cut(), Refusal::Link("web/a.css".to_owned()));
    }
}
