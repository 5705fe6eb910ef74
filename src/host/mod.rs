//! The boundary to the system: the real host, and the rehearsal that stands in for it.

pub mod rehearsal;
