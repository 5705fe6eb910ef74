//! Writes a backup, in one pass over the files.
//!
//! The manifest comes first and contains digests that are known only at the end. So the writer reserves room for its
//! greatest length, and fills it in, followed by spaces, after everything else is written.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::manifest::{self, Entry, Head, Manifest};
use super::member::Kind;
use super::{END, padded};
use crate::release::{Hashing, clean_path};
use crate::shown::Shown;

/// Why a file is left out that is in the folder of others.
pub const STRAY: &str = "it has no name that gts-bootstrap or GoToSocial gives";

/// How often a file is read if it changes meanwhile.
const READINGS: u32 = 3;
/// After so many bytes it is asked again whether to go on.
const PIECE: u64 = 1 << 20;
/// The greatest number of files that are listed as left out: whoever can plant some can plant many.
const LISTED: usize = 1000;
/// The most bytes of each half of a path that is told and not used.
const HALF: usize = 100;

/// A file for a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its path in the archive.
    pub path: String,
    /// Where it is.
    pub from: PathBuf,
    /// Permission bits, for the manifest.
    pub mode: u32,
    /// Whether the backup fails without it. Media appear and disappear while the instance runs.
    pub needed: bool,
}

/// A file that is not in the backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Where it was, as far as it can be told.
    pub path: String,
    /// Why it was left out, in words.
    pub why: String,
}

/// The files that are not in the backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first thousand of them.
    pub files: Vec<Skipped>,
}

impl LeftOut {
    /// Adds one.
    pub fn add(&mut self, from: &Path, why: impl Into<String>) {
        self.count += 1;
        if self.files.len() < LISTED {
            self.files.push(Skipped { path: told(from).into_owned(), why: why.into() });
        }
    }
}

/// A path as text, a long one without its middle.
fn told(path: &Path) -> Cow<'_, str> {
    match path.as_os_str().as_encoded_bytes() {
        bytes if bytes.len() > 4 * HALF => {
            let half = |bytes| String::from_utf8_lossy(bytes);
            format!("{}…{}", half(&bytes[..HALF]), half(&bytes[bytes.len() - HALF..])).into()
        }
        _ => path.to_string_lossy(),
    }
}

/// An open file, or why it is left out.
pub type Source = Result<File, String>;

/// Writes a backup to the beginning of an empty file, and adds to `left_out` what is not in it. `open` opens the files;
/// `may_go_on` is asked at short intervals.
///
/// # Errors
/// A file cannot be read or `out` not written; or a needed file is left out, or keeps changing; or that of `may_go_on`.
pub fn write(
    out: &mut File,
    head: &Head,
    members: &[Member],
    open: &dyn Fn(&Member) -> io::Result<Source>,
    may_go_on: &dyn Fn() -> io::Result<()>,
    left_out: &mut LeftOut,
) -> io::Result<Manifest> {
    let room = room(head, members)?;
    out.write_all(header(manifest::FILE, 0o600, room, head.created)?.as_bytes())?;
    out.seek(SeekFrom::Current(i64::try_from(padded(room)).map_err(io::Error::other)?))?;
    let mut entries = Vec::with_capacity(members.len());
    for member in members {
        may_go_on()?;
        match add(out, head, member, open, may_go_on)? {
            Ok(entry) => entries.push(entry),
            // What has a name of its own cannot be needed.
            Err(why) if member.needed && Kind::of(&member.path).is_some() => {
                return Err(io::Error::other(format!("{}: {why}", member.from.shown())));
            }
            Err(why) => left_out.add(&member.from, why),
        }
    }
    let end = out.stream_position()?;
    // The remainder of a rewound member is removed, and what is added here is zeros.
    out.set_len(end)?;
    out.set_len(end + END)?;
    let manifest = Manifest { head: head.clone(), entries };
    let mut text = serde_json::to_vec(&manifest)?;
    text.resize(usize::try_from(room).map_err(io::Error::other)?, b' ');
    out.seek(SeekFrom::Start(super::BLOCK))?;
    out.write_all(&text)?;
    Ok(manifest)
}

/// The greatest length of the manifest.
fn room(head: &Head, members: &[Member]) -> io::Result<u64> {
    let longest = |member: &Member| Entry {
        path: member.path.clone(),
        size: u64::MAX,
        mode: member.mode,
        sha256: "0".repeat(64),
    };
    let manifest = Manifest { head: head.clone(), entries: members.iter().map(longest).collect() };
    Ok(serde_json::to_vec(&manifest)?.len() as u64)
}

/// Whether a backup can hold a member of this path, and be read afterwards.
///
/// # Errors
/// Why not.
pub fn fits(path: &str) -> Result<(), String> {
    // A name that is not UTF-8 was made text by U+FFFD.
    if path.contains('\u{fffd}') {
        return Err("its name is not UTF-8 text".to_owned());
    }
    let clean = clean_path(path.as_bytes(), false).map_err(|reason| reason.to_string())?;
    match header(path, 0, 0, 0) {
        Ok(_) if clean == path => Ok(()),
        _ => Err("its path does not fit into a tar file".to_owned()),
    }
}

/// The header of a member. The reader takes no other one.
pub(super) fn header(path: &str, mode: u32, size: u64, time: u64) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(time);
    header.set_size(size);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Adds one member; the inner error is why it was left out.
fn add(
    out: &mut File,
    head: &Head,
    member: &Member,
    open: &dyn Fn(&Member) -> io::Result<Source>,
    may_go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<Result<Entry, String>> {
    if let Err(why) = fits(&member.path) {
        return Ok(Err(why));
    }
    let Some(kind) = Kind::of(&member.path) else { return Ok(Err(STRAY.to_owned())) };
    let start = out.stream_position()?;
    for _ in 0..READINGS {
        let mut file = match open(member)? {
            Ok(file) => file,
            Err(why) => return Ok(Err(why)),
        };
        let before = file.metadata()?;
        if before.len() > kind.largest() {
            return Ok(Err("it is larger than such a file can be".to_owned()));
        }
        out.write_all(header(&member.path, member.mode, before.len(), head.created)?.as_bytes())?;
        let (size, sha256) = copy(&mut file, out, before.len(), may_go_on)?;
        let after = file.metadata()?;
        let stood_still = size == before.len()
            && after.len() == size
            && (after.mtime(), after.mtime_nsec()) == (before.mtime(), before.mtime_nsec());
        if stood_still {
            let padding = padded(size) - size;
            out.write_all(&[0; 512][..usize::try_from(padding).unwrap_or(0)])?;
            return Ok(Ok(Entry { path: member.path.clone(), size, mode: member.mode, sha256 }));
        }
        out.seek(SeekFrom::Start(start))?;
    }
    Ok(Err("it changed each time that it was read".to_owned()))
}

/// Copies at most `limit` bytes, and returns their number and digest.
fn copy(
    from: &mut File,
    to: &mut File,
    limit: u64,
    may_go_on: &dyn Fn() -> io::Result<()>,
) -> io::Result<(u64, String)> {
    let mut from = Hashing::new(from.take(limit));
    let mut to = BufWriter::with_capacity(1 << 18, to);
    let mut size = 0;
    loop {
        let copied = io::copy(&mut (&mut from).take(PIECE), &mut to);
        match copied.map_err(|error| from.failure.take().unwrap_or(error))? {
            0 => break,
            copied => size += copied,
        }
        may_go_on()?;
    }
    to.flush()?;
    Ok((size, from.digest().to_string()))
}

/// The digest of a hasher, as 64 hexadecimal digits.
pub(super) fn hexadecimal(hasher: Sha256) -> String {
    HEXLOWER.encode(&hasher.finalize())
}
