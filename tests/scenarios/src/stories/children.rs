//! What runs as somebody else.

use gts_bootstrap::host::{Invocation, NEVER, Owner};

use super::said;
use crate::bench::{Bench, NOBODY, ensure};

/// Session, process and terminal as ps(1) has them, whether there is a terminal, the groups, and the limit for core dumps.
const LOOK: &str = "ps -o sid= -o pid= -o tty= -p $$; if (: </dev/tty) 2>/dev/null; then echo terminal; else echo none; fi; \
                    id -G; ulimit -c";

pub(super) fn have_no_terminal(bench: &Bench) -> Result<(), String> {
    let look = Invocation {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), LOOK.into()],
        environment: Vec::new(),
        owner: Owner { uid: NOBODY, gid: NOBODY },
        directory: "/".into(),
        secret_argument: None,
        limit: None,
    };
    let output = bench.host()?.run_as(&look, NEVER).map_err(said)?;
    let words: Vec<&str> = output.stdout.split_whitespace().collect();
    let [session, pid, terminal, opened, group, core] = words[..] else {
        return Err(format!("a child says {:?} and {:?}", output.stdout, output.stderr));
    };
    ensure(session == pid, format!("the child {pid} is in session {session}"))?;
    ensure(["-", "?", "??"].contains(&terminal), format!("the child has the terminal {terminal}"))?;
    ensure(opened == "none", "the child can open /dev/tty")?;
    ensure(group == NOBODY.to_string(), format!("the child is in group {group}"))?;
    ensure(core == "0", format!("the child may leave a core dump of {core} blocks"))
}
