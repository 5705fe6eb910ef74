//! The release: which version there is, which bytes it has, and how they get safely onto the disk.
//!
//! The way of a release, in the order in which a caller goes it:
//!
//! 1. A [`Source`] says where releases come from: upstream, a mirror (an address or a folder), or the
//!    rehearsal's stand-in.
//! 2. [`resolve()`] turns a [`Request`] ("latest", or a version) into a [`LockedRelease`]: version, asset, size
//!    and SHA-256. Every digest that exists (the published `checksums.txt`, an earlier lock, a pin) must agree.
//! 3. [`verify`] re-hashes what is installed already, with no network; if it is intact, nothing is fetched.
//! 4. [`fetch`] downloads the archive, has it unpacked into a staging folder beside the destination once its digest
//!    matched, and renames the result once. Anything that goes wrong leaves nothing behind. A stop
//!    ([`Progress::stops`]) leaves the part of the archive that was downloaded.
//!
//! Bytes from outside are taken apart by children with nobody's rights ([`Fetcher`]): HTTP, TLS, catalogues and checksums
//! by one, gzip and tar by another. This process hashes and stores them.
//!
//! Upstream signs nothing: `checksums.txt` from the same server over HTTPS is all the proof there is (its
//! `.goreleaser.yml` has no signing step). The lock therefore remembers the first digest that was seen, and a
//! later change of a published release is refused.
//!
//! This module knows nothing of hosts.

mod adopt;
mod archive_path;
mod catalogue;
mod checksums;
mod digest;
mod download;
mod error;
mod fetch_child;
mod fetcher;
mod files;
mod gunzip;
mod http;
mod install;
mod locked;
mod manifest;
mod notes;
mod partial;
mod platform;
mod progress;
mod resolve;
mod retry;
mod source;
mod staging;
mod unpack;
mod waypoints;
mod wire;

pub use archive_path::PathRefusal;
pub(crate) use archive_path::clean as clean_path;
pub use catalogue::{NOTES_FILE, Published, catalogue, newest};
pub(crate) use digest::Hashing;
pub use digest::Sha256Digest;
pub use error::Error;
pub use fetch_child::FETCH;
pub use fetcher::Fetcher;
pub use http::HttpSettings;
pub use install::{Target, fetch};
pub use locked::LockedRelease;
pub use manifest::{Manifest, ManifestEntry, Verification, verify};
pub use platform::{Arch, Variant, asset_name};
pub use progress::{NoProgress, Progress};
pub use resolve::{Request, resolve};
pub use retry::Retry;
pub use source::{BaseUrl, Source};
pub use staging::staging;
pub(crate) use unpack::unpack_child;
pub use unpack::{Limits, Refusal};
pub use waypoints::{WAYPOINTS, Waypoint, between};
