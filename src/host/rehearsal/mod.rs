//! The rehearsal: a model of a FreeBSD host in a folder.

pub mod stand_in_release;
