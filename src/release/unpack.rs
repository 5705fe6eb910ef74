//! One pass over an archive: SHA-256, gunzip, tar, files on the disk.
//!
//! Nothing is believed of an archive before its digest is known, and that is only after its last byte. So everything
//! it holds is limited and checked on the way, it is unpacked into a folder that nobody uses yet, and the caller
//! throws that away if anything was wrong.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::rc::Rc;

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, EntryType};

use super::archive_path::clean;
use super::digest::Hashing;
use super::{Error, ManifestEntry, PathRefusal, Sha256Digest};
use crate::operation::{self, Operation, about_to};

/// The program that must be in the archive, at its root.
pub(super) const PROGRAM: &str = "gotosocial";

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

/// Why an archive is refused although it is complete and has the right digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// An entry has a path that is not allowed.
    #[error("the entry \"{path}\" is not allowed, because {reason}")]
    Path {
        /// The path, made printable.
        path: String,
        /// Why.
        reason: PathRefusal,
    },
    /// A symbolic or hard link.
    #[error("the entry \"{path}\" is a link, and releases have none")]
    Link {
        /// The path.
        path: String,
    },
    /// A device or FIFO.
    #[error("the entry \"{path}\" is a device or FIFO")]
    Device {
        /// The path.
        path: String,
    },
    /// Neither file nor folder, but something else that tar knows.
    #[error("the entry \"{path}\" is neither a file nor a folder")]
    UnknownKind {
        /// The path.
        path: String,
    },
    /// setuid, setgid or sticky.
    #[error("the entry \"{path}\" has the special mode {mode:04o} (setuid, setgid or sticky)")]
    SpecialMode {
        /// The path.
        path: String,
        /// The mode.
        mode: u32,
    },
    /// The same path twice, or as a file and as a folder.
    #[error("the entry \"{path}\" is there twice, or as a file and as a folder")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Too many entries.
    #[error("it has more than the {limit} entries that are allowed")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// One file is too large.
    #[error("the entry \"{path}\" is larger than the {limit} bytes that are allowed for a file")]
    FileTooLarge {
        /// The path.
        path: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// All files together are too large.
    #[error("it unpacks to more than the {limit} bytes that are allowed")]
    UnpacksTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// Headers or padding are larger than any honest ones.
    #[error("it has more than {limit} bytes of headers or padding in one place")]
    HeadersTooLarge {
        /// The limit, in bytes.
        limit: u64,
    },
    /// The program is not in it.
    #[error("it holds no program \"gotosocial\"")]
    NoProgram,
    /// The tar stream has no end mark.
    #[error("its tar stream is not complete")]
    NoEndMark,
    /// Something follows the end.
    #[error("something follows after its end")]
    TrailingData,
    /// The gzip or tar stream cannot be read.
    #[error("it cannot be read as a tar.gz archive ({reason})")]
    Malformed {
        /// What the decoder said.
        reason: String,
    },
}

/// What went wrong in a pass, before it is known whether the digest is right.
enum Fault {
    /// A file could not be written; the archive is not to blame.
    Local(Error),
    /// The archive ended too early.
    Short,
    /// The archive is not what it should be.
    Refused(Refusal),
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
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
    /// What was unpacked, or why not.
    pub(super) files: Result<Vec<ManifestEntry>, Incomplete>,
}

/// Why there are no files.
pub(super) enum Incomplete {
    Short,
    Refused(Refusal),
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
    let outcome = pass(&mut hashing, folder, limits);
    let files = match outcome {
        Ok(files) => Ok(files),
        Err(fault) => {
            if let Some(error) = hashing.take_failure() {
                return Err(source_error(error));
            }
            let incomplete = match fault {
                Fault::Local(error) => return Err(error),
                Fault::Short => Incomplete::Short,
                Fault::Refused(refusal) => Incomplete::Refused(refusal),
            };
            if io::copy(&mut hashing, &mut io::sink()).is_err()
                && let Some(error) = hashing.take_failure()
            {
                return Err(source_error(error));
            }
            Err(incomplete)
        }
    };
    Ok(Pass { bytes: hashing.count(), digest: hashing.digest(), files })
}

/// Counts what the tar reader takes from the gunzipped stream.
#[derive(Default)]
struct Meter {
    /// How much may still be read before the allowance is renewed.
    left: Cell<u64>,
    /// Whether more was wanted than that.
    overrun: Cell<bool>,
}

impl Meter {
    fn allow(&self, bytes: u64) {
        self.left.set(bytes);
    }
}

struct Metered<R> {
    inner: R,
    meter: Rc<Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let left = self.meter.left.get();
        if left == 0 {
            self.meter.overrun.set(true);
            return Err(io::Error::other("more than allowed"));
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut buffer[..wanted])?;
        self.meter.left.set(left - count as u64);
        Ok(count)
    }
}

fn pass<R: Read>(source: R, folder: &Path, limits: &Limits) -> Result<Vec<ManifestEntry>, Fault> {
    let meter = Rc::new(Meter::default());
    let gunzip = GzDecoder::new(BufReader::with_capacity(64 * 1024, source));
    let mut archive = Archive::new(Metered { inner: gunzip, meter: Rc::clone(&meter) });
    let fault = |error: io::Error, limit: u64| {
        if meter.overrun.get() {
            Fault::Refused(Refusal::HeadersTooLarge { limit })
        } else if error.kind() == io::ErrorKind::UnexpectedEof {
            Fault::Short
        } else {
            Fault::Refused(Refusal::Malformed { reason: error.to_string() })
        }
    };

    let mut tree = Tree::new(folder);
    let mut count = 0;
    let mut total = 0_u64;
    meter.allow(HEADER_BYTES);
    let mut entries = archive.entries().map_err(|error| fault(error, HEADER_BYTES))?;
    loop {
        meter.allow(HEADER_BYTES);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|error| fault(error, HEADER_BYTES))?;
        count += 1;
        if count > limits.entries {
            return Err(Refusal::TooManyEntries { limit: limits.entries }.into());
        }
        let raw_path = entry.path_bytes().into_owned();
        let kind = entry.header().entry_type();
        let path = clean(&raw_path, kind.is_dir())
            .map_err(|reason| Refusal::Path { path: raw_path.escape_ascii().to_string(), reason })?;
        check_kind(kind, &path)?;
        let mode = entry.header().mode().map_err(|error| fault(error, HEADER_BYTES))?;
        if mode & 0o7000 != 0 {
            return Err(Refusal::SpecialMode { path, mode: mode & 0o7777 }.into());
        }
        if kind.is_dir() {
            tree.claim_folder(&path)?;
            continue;
        }
        let size = entry.size();
        if size > limits.file_bytes {
            return Err(Refusal::FileTooLarge { path, limit: limits.file_bytes }.into());
        }
        total = total.saturating_add(size);
        if total > limits.unpacked_bytes {
            return Err(Refusal::UnpacksTooLarge { limit: limits.unpacked_bytes }.into());
        }
        let mode = if mode & 0o111 != 0 || path == PROGRAM { 0o755 } else { 0o644 };
        meter.allow(size);
        let sha256 = tree.write(&path, mode, size, &mut entry, |error| fault(error, size))?;
        tree.files.insert(path.clone(), ManifestEntry { path, size, sha256, mode });
    }
    meter.allow(TAIL_BYTES);
    let mut metered = archive.into_inner();
    check_tail(&mut metered, |error| fault(error, TAIL_BYTES))?;
    // The gzip trailer was checked with the last read; the archive must end there.
    let mut packed = metered.inner.into_inner();
    if !packed.fill_buf().map_err(|error| fault(error, TAIL_BYTES))?.is_empty() {
        return Err(Refusal::TrailingData.into());
    }
    if !tree.files.contains_key(PROGRAM) {
        return Err(Refusal::NoProgram.into());
    }
    tree.sync()?;
    Ok(tree.files.into_values().collect())
}

fn check_kind(kind: EntryType, path: &str) -> Result<(), Refusal> {
    let path = || path.to_owned();
    match kind {
        EntryType::Regular | EntryType::Directory => Ok(()),
        EntryType::Symlink | EntryType::Link => Err(Refusal::Link { path: path() }),
        EntryType::Char | EntryType::Block | EntryType::Fifo => Err(Refusal::Device { path: path() }),
        _ => Err(Refusal::UnknownKind { path: path() }),
    }
}

/// After the first block of zeros, which tells that there are no more entries, POSIX wants a second one (pax(1),
/// "ustar Interchange Format"); more zeros may follow, and nothing else.
fn check_tail(rest: &mut impl Read, fault: impl Fn(io::Error) -> Fault) -> Result<(), Fault> {
    let mut buffer = [0; 4096];
    let mut zeros = 0;
    loop {
        let count = rest.read(&mut buffer).map_err(&fault)?;
        if count == 0 {
            break;
        }
        if buffer[..count].iter().any(|byte| *byte != 0) {
            return Err(Refusal::TrailingData.into());
        }
        zeros += count;
    }
    if zeros < 512 {
        return Err(Refusal::NoEndMark.into());
    }
    Ok(())
}

/// The files and folders made so far.
struct Tree<'a> {
    root: &'a Path,
    files: BTreeMap<String, ManifestEntry>,
    /// Folders on the disk.
    folders: BTreeSet<String>,
    /// Folders that have an entry of their own; they are made only when a file goes into them.
    claimed: BTreeSet<String>,
}

impl<'a> Tree<'a> {
    fn new(root: &'a Path) -> Self {
        Self { root, files: BTreeMap::new(), folders: BTreeSet::new(), claimed: BTreeSet::new() }
    }

    fn claim_folder(&mut self, path: &str) -> Result<(), Refusal> {
        if !self.claimed.insert(path.to_owned()) || self.files.contains_key(path) {
            return Err(Refusal::Duplicate { path: path.to_owned() });
        }
        Ok(())
    }

    /// Makes the folders on the way to a file. The modes are set afterwards, since the umask takes from those given
    /// at creation.
    fn make_folders(&mut self, path: &str) -> Result<(), Fault> {
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if self.files.contains_key(folder) {
                return Err(Refusal::Duplicate { path: path.to_owned() }.into());
            }
            if self.folders.insert(folder.to_owned()) {
                let full = self.root.join(folder);
                about_to(Operation::MakeFolder, || full.clone())
                    .and_then(|()| DirBuilder::new().mode(0o700).create(&full))
                    .map_err(Error::file("create", &full))?;
                fs::set_permissions(&full, Permissions::from_mode(0o755))
                    .map_err(Error::file("set the mode of", &full))?;
            }
        }
        Ok(())
    }

    fn write(
        &mut self,
        path: &str,
        mode: u32,
        size: u64,
        content: &mut impl Read,
        fault: impl Fn(io::Error) -> Fault,
    ) -> Result<Sha256Digest, Fault> {
        if self.files.contains_key(path) || self.folders.contains(path) || self.claimed.contains(path) {
            return Err(Refusal::Duplicate { path: path.to_owned() }.into());
        }
        self.make_folders(path)?;
        let full = self.root.join(path);
        let write_error = |error| Fault::Local(Error::file("write", &full)(error));
        let mut file = about_to(Operation::Create, || full.clone())
            .and_then(|()| OpenOptions::new().write(true).create_new(true).mode(0o600).open(&full))
            .map_err(Error::file("create", &full))?;
        let mut hasher = Sha256::new();
        let mut buffer = [0; 64 * 1024];
        let mut written = 0;
        loop {
            let count = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(fault(error)),
            };
            hasher.update(&buffer[..count]);
            operation::write_all(&mut file, &buffer[..count], || full.clone()).map_err(write_error)?;
            written += count as u64;
        }
        // The tar reader takes the end of the stream for the end of the file.
        if written != size {
            return Err(Refusal::NoEndMark.into());
        }
        file.set_permissions(Permissions::from_mode(mode)).map_err(write_error)?;
        about_to(Operation::Sync, || full.clone()).and_then(|()| file.sync_all()).map_err(write_error)?;
        Ok(Sha256Digest::from_hasher(hasher))
    }

    fn sync(&self) -> Result<(), Error> {
        for folder in &self.folders {
            sync_folder(&self.root.join(folder))?;
        }
        Ok(())
    }
}

/// Makes sure that the names in a folder survive a power failure.
pub(super) fn sync_folder(path: &Path) -> Result<(), Error> {
    about_to(Operation::SyncFolder, || path.to_owned())
        .and_then(|()| File::open(path))
        .and_then(|folder| folder.sync_all())
        .map_err(Error::file("sync", path))
}
