//! The way back of a web server in front: out of its configuration, stopped where we have enabled it, its package removed
//! where we have installed it and nobody else uses it.

use super::ledger::Ledger;
use crate::change::front as changes;
use crate::change::{Change, Left, Prior, Step, StopService, Thing};
use crate::front::Front;
use crate::host::Observe;
use crate::parts::{Refusal, front as parts_front};

/// The part: its steps rest on one another.
pub(super) const PART: &str = "front";

/// The way back, around the removal of our files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Planned {
    /// Before our files go.
    pub(super) first: Vec<Step>,
    /// After they have gone.
    pub(super) last: Vec<Step>,
    pub(super) by_hand: Vec<String>,
    /// What stays because others need it.
    pub(super) needed: Vec<String>,
}

/// Plans it for both.
///
/// # Errors
/// The host cannot be read.
pub(super) fn plan(host: &dyn Observe, ledger: &Ledger) -> Result<Planned, Refusal> {
    let mut planned = Planned::default();
    for front in Front::ALL {
        let (name, service) = (front.name, front.service);
        let main = front.main_file();
        let included = match host.read(&main)? {
            Some(now) => match changes::edited(host, front, false) {
                Ok(without) => now != without,
                Err(why) => {
                    if ledger.path(&main).is_some() {
                        planned.by_hand.push(format!(
                            "{} cannot be read as {name} reads it ({why}): take out the line that includes gts-bootstrap",
                            main.display()
                        ));
                    }
                    continue;
                }
            },
            None => false,
        };
        let mut steps = Vec::new();
        if parts_front::is_there(host, front)? || (included && ledger.path(&main).is_some()) {
            let mut left = parts_front::FrontPlan::default();
            parts_front::leave::plan(host, front, true, &mut left)?;
            steps.extend(left.prepare.into_iter().chain(left.unset).chain(left.leave));
            // Its own files are removed with all others; of the rest it is the include line that has to go first.
            steps.extend(left.clear.into_iter().filter(|step| matches!(step.change, Change::FrontInclude(_))));
        }
        // Some read what is beside our site without a line of ours.
        if !front.reads_beside && included {
            planned.by_hand.extend(parts_front::leave::sites_beside(host, front)?.iter().map(|path| {
                format!(
                    "{} is not gts-bootstrap's, and {name} includes it by the line that is removed: move it, and include it in {}",
                    path.display(),
                    main.display()
                )
            }));
        }
        let stops = steps
            .iter()
            .any(|step| matches!(&step.change, Change::ServiceStop(StopService { name }) if name == service));
        let goes_on = !stops && host.service(service)?.is_running();
        let installed = ledger
            .of(&Thing::Package(service.to_owned()))
            .is_some_and(|trace| trace.origin == Prior::Absent && trace.left == Left::Present);
        if installed && host.package(service)?.is_some() {
            match parts_front::leave::package_for_good(host, front, stops)? {
                Some(step) => planned.last.push(step),
                None => planned.needed.push(format!(
                    "{name}, which gts-bootstrap installed, has other sites or settings by now. If it is not needed: \
                     service {service} stop; pkg delete {service}"
                )),
            }
        } else if goes_on && !steps.is_empty() {
            planned.needed.push(format!("{name} continues with its other sites"));
        }
        planned.first.extend(steps);
    }
    Ok(planned)
}
