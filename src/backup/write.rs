//! Writes a backup, in one pass over the files.
//!
//! The manifest comes first and contains digests that are known only at the end. So the writer reserves room for its
//! greatest length, and fills it in, followed by spaces, after everything else is written.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tar::{EntryType, Header};

use super::manifest::{self, Entry, Head, Manifest};
use super::{END, padded};
use crate::release::Hashing;
use crate::shown::Shown;

/// How often a file is read if it changes meanwhile.
const READINGS: u32 = 3;

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Where it was.
    pub from: PathBuf,
    /// Why it was left out, in words.
    pub why: &'static str,
}

/// Writes a backup to the beginning of an empty file, and returns what was left out. `open` opens the files, and
/// returns `None` for a missing one.
///
/// # Errors
/// A file cannot be read or `out` not written; or a needed file is missing, or keeps changing.
pub fn write(
    out: &mut File,
    head: &Head,
    members: &[Member],
    open: &dyn Fn(&Path) -> io::Result<Option<File>>,
) -> io::Result<(Manifest, Vec<Skipped>)> {
    let room = room(head, members)?;
    out.write_all(header(manifest::FILE, 0o600, room, head.created)?.as_bytes())?;
    out.seek(SeekFrom::Current(i64::try_from(padded(room)).map_err(io::Error::other)?))?;
    let (mut entries, mut skipped) = (Vec::with_capacity(members.len()), Vec::new());
    for member in members {
        match add(out, head, member, open)? {
            Ok(entry) => entries.push(entry),
            Err(why) if member.needed => {
                return Err(io::Error::other(format!("{}: {why}", member.from.shown())));
            }
            Err(why) => skipped.push(Skipped { from: member.from.clone(), why }),
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
    Ok((manifest, skipped))
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

fn header(path: &str, mode: u32, size: u64, time: u64) -> io::Result<Header> {
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
    open: &dyn Fn(&Path) -> io::Result<Option<File>>,
) -> io::Result<Result<Entry, &'static str>> {
    let start = out.stream_position()?;
    for _ in 0..READINGS {
        let Some(mut file) = open(&member.from)? else { return Ok(Err("it was deleted meanwhile")) };
        let before = file.metadata()?;
        let Ok(header) = header(&member.path, member.mode, before.len(), head.created) else {
            return Ok(Err("its path does not fit into a tar file"));
        };
        out.write_all(header.as_bytes())?;
        let (size, sha256) = copy(&mut file, out, before.len())?;
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
    Ok(Err("it changed each time that it was read"))
}

/// Copies at most `limit` bytes, and returns their number and digest.
fn copy(from: &mut File, to: &mut File, limit: u64) -> io::Result<(u64, String)> {
    let mut from = Hashing::new(from.take(limit));
    let mut to = BufWriter::with_capacity(1 << 18, to);
    let copied = io::copy(&mut from, &mut to).and_then(|size| to.flush().map(|()| size));
    let size = copied.map_err(|error| from.failure.take().unwrap_or(error))?;
    Ok((size, from.digest().to_string()))
}

/// The digest of a hasher, as 64 hexadecimal digits.
pub(super) fn hexadecimal(hasher: Sha256) -> String {
    HEXLOWER.encode(&hasher.finalize())
}
