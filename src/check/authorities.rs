//! Which CA certificates the program's children will trust. They run as nobody, this as root: what root alone may read counts
//! for unreadable, here as there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Check, Matter};
use crate::error_code::ErrorCode;
use crate::host::{Entry, HostError, Observe, Whose};
use crate::net::authorities::{Authorities, Content, DANGLES, NEITHER};
use crate::shown::Shown;

/// `kern.osreldate` from which certctl(8) alone is enough.
const HAS_CERTCTL: u32 = 1_400_000;
/// The maximum number of links followed, as MAXSYMLINKS in FreeBSD's `sys/param.h`.
const LINK_LIMIT: u32 = 32;

/// The finding: what was taken, and how many certificates are there. `download`: whether a release comes over https.
pub(super) fn check(host: &dyn Observe, osreldate: u32, download: bool) -> Check {
    const AUTHORITIES: Matter<'static> = Matter("certificate authorities", ErrorCode::CaCertificates);
    let mend = match osreldate {
        HAS_CERTCTL.. => "run `certctl rehash`, or `pkg install ca_root_nss`",
        _ => "run `pkg install ca_root_nss`",
    };
    match Authorities::find(&|name| host.environment(name), &|path| content(host, path)) {
        Err(why) if download => {
            AUTHORITIES.fail(format!("no CA certificates, so the download cannot be verified: {why}; {mend}"))
        }
        Err(why) => AUTHORITIES.warn(format!(
            "no CA certificates, so GoToSocial can reach neither Let's Encrypt nor other servers: {why}; {mend}"
        )),
        Ok(found) => {
            let places: Vec<String> = found.places.iter().map(|place| place.shown().to_string()).collect();
            let count = found.certificates.len();
            let certificates = if count == 1 { "certificate" } else { "certificates" };
            let named = if found.named { " (named by this shell, of which GoToSocial knows nothing)" } else { "" };
            let taken = format!("{}, {count} {certificates}{named}", places.join(" and "));
            match found.passed_over.is_empty() {
                true => AUTHORITIES.pass(taken),
                false => AUTHORITIES.warn(format!("{taken}; passed over: {}", found.passed_over.join(", "))),
            }
        }
    }
}

/// What everybody may read at a path.
fn content(host: &dyn Observe, path: &Path) -> Result<Content, String> {
    let unreadable = |error: HostError| match error {
        HostError::File { source, .. } => format!("cannot be read ({source})"),
        error => format!("cannot be read ({error})"),
    };
    match for_everybody(host, path).map_err(unreadable)? {
        Some((.., false)) => Err("can be read by root alone; nobody and GoToSocial have to".to_owned()),
        // As the children will: they do not ask who has put it there.
        Some((at, Entry::File { .. }, _)) => {
            let bytes = host.read_of(&at, Whose::Public).map_err(unreadable)?;
            Ok(bytes.map_or(Content::Nothing, Content::File))
        }
        Some((at, Entry::Directory { .. }, _)) => host.list(&at).map_err(unreadable).map(Content::Folder),
        Some(_) => Err(NEITHER.to_owned()),
        None if host.entry(path).map_err(unreadable)?.is_some() => Err(DANGLES.to_owned()),
        None => Ok(Content::Nothing),
    }
}

/// What is at a path, links followed: where, what, and whether the modes of it and of all folders on the way let others read it.
fn for_everybody(host: &dyn Observe, path: &Path) -> Result<Option<(PathBuf, Entry, bool)>, HostError> {
    let names = |path: &Path| path.iter().rev().filter(|name| *name != "/").map(OsString::from).collect::<Vec<_>>();
    let (mut at, mut ahead, mut links) = (PathBuf::from("/"), names(path), 0);
    let mut is_open = true;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            at.pop();
            continue;
        }
        let here = at.join(&name);
        match host.entry(&here)? {
            Some(Entry::Symlink { target }) if links < LINK_LIMIT => {
                links += 1;
                if target.is_absolute() {
                    at = "/".into();
                }
                ahead.extend(names(&target));
            }
            Some(Entry::Directory { mode, .. }) if !ahead.is_empty() => {
                is_open &= mode & 0o001 != 0;
                at = here;
            }
            Some(end) if ahead.is_empty() => {
                let needed = if matches!(end, Entry::Directory { .. }) { 0o005 } else { 0o004 };
                let mode =
                    if let Entry::File { mode, .. } | Entry::Directory { mode, .. } = end { mode } else { needed };
                return Ok(Some((here, end, is_open && mode & needed == needed)));
            }
            _ => return Ok(None),
        }
    }
    Ok(host.entry(&at)?.map(|entry| (at, entry, is_open)))
}
