//! What can go wrong between "the latest release" and a folder on the disk.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use semver::Version;

use super::{Arch, Refusal, Sha256Digest};
use crate::error_code::{Coded, ErrorCode};
use crate::operation::advice;

/// Who says that an archive has a certain digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestOrigin {
    /// The `checksums.txt` beside the archive.
    Published,
    /// The lock of an earlier run.
    Lock,
    /// The digest that the administrator named.
    Pin,
}

impl fmt::Display for DigestOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Published => "checksums.txt",
            Self::Lock => "the lock file",
            Self::Pin => "the digest that you pinned",
        })
    }
}

/// Everything that this module refuses or fails at.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An architecture that upstream does not build for.
    #[error("GoToSocial has no FreeBSD build for the architecture \"{given}\". Upstream builds for amd64 and arm64.")]
    UnknownArch {
        /// What was given.
        given: String,
    },
    /// A build that does not exist.
    #[error("\"{given}\" is not a build of GoToSocial. Choose default or nowasm.")]
    UnknownVariant {
        /// What was given.
        given: String,
    },
    /// The `nowasm` build was wanted where there is none.
    #[error("Upstream makes the nowasm build for FreeBSD on amd64 only, and this is {arch}. Choose the default build.")]
    NoNowasmBuild {
        /// The architecture.
        arch: Arch,
    },
    /// A source that cannot be one.
    #[error("\"{given}\" cannot be used as a source of releases: {reason}.")]
    BadSource {
        /// What was given, without any password.
        given: String,
        /// Why not.
        reason: String,
    },
    /// Not a SHA-256 digest.
    #[error("\"{given}\" is not a SHA-256 digest. It must be 64 hexadecimal digits, as sha256(1) prints them.")]
    BadDigest {
        /// What was given.
        given: String,
    },

    /// Bytes over an unprotected connection, with nothing to check them against.
    #[error(
        "{url} is plain http, on which anybody on the way could change the program. Use https, or pin the SHA-256 digest of the archive."
    )]
    HttpWithoutPin {
        /// The source.
        url: String,
    },
    /// A lock of a rehearsal in a real run.
    #[error(
        "The lock file holds version {version} of a rehearsal's stand-in, which is no real GoToSocial. Remove the lock file, or use the answers of the real host."
    )]
    RehearsalLock {
        /// The version that the stand-in played.
        version: Version,
    },
    /// A lock or a pin of the real release in a rehearsal.
    #[error(
        "The {what} is of the real release, but this rehearsal uses a stand-in for it, with other bytes. Use --mirror to take the real release into the rehearsal, or leave the {what} out."
    )]
    RealReleaseInRehearsal {
        /// "lock" or "pinned digest".
        what: &'static str,
    },
    /// A lock whose fields contradict each other.
    #[error(
        "The lock file names the archive \"{asset}\", but its version, architecture and build make it {expected}. It was edited or damaged: remove it to lock again."
    )]
    InconsistentLock {
        /// The name in the lock.
        asset: String,
        /// The name that it should have.
        expected: String,
    },

    /// "Latest" was wanted from a source that cannot be asked.
    #[error("{source_name} has no catalogue to find the latest version in. Name a version, for example 0.19.2.")]
    NoCatalogue {
        /// The source.
        source_name: String,
    },
    /// The catalogue has nothing that fits.
    #[error("{source_name} lists no release{only}. Check the source, or name a version.")]
    CatalogueEmpty {
        /// The source.
        source_name: String,
        /// What narrowed the choice.
        only: &'static str,
    },
    /// The answer is not a catalogue.
    #[error(
        "The list of releases at {url} cannot be understood ({reason}). The server may be down for maintenance: try again later, or name a version."
    )]
    CatalogueUnreadable {
        /// The page.
        url: String,
        /// What was odd.
        reason: String,
    },

    /// HTTP 404 or 410.
    #[error("There is nothing at {url} (the server says {status}). Check that this version exists and is spelt right.")]
    NotFound {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// HTTP 429.
    #[error("{url}: the server asks to be left alone for a while (429 Too Many Requests). Try again {}.", when(.wait))]
    TooManyRequests {
        /// The address.
        url: String,
        /// How long the server wants to be left alone, if it said so.
        wait: Option<Duration>,
    },
    /// HTTP 5xx.
    #[error("{url}: the server has a fault of its own ({status}). Try again later, or use a mirror.")]
    ServerFault {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Any other answer.
    #[error(
        "{url}: the server gave an unexpected answer ({status}). Check the address of the source, and any proxy in between."
    )]
    UnexpectedStatus {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// No connection.
    #[error("Cannot reach {url}: {reason}. Check the network, the name server and any proxy.")]
    Unreachable {
        /// The address.
        url: String,
        /// What the network said.
        reason: String,
    },
    /// The server's certificate was not accepted.
    #[error(
        "{url}: the server's certificate was not accepted: {reason}. Check that the clock is right and that the CA certificates of this host are up to date."
    )]
    Certificate {
        /// The address.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP client could not be made; on FreeBSD nearly always because there is no CA bundle.
    #[error(
        "No secure connection can be made, because this host's CA certificates cannot be read: {reason}. Install the package ca_root_nss, or set SSL_CERT_FILE to a file of CA certificates."
    )]
    NoCaCertificates {
        /// What the TLS library said.
        reason: String,
    },
    /// From https to http.
    #[error(
        "{from} redirects to {to}, which is plain http: anybody on the way could change the program. Refused; use a mirror."
    )]
    InsecureRedirect {
        /// The https address.
        from: String,
        /// The http address.
        to: String,
    },
    /// Redirected in circles.
    #[error("{url} redirects too often. Check the address of the source.")]
    TooManyRedirects {
        /// The address.
        url: String,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing came for {}. Check the network, or try again later.", seconds(.idle))]
    TimedOut {
        /// The address.
        url: String,
        /// The limit that was passed.
        idle: Duration,
    },
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
    /// More bytes than allowed.
    #[error("{url} is larger than the {limit} bytes that are allowed for it. It is not what it should be.")]
    TooLarge {
        /// The address or path.
        url: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// Another file after the connection broke.
    #[error("{url} was replaced on the server while it was being downloaded. Run again to fetch the new file.")]
    ChangedMeanwhile {
        /// The address.
        url: String,
    },
    /// The server continued at another place than asked.
    #[error(
        "{url}: the server does not continue a broken download at the requested position. Try again later, or use a mirror."
    )]
    BadRange {
        /// The address.
        url: String,
    },

    /// A `checksums.txt` that is no such thing.
    #[error("Line {line} of {place} is not a checksum: {reason}. The file is damaged, or it is another file.")]
    MalformedChecksums {
        /// Where the file is.
        place: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// One name, two digests.
    #[error(
        "{place} gives two different digests for {asset}. Nothing can be verified with it: report it to whoever publishes it."
    )]
    ConflictingChecksums {
        /// Where the file is.
        place: String,
        /// The name.
        asset: String,
    },
    /// No line for the archive.
    #[error(
        "{place} has no line for {asset}, so the archive cannot be verified. Check that the release has this build."
    )]
    MissingChecksum {
        /// Where the file is.
        place: String,
        /// The name.
        asset: String,
    },
    /// Nobody says what the digest is.
    #[error(
        "There is no {place}: either this version is not there, or its checksums are missing. Without them {asset} cannot be verified. Check the version, or pin the archive's SHA-256 digest."
    )]
    NoDigest {
        /// Where `checksums.txt` should be.
        place: String,
        /// The archive.
        asset: String,
    },
    /// Two sources of digests disagree.
    #[error(
        "Two digests for {asset} disagree: {first_origin} says {first}, {second_origin} says {second}. Find out which is right before installing anything."
    )]
    DigestsDisagree {
        /// The archive.
        asset: String,
        /// Who says the first.
        first_origin: DigestOrigin,
        /// The first.
        first: Sha256Digest,
        /// Who says the second.
        second_origin: DigestOrigin,
        /// The second.
        second: Sha256Digest,
    },
    /// The published digest of a locked version is another one now.
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

    /// The archive is not the one that was locked.
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
    /// The archive ended in the middle.
    #[error(
        "{asset} ends in the middle, after {received} bytes. Nothing was installed. Run again, or use another source."
    )]
    Truncated {
        /// The archive.
        asset: String,
        /// Bytes that came.
        received: u64,
    },
    /// The archive has the right digest, and yet something in it that is not allowed.
    #[error("{asset} is refused: {refusal}. Nothing was installed. It is not laid out as GoToSocial's releases are.")]
    Archive {
        /// The archive.
        asset: String,
        /// What is wrong with it.
        #[source]
        refusal: Refusal,
    },

    /// The destination is there already.
    #[error("{} is there already, and is not overwritten. Remove it, or choose another place.", path.display())]
    DestinationExists {
        /// The destination.
        path: PathBuf,
    },
    /// The destination's name is not a plain one.
    #[error(
        "\"{name}\" cannot be the name of the folder of a release: it must be one plain name that does not begin with a dot."
    )]
    BadDestinationName {
        /// What was given.
        name: String,
    },
    /// A file could not be read or written.
    #[error("Cannot {action} {}: {source}{}.", path.display(), advice(source))]
    File {
        /// What was tried: "create", "read" …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Whoever watches the download wants it to end ([`super::Progress::stops`]).
    #[error("The download was stopped.")]
    Stopped,
    /// No manifest in the folder.
    #[error("{} has no manifest, so it was not put there by this program, or not completely.", path.display())]
    NoManifest {
        /// The folder.
        path: PathBuf,
    },
    /// The manifest is not one.
    #[error("Line {line} of {} is not a manifest line of this program: {reason}. Install the release again.", path.display())]
    BadManifest {
        /// The manifest.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        reason: &'static str,
    },
}

impl Coded for Error {
    fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownArch { .. }
            | Self::UnknownVariant { .. }
            | Self::NoNowasmBuild { .. }
            | Self::BadSource { .. }
            | Self::BadDigest { .. }
            | Self::RehearsalLock { .. }
            | Self::RealReleaseInRehearsal { .. }
            | Self::InconsistentLock { .. } => ErrorCode::Release,
            Self::NoCatalogue { .. }
            | Self::CatalogueEmpty { .. }
            | Self::NotFound { .. }
            | Self::NoDigest { .. }
            | Self::MissingChecksum { .. } => ErrorCode::ReleaseNotFound,
            Self::CatalogueUnreadable { .. }
            | Self::TooManyRequests { .. }
            | Self::ServerFault { .. }
            | Self::UnexpectedStatus { .. }
            | Self::Unreachable { .. }
            | Self::TooManyRedirects { .. }
            | Self::TimedOut { .. }
            | Self::BrokenOff { .. }
            | Self::ChangedMeanwhile { .. }
            | Self::BadRange { .. } => ErrorCode::ReleaseSource,
            Self::HttpWithoutPin { .. }
            | Self::Certificate { .. }
            | Self::NoCaCertificates { .. }
            | Self::InsecureRedirect { .. } => ErrorCode::ReleaseUntrusted,
            Self::TooLarge { .. }
            | Self::MalformedChecksums { .. }
            | Self::ConflictingChecksums { .. }
            | Self::DigestsDisagree { .. }
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Truncated { .. }
            | Self::Archive { .. } => ErrorCode::ReleaseDigest,
            Self::ReleaseChanged { .. } => ErrorCode::ReleaseChanged,
            Self::DestinationExists { .. }
            | Self::BadDestinationName { .. }
            | Self::NoManifest { .. }
            | Self::BadManifest { .. } => ErrorCode::ReleaseFolder,
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
}

fn seconds(duration: &Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} milliseconds", duration.as_millis()),
        1 => "1 second".into(),
        more => format!("{more} seconds"),
    }
}

fn when(wait: &Option<Duration>) -> String {
    wait.as_ref().map_or_else(|| "later".into(), |wait| format!("in {}", seconds(wait)))
}

/// The causes of an error in one line, without saying the same thing twice.
pub(super) fn in_words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_plain_units() {
        assert_eq!(seconds(&Duration::from_millis(150)), "150 milliseconds");
        assert_eq!(seconds(&Duration::from_secs(1)), "1 second");
        assert_eq!(seconds(&Duration::from_secs(90)), "90 seconds");
        assert_eq!(when(&None), "later");
        assert_eq!(when(&Some(Duration::from_secs(2))), "in 2 seconds");
    }

    #[test]
    fn causes_are_named_once() {
        let inner = io::Error::other("connection reset");
        let outer = Error::File { action: "read", path: "/x".into(), source: inner };
        assert_eq!(in_words(&outer), "Cannot read /x: connection reset.");
    }
}
