//! One pass over an archive: SHA-256, gunzip, tar, files on the disk.
//!
//! Nothing is believed of an archive before its digest is known, and that is only after its last byte. So everything
//! it holds is limited and checked on the way, it is unpacked into a folder that nobody uses yet, and the caller
//! throws that away if anything was wrong.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::GzDecoder;
use tar::{Archive, EntryType};

use super::archive_path::clean;
use super::digest::Hashing;
use super::files::{make_folder, perform, sync_folder};
use super::{Error, ManifestEntry, PathRefusal, Sha256Digest};
use crate::operation::{self, Operation};

/// The program that must be in the archive, at its root.
const PROGRAM: &str = "gotosocial";

/// How much of tar's own data (headers, long names, padding) is read before a file's content comes. It keeps an
/// extended header from filling the memory.
const HEADER_BYTES: u64 = 64 * 1024;

/// How much may follow the last file. tar fills its last record up to 10 KiB with zeros.
const TAIL_BYTES: u64 = 1024 * 1024;

/// What an archive may have at most. GoToSocial 0.20 has an archive of some 40 MB, about 400 files, and a program of
/// 85 MB; the defaults leave room to grow, and keep a decompression bomb from filling the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The archive itself, in bytes.
    pub archive_bytes: u64,
    /// All files together, in bytes.
    pub unpacked_bytes: u64,
    /// The largest single file, in bytes.
    pub file_bytes: u64,
    /// How many entries.
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
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An entry has a path that is not allowed.
    #[error("the entry \"{0}\" is not allowed, because {1}")]
    Path(String, PathRefusal),
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
}

/// What went wrong in a pass, before it is known whether the digest is right.
enum Fault {
    /// A file could not be written; the archive is not to blame.
    Local(Error),
    /// The archive is not what it should be; `None`: it ended too early.
    Refused(Option<Refusal>),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Some(refusal))
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Local(error)
    }
}

/// The outcome of a pass.
pub(super) struct Pass {
    /// The digest of the archive.
    pub(super) digest: Sha256Digest,
    /// How many bytes the archive had.
    pub(super) bytes: u64,
    /// What was unpacked, by its path, or why it is refused; `None`: the archive ended too early.
    pub(super) files: Result<BTreeMap<String, ManifestEntry>, Option<Refusal>>,
}

/// Unpacks an archive into an empty folder, and reads it to its end even if something in it is refused: a wrong
/// digest explains everything else, so it must be known.
///
/// `Err` is for what is not the archive's fault: `source_error` turns a failed read into an error.
pub(super) fn unpack<R: Read>(
    reader: R,
    folder: &Path,
    limits: &Limits,
    source_error: impl Fn(io::Error) -> Error,
) -> Result<Pass, Error> {
    let mut hashing = Hashing::new(reader);
    let files = match pass(&mut hashing, folder, limits) {
        Ok(files) => Ok(files),
        Err(Fault::Local(error)) => return Err(error),
        Err(Fault::Refused(refusal)) => {
            if hashing.failure.is_none() {
                // If this fails, the failure is kept.
                let _ = io::copy(&mut hashing, &mut io::sink());
            }
            if let Some(error) = hashing.failure {
                return Err(source_error(error));
            }
            Err(refusal)
        }
    };
    Ok(Pass { bytes: hashing.count, digest: hashing.digest(), files })
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

fn pass<R: Read>(source: R, folder: &Path, limits: &Limits) -> Result<BTreeMap<String, ManifestEntry>, Fault> {
    let allowed = Rc::new(Cell::new(HEADER_BYTES));
    let gunzip = GzDecoder::new(BufReader::with_capacity(64 * 1024, source));
    let mut archive = Archive::new(Metered { inner: gunzip, left: Rc::clone(&allowed) });
    let mut tree = Tree { root: folder, files: BTreeMap::new(), folders: BTreeSet::new(), claimed: BTreeSet::new() };
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
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            EntryType::Symlink | EntryType::Link => return Err(Refusal::Link(path).into()),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(Refusal::Device(path).into()),
            _ => return Err(Refusal::UnknownKind(path).into()),
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
        let sha256 = tree.write(&path, mode, size, &mut entry)?;
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
    // The gzip trailer was checked with the last read; the archive must end there.
    let mut packed = metered.inner.into_inner();
    if !packed.fill_buf().map_err(fault(TAIL_BYTES))?.is_empty() {
        return Err(Refusal::TrailingData.into());
    }
    if !tree.files.contains_key(PROGRAM) {
        return Err(Refusal::NoProgram.into());
    }
    for folder in &tree.folders {
        sync_folder(&tree.root.join(folder))?;
    }
    Ok(tree.files)
}

/// For `map_err`: what a failed read of at most `limit` bytes means.
fn fault(limit: u64) -> impl Fn(io::Error) -> Fault {
    move |error| {
        Fault::Refused(match error.kind() {
            OVERRUN => Some(Refusal::HeadersTooLarge(limit)),
            io::ErrorKind::UnexpectedEof => None,
            _ => Some(Refusal::Malformed(error.to_string())),
        })
    }
}

/// The files and folders made so far.
struct Tree<'a> {
    root: &'a Path,
    files: BTreeMap<String, ManifestEntry>,
    /// Folders on the disk.
    folders: BTreeSet<String>,
    /// Folders that have an entry of their own.
    claimed: BTreeSet<String>,
}

impl Tree<'_> {
    /// Makes the folders on the way to a file. The modes are set afterwards, since the umask takes from those given
    /// at creation.
    fn make_folders(&mut self, path: &str) -> Result<(), Fault> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.files.contains_key(folder) {
                return Err(Refusal::Duplicate(path.to_owned()).into());
            }
            if self.folders.insert(folder.to_owned()) {
                let full = self.root.join(folder);
                make_folder(&full)?;
                fs::set_permissions(&full, Permissions::from_mode(0o755))
                    .map_err(Error::file("set the mode of", &full))?;
            }
        }
        Ok(())
    }

    fn write(&mut self, path: &str, mode: u32, size: u64, content: &mut impl Read) -> Result<Sha256Digest, Fault> {
        if self.files.contains_key(path) || self.folders.contains(path) || self.claimed.contains(path) {
            return Err(Refusal::Duplicate(path.to_owned()).into());
        }
        self.make_folders(path)?;
        let full = self.root.join(path);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = perform(Operation::Create, "create", &full, || options.open(&full))?;
        let mut content = Hashing::new(content);
        let mut buffer = [0; 64 * 1024];
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fault(size)(error)),
            };
            operation::write_all(&mut file, &buffer[..count], || full.clone()).map_err(Error::file("write", &full))?;
        }
        // The tar reader takes the end of the stream for the end of the file.
        if content.count != size {
            return Err(Refusal::NoEndMark.into());
        }
        file.set_permissions(Permissions::from_mode(mode)).map_err(Error::file("write", &full))?;
        perform(Operation::Sync, "write", &full, || file.sync_all())?;
        Ok(content.digest())
    }
}
