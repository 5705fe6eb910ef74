//! The way back of a web server in front: out of its configuration, stopped if we have enabled it, its package removed if we
//! have installed it and nobody else uses it.

use super::{Record, UninstallPlan};
use crate::change::front as changes;
use crate::change::{Change, Left, Prior, Step, Thing};
use crate::front::Front;
use crate::host::Whose;
use crate::parts::Refusal;
use crate::parts::front::{FrontPlan, is_there, leave};
use crate::shown::Shown;

/// The part: its steps rest on one another.
pub(super) const PART: &str = "front";

impl Record<'_> {
    /// Plans it for every front. The second value comes after our files have gone.
    ///
    /// # Errors
    /// The host cannot be read.
    pub(super) fn fronts(self) -> Result<(UninstallPlan, Vec<Step>), Refusal> {
        let (mut planned, mut last) = (UninstallPlan::default(), Vec::new());
        for front in Front::ALL {
            last.extend(self.front(front, &mut planned)?);
        }
        Ok((planned, last))
    }

    fn front(self, front: Front, planned: &mut UninstallPlan) -> Result<Option<Step>, Refusal> {
        let Self { host, ledger, .. } = self;
        let (name, service, main) = (front.name, front.service, front.main_file());
        let now = host.read_of(&main, Whose::Folder)?;
        let without = now.as_ref().map(|_| changes::edited(host, front, false)).transpose();
        let included = match without {
            Ok(without) => now != without,
            Err(why) => {
                if ledger.path(&main).is_some() {
                    planned.by_hand.push(format!(
                        "{} cannot be read as {name} reads it ({why}): take out the line that includes gts-bootstrap",
                        main.shown()
                    ));
                }
                return Ok(None);
            }
        };
        let mut left = FrontPlan::default();
        if is_there(host, front)? || (included && ledger.path(&main).is_some()) {
            leave::plan(host, front, true, &mut left)?;
            // Its own files are removed with all others; of the rest the include line has to go first.
            left.clear.retain(|step| matches!(step.change, Change::FrontInclude(_)));
        }
        let steps = [left.prepare, left.unset, left.leave, left.clear].concat();
        // Some fronts read what is beside our site without a line of ours.
        if !front.reads_beside && included {
            planned.by_hand.extend(leave::sites_beside(host, front)?.iter().map(|path| {
                format!(
                    "{} is not gts-bootstrap's, and {name} includes it by the line that is removed: move it, and include it in {}",
                    path.shown(),
                    main.shown()
                )
            }));
        }
        let stops = steps.iter().any(|step| matches!(&step.change, Change::ServiceStop(stop) if stop.name == service));
        let continues = !stops && !steps.is_empty() && host.service(service)?.is_running();
        planned.plan.steps.extend(steps);
        let installed = ledger
            .of(&Thing::Package(service.to_owned()))
            .is_some_and(|trace| trace.origin == Prior::Absent && trace.left == Left::Present);
        if installed && host.package(service)?.is_some() {
            let package = leave::package_for_good(host, front, stops)?;
            if package.is_none() {
                planned.needed.push(format!(
                    "{name}, which gts-bootstrap installed, has other sites or settings by now. If it is not needed: \
                     service {service} onestop; pkg delete {service}"
                ));
            }
            return Ok(package);
        }
        if continues {
            planned.needed.push(format!("{name} continues with its other sites"));
        }
        Ok(None)
    }
}
