//! What can go wrong between "the latest release" and a folder on the disk.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::{Arch, Progress, Refusal, Sha256Digest};
use crate::error_code::{Coded, ErrorCode};
use crate::operation::advice;
use crate::shown::Shown;

/// Everything that this module refuses or fails at. Addresses are without passwords.
///
/// What a child that fetches can fail at has a form for the pipe. The rest is skipped.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
pub enum Error {
    /// The `nowasm` build was wanted where there is none.
    #[serde(skip)]
    #[error("Upstream makes the nowasm build for FreeBSD on amd64 only, and this is {0}. Choose the default build.")]
    NoNowasmBuild(Arch),
    /// A source that cannot be one, and why.
    #[error("\"{0}\" cannot be used as a source of releases: {1}.")]
    BadSource(String, String),
    /// Not a SHA-256 digest.
    #[serde(skip)]
    #[error("\"{0}\" is not a SHA-256 digest. It must be 64 hexadecimal digits, as sha256(1) prints them.")]
    BadDigest(String),
    /// A lock of a rehearsal in a real run.
    #[serde(skip)]
    #[error(
        "The lock file holds version {0} of a rehearsal's stand-in, which is no real GoToSocial. Remove the lock file, or use the answers of the real host."
    )]
    RehearsalLock(Version),
    /// A lock or a pinned digest of the real release in a rehearsal.
    #[serde(skip)]
    #[error(
        "The {0} is of the real release, but this rehearsal uses a stand-in for it, with other bytes. Use --mirror to take the real release into the rehearsal, or leave the {0} out."
    )]
    RealReleaseInRehearsal(#[serde(skip)] &'static str),
    /// A lock whose archive has another name than its other fields give it.
    #[serde(skip)]
    #[error(
        "The lock file names the archive \"{0}\", but its version, architecture and build make it {1}. It was edited or damaged: remove it to lock again."
    )]
    InconsistentLock(String, String),

    /// "Latest" was wanted from a source that cannot be asked.
    #[serde(skip)]
    #[error("{0} has no catalogue to find the latest version in. Name a version, for example 0.19.2.")]
    NoCatalogue(String),
    /// The catalogue of a source has nothing that fits; the second text says what narrowed the choice.
    #[serde(skip)]
    #[error("{0} lists no release{1}. Check the source, or name a version.")]
    CatalogueEmpty(String, #[serde(skip)] &'static str),
    /// There is no `checksums.txt` at this place, and nothing else that gives the digest of this archive.
    #[serde(skip)]
    #[error(
        "There is no {0}: either this version is not there, or its checksums are missing. Without them {1} cannot be verified. Check the version, or pin the archive's SHA-256 digest."
    )]
    NoDigest(String, String),
    /// The `checksums.txt` at this place has no line for this archive.
    #[error("{0} has no line for {1}, so the archive cannot be verified. Check that the release has this build.")]
    MissingChecksum(String, String),

    /// What came from an address is not a catalogue.
    #[error(
        "The list of releases at {0} cannot be understood ({1}). The server may be down for maintenance: try again later, or name a version."
    )]
    CatalogueUnreadable(String, String),
    /// An HTTP answer without the wanted content.
    #[error("{}", status_in_words(url, *status, *wait))]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
        /// How long the server wants to be left alone, if it said so.
        wait: Option<Duration>,
    },
    /// No connection to an address, and why.
    #[error("Cannot reach {0}: {1}. Check the network, the name server and any proxy.")]
    Unreachable(String, String),
    /// Redirected in circles.
    #[error("{0} redirects too often. Check the address of the source.")]
    TooManyRedirects(String),
    /// Nothing came for that long.
    #[error("{0}: nothing came for {time}. Check the network, or try again later.", time = seconds(*.1))]
    TimedOut(String, Duration),
    /// The connection broke, again and again.
    #[error("The download of {url} broke off after {received} bytes: {reason}. Check the network, or try again later.")]
    BrokenOff {
        /// The address.
        url: String,
        /// How many bytes had arrived, over all attempts.
        received: u64,
        /// What the network said.
        reason: String,
    },
    /// Another file after the connection broke.
    #[error("{0} was replaced on the server while it was being downloaded. Run again to fetch the new file.")]
    ChangedMeanwhile(String),
    /// The server continued at another place than asked.
    #[error(
        "{0}: the server does not continue a broken download at the requested position. Try again later, or use a mirror."
    )]
    BadRange(String),

    /// Bytes over an unprotected connection, with nothing to check them against.
    #[serde(skip)]
    #[error(
        "{0} is plain http, on which anybody on the way could change the program. Use https, or pin the SHA-256 digest of the archive."
    )]
    HttpWithoutPin(String),
    /// The certificate of the server at an address was not accepted, and why.
    #[error(
        "{0}: the server's certificate was not accepted: {1}. Check that the clock is right and that the CA certificates of this host are up to date."
    )]
    Certificate(String, String),
    /// The HTTP client could not be made; nearly always because there is no CA bundle.
    #[error(
        "No secure connection can be made, because this host's CA certificates cannot be read: {0}. Run `certctl rehash`, or on FreeBSD 13 `pkg install ca_root_nss`; or set SSL_CERT_FILE to a file of CA certificates that everybody may read."
    )]
    NoCaCertificates(String),
    /// From an https address to an http address.
    #[error(
        "{0} redirects to {1}, which is plain http: anybody on the way could change the program. Refused; use a mirror."
    )]
    InsecureRedirect(String, String),

    /// An address or path has more bytes than this limit.
    #[error("{0} is larger than the {1} bytes that are allowed for it. It is not what it should be.")]
    TooLarge(String, u64),
    /// A `checksums.txt` that is no such thing.
    #[error("Line {line} of {place} is not a checksum: {reason}. The file is damaged, or it is another file.")]
    MalformedChecksums {
        /// Where the file is.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The `checksums.txt` at this place has two digests for this archive.
    #[error(
        "{0} gives two different digests for {1}. Nothing can be verified with it: report it to whoever publishes it."
    )]
    ConflictingChecksums(String, String),
    /// The pinned digest is another one than `origin` gives: the `checksums.txt` or the lock of an earlier run.
    #[serde(skip)]
    #[error(
        "Two digests for {asset} disagree: {origin} says {known}, the digest that you pinned says {pinned}. Find out which is right before installing anything."
    )]
    DigestsDisagree {
        /// The archive.
        asset: String,
        /// What gives the other digest.
        #[serde(skip)]
        origin: &'static str,
        /// The other digest.
        known: Sha256Digest,
        /// The digest that the administrator named.
        pinned: Sha256Digest,
    },
    /// The archive is not the one that was locked.
    #[serde(skip)]
    #[error(
        "{asset} has the SHA-256 digest {actual}, but it should be {expected}. It was damaged or changed on the way; nothing was installed. Run again, or use another source."
    )]
    WrongDigest {
        /// The archive.
        asset: String,
        /// The digest in the lock.
        expected: Sha256Digest,
        /// The digest of what came.
        actual: Sha256Digest,
    },
    /// The archive has another size than the lock says.
    #[serde(skip)]
    #[error(
        "{asset} has {actual} bytes, but it should have {expected}. Nothing was installed. Run again, or use another source."
    )]
    WrongSize {
        /// The archive.
        asset: String,
        /// Bytes, by the lock.
        expected: u64,
        /// Bytes that came, or that the server announced.
        actual: u64,
    },
    /// The archive ended in the middle, after so many bytes.
    #[serde(skip)]
    #[error("{0} ends in the middle, after {1} bytes. Nothing was installed. Run again, or use another source.")]
    Truncated(String, u64),
    /// The archive has the right digest, and yet something in it that is not allowed.
    #[serde(skip)]
    #[error("{0} is refused: {1}. Nothing was installed. It is not laid out as GoToSocial's releases are.")]
    Archive(String, #[source] Refusal),

    /// The published digest of a locked version is another one now.
    #[serde(skip)]
    #[error(
        "The release {asset} was changed after it was locked: the lock file says {locked}, {place} now says {published}. Releases should never change: ask upstream before you trust the new one. To accept it, remove the lock file."
    )]
    ReleaseChanged {
        /// The archive.
        asset: String,
        /// The digest in the lock.
        locked: Sha256Digest,
        /// The digest that is published now.
        published: Sha256Digest,
        /// Where it is published.
        place: String,
    },

    /// The destination is there already.
    #[serde(skip)]
    #[error("{} is there already, and is not overwritten. Remove it, or choose another place.", .0.shown())]
    DestinationExists(PathBuf),
    /// No manifest in the folder.
    #[serde(skip)]
    #[error("{} has no manifest, so it was not put there by this program, or not completely.", .0.shown())]
    NoManifest(PathBuf),
    /// The manifest is not one.
    #[serde(skip)]
    #[error("Line {line} of {} is not a manifest line of this program: {reason}. Install the release again.", path.shown())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        #[serde(skip)]
        reason: &'static str,
    },

    /// A child did not do its work: what that was, and why.
    #[serde(skip)]
    #[error(
        "The process that {0} what comes from outside failed: {1}. Nothing was installed. Run this again; if that does not help, see dmesg(8) and the limits of this host."
    )]
    Child(#[serde(skip)] &'static str, String),
    /// A file could not be read or written.
    #[serde(skip)]
    #[error("Cannot {action} {}: {source}{}.", path.shown(), advice(source))]
    File {
        /// What was tried: "create", "read" …
        #[serde(skip)]
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The download was to stop ([`super::Progress::stops`]).
    #[serde(skip)]
    #[error("The download was stopped.")]
    Stopped,
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::NoNowasmBuild(_)
            | Self::BadSource(..)
            | Self::BadDigest(_)
            | Self::RehearsalLock(_)
            | Self::RealReleaseInRehearsal(_)
            | Self::InconsistentLock(..) => ErrorCode::Release,
            Self::NoCatalogue(_)
            | Self::CatalogueEmpty(..)
            | Self::Status { status: 404 | 410, .. }
            | Self::NoDigest(..)
            | Self::MissingChecksum(..) => ErrorCode::ReleaseNotFound,
            Self::CatalogueUnreadable(..)
            | Self::Status { .. }
            | Self::Unreachable(..)
            | Self::TooManyRedirects(_)
            | Self::TimedOut(..)
            | Self::BrokenOff { .. }
            | Self::ChangedMeanwhile(_)
            | Self::BadRange(_) => ErrorCode::ReleaseSource,
            Self::HttpWithoutPin(_)
            | Self::Certificate(..)
            | Self::NoCaCertificates(_)
            | Self::InsecureRedirect(..) => ErrorCode::ReleaseUntrusted,
            Self::TooLarge(..)
            | Self::MalformedChecksums { .. }
            | Self::ConflictingChecksums(..)
            | Self::DigestsDisagree { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Truncated(..)
            | Self::Archive(..) => ErrorCode::ReleaseDigest,
            Self::ReleaseChanged { .. } => ErrorCode::ReleaseChanged,
            Self::DestinationExists(_) | Self::NoManifest(_) | Self::BadManifest { .. } => ErrorCode::ReleaseFolder,
            Self::Child(..) => ErrorCode::Command,
            Self::File { .. } => ErrorCode::File,
            Self::Stopped => ErrorCode::Interrupted,
        }
    }
}

impl Error {
    /// For `map_err`: a file operation that failed.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.to_path_buf(), source }
    }

    /// A child that `does` something, and failed; or a stop: Ctrl-C reaches a child, too, before it has left the terminal.
    pub(super) fn child(does: &'static str, why: &impl ToString, progress: &dyn Progress) -> Self {
        if progress.stops() { Self::Stopped } else { Self::Child(does, why.to_string()) }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(..) | Self::TimedOut(..) | Self::BrokenOff { .. } => true,
            Self::Status { status, .. } => matches!(status, 429 | 500..=599),
            _ => false,
        }
    }
}

fn status_in_words(url: &str, status: u16, wait: Option<Duration>) -> String {
    match status {
        404 | 410 => format!(
            "There is nothing at {url} (the server says {status}). Check that this version exists and is spelt right."
        ),
        429 => {
            let when = wait.map_or_else(|| "later".into(), |wait| format!("in {}", seconds(wait)));
            format!("{url}: the server asks to be left alone for a while (429 Too Many Requests). Try again {when}.")
        }
        500..=599 => format!("{url}: the server has a fault of its own ({status}). Try again later, or use a mirror."),
        _ => format!(
            "{url}: the server gave an unexpected answer ({status}). Check the address of the source, and any proxy in between."
        ),
    }
}

fn seconds(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} milliseconds", duration.as_millis()),
        1 => "1 second".into(),
        more => format!("{more} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::NoProgress;

    #[test]
    fn a_child_that_a_stop_ended_is_a_stop() {
        struct Stops;
        impl Progress for Stops {
            fn stops(&self) -> bool {
                true
            }
        }
        let why = "signal: 2 (SIGINT)";
        assert!(matches!(Error::child("fetches", &why, &Stops), Error::Stopped));
        assert!(matches!(Error::child("fetches", &why, &NoProgress), Error::Child("fetches", said) if said == why));
    }

    #[test]
    fn times_are_told_in_plain_units() {
        assert_eq!(seconds(Duration::from_millis(150)), "150 milliseconds");
        assert_eq!(seconds(Duration::from_secs(1)), "1 second");
        assert_eq!(seconds(Duration::from_secs(90)), "90 seconds");
        let busy = |wait| status_in_words("https://example.org", 429, wait);
        assert!(busy(None).ends_with("Try again later."));
        assert!(busy(Some(Duration::from_secs(2))).ends_with("Try again in 2 seconds."));
    }
}
