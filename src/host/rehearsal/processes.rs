//! The processes that the real host would start for what a rehearsal is asked, announced to tests. A unit of the table in
//! `tests/processes.rs` is one of these, and the same file holds both hosts to each other.

use std::cell::Cell;

use crate::front::Front;
use crate::gotosocial::SERVICE;
use crate::host::BindProbe;
use crate::operation;

/// What the real host has found out already, and keeps as long as it lives.
#[derive(Debug, Default)]
pub(super) struct Processes {
    has_read_rc_conf: Cell<bool>,
    has_web_child: Cell<bool>,
    has_resolver: Cell<bool>,
    /// When the processes were listed last.
    pub(super) listed_at: Cell<u64>,
}

/// Announces a child that stays, where there is none yet.
fn first(there: &Cell<bool>, process: &str) {
    if !there.replace(true) {
        operation::starts(process);
    }
}

impl Processes {
    /// A variable of rc.conf(5): one shell reads all of them.
    pub(super) fn rc_variable(&self) {
        first(&self.has_read_rc_conf, "sh");
    }

    /// rc.conf(5) has been written.
    pub(super) fn forget_rc_conf(&self) {
        self.has_read_rc_conf.set(false);
    }

    pub(super) fn service(&self, name: &str) {
        if name == SERVICE || Front::ALL.iter().any(|front| front.service == name) {
            // The folders that scripts lie in.
            self.rc_variable();
        } else {
            operation::starts("service");
        }
    }

    /// A request; `is_own` if it is for this host itself and carries nothing.
    pub(super) fn web(&self, is_own: bool) {
        if is_own { first(&self.has_web_child, "web") } else { operation::starts("web") }
    }

    pub(super) fn resolve(&self) {
        first(&self.has_resolver, "resolve");
    }

    /// One for each user in turn.
    pub(super) fn binds(&self, probes: &[BindProbe]) {
        let user = |probe: &BindProbe| (probe.uid, probe.gid, probe.groups.clone());
        probes.chunk_by(|one, next| user(one) == user(next)).for_each(|_| operation::starts("bind"));
    }
}
