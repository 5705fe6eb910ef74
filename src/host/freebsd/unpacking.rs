//! What the child that unpacks a release gives up besides its ids and its root folder.
//!
//! In Capsicum's capability mode (capsicum(4)) the kernel refuses every name that does not begin at an open descriptor:
//! paths, sockets, other processes. The descriptor of the folder can be used to make folders and to write new files, not
//! to read, link, own, or change flags and access control lists. It holds for the chroot(2) that a kernel without
//! capability mode leaves alone in keeping the child inside, and the other way round.

use std::fs::File;

use nix::sys::resource::{Resource, setrlimit};

use crate::child::Role;
use crate::release::unpack_child;

/// Unpacks the archive on its standard input.
pub const UNPACK: Role = ("unpack", |task| unpack_child(task, seal));

/// Gives up everything but standard input and output, and new files below a folder.
fn seal(folder: &File) -> Result<(), String> {
    setrlimit(Resource::RLIMIT_NPROC, 0, 0).map_err(|errno| format!("cannot give up processes: {}", errno.desc()))?;
    enter_capability_mode(folder).map_err(|error| format!("cannot enter capability mode: {error}"))
}

#[cfg(target_os = "freebsd")]
fn enter_capability_mode(folder: &File) -> std::io::Result<()> {
    use capsicum::{CapRights, FileRights, Right};
    use nix::errno::Errno;

    // Whoever opens a file to write somewhere in it needs the right to seek.
    let mut rights = FileRights::new();
    for right in [Right::Lookup, Right::Create, Right::Mkdirat, Right::Write, Right::Seek] {
        rights.allow(right);
    }
    match rights.limit(folder).and_then(|()| capsicum::enter()) {
        // A kernel built without it.
        Err(error) if error.raw_os_error() == Some(Errno::ENOSYS as i32) => Ok(()),
        entered => entered,
    }
}

#[cfg(not(target_os = "freebsd"))]
fn enter_capability_mode(_folder: &File) -> std::io::Result<()> {
    Ok(())
}
