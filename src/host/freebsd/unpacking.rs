//! What the child that unpacks a release gives up besides its ids and its root folder.
//!
//! In Capsicum's capability mode (capsicum(4)) the kernel refuses every name that does not begin at an open descriptor:
//! paths, sockets, other processes. The descriptor of the folder can be used to make folders and to write new files, not
//! to read, link, own, or change flags and access control lists. The child asks the kernel whether it is in that mode, and
//! ends if it is not: nothing is unpacked on a FreeBSD that does not prove it.

use std::fs::File;

use crate::child::{self, Role};
use crate::release::unpack_child;

/// Unpacks the archive on its standard input.
pub const UNPACK: Role = ("unpack", child::UNPACK, |task| unpack_child(task, seal));

/// Gives up everything but standard input and output, and new files below a folder.
fn seal(folder: &File) -> Result<(), String> {
    child::no_processes().map_err(|errno| format!("cannot give up processes: {}", errno.desc()))?;
    enter_capability_mode(folder).map_err(|error| {
        format!(
            "cannot enter capability mode, outside of which nothing is unpacked: {error}. A kernel with \"options \
             CAPABILITY_MODE\" has it, as GENERIC is one; see capsicum(4)"
        )
    })
}

#[cfg(target_os = "freebsd")]
fn enter_capability_mode(folder: &File) -> std::io::Result<()> {
    use capsicum::{CapRights, FileRights, Right};

    // Whoever opens a file to write somewhere in it needs the right to seek.
    let mut rights = FileRights::new();
    for right in [Right::Lookup, Right::Create, Right::Mkdirat, Right::Write, Right::Seek] {
        rights.allow(right);
    }
    rights.limit(folder)?;
    capsicum::enter()?;
    match capsicum::get_mode()? {
        true => Ok(()),
        false => Err(std::io::Error::other("cap_getmode(2) says that this process is not in it")),
    }
}

#[cfg(not(target_os = "freebsd"))]
fn enter_capability_mode(_folder: &File) -> std::io::Result<()> {
    Ok(())
}
