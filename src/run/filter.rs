//! A change of the filters: planned, tested by the front, applied with a reload, and taken back if anything fails.

use super::{Exit, Run, Stop, With};
use crate::change::Plan;
use crate::error_code::ErrorCode;
use crate::parts::filter::{self, State};
use crate::parts::front;

pub use super::filter_edit::{Edited, FilterWish, edit};

/// Changes the filters. With `force` even so that the instance is cut off from other servers.
///
/// # Errors
/// It was refused, or failed.
pub fn change(run: &Run<'_>, wish: &FilterWish, force: bool) -> Result<Exit, Stop> {
    run.for_root("change the filters")?;
    run.settle()?;
    let (host, layout) = (run.observe(), &run.layout);
    let make = || -> Result<(Edited, Plan), Stop> {
        let refused = |why: String| Stop::new(Exit::Usage, ErrorCode::Filter, why);
        let state = State::read(host, layout).map_err(refused)?;
        let edited = edit(&state, wish, force, layout).map_err(refused)?;
        let front = front::present(host)?;
        let plan = filter::plan(host, layout, &edited.files, &edited.state, front).map_err(Stop::failed)?;
        Ok((edited, plan))
    };
    let (edited, plan) = make()?;
    edited.dangers.iter().for_each(|danger| run.warn(&danger.text));
    run.show(&plan, "Plan: filters", "Nothing to change: the rules are so already.");
    if run.carry_out(&plan, &EXPLANATION, &|| Ok(make()?.1), With::default())? {
        edited.said.iter().for_each(|line| run.line(line));
    }
    Ok(Exit::Done)
}

/// What the consent's "explain" says.
const EXPLANATION: [&str; 1] = [
    "The rules are stored in one file, whichever web server is in front. The web server tests \
     its new configuration before it reloads, without dropping a connection; if anything fails, the old rules are restored.",
];
