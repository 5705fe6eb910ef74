//! A group.

use crate::change::kind::prelude::*;
use crate::host::Group;

/// Adds a group, or removes one, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChange<const WANTED: bool> {
    /// The group as it will be, or as it was.
    pub group: Group,
}

/// Adds a group.
pub type AddGroup = GroupChange<true>;
/// Removes a group.
pub type RemoveGroup = GroupChange<false>;

impl<const WANTED: bool> Kind for GroupChange<WANTED> {
    named!(ErrorCode::Account, "group", "group", "user");

    fn effect(&self) -> Option<(Thing, Left)> {
        let left = if WANTED { Left::Group(self.group.clone()) } else { Left::Absent };
        Some((Thing::Group(self.group.name.clone()), left))
    }

    fn detail(&self) -> String {
        if WANTED { format!("gid {}", self.group.gid) } else { String::new() }
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, group) = (executor.host, &self.group);
        let changed = if WANTED { host.add_group(group) } else { host.delete_group(&group.name) };
        Ok(changed?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        match (WANTED, prior) {
            (true, Prior::Absent) => host.delete_group(&self.group.name),
            (false, Prior::Present) if host.group(&self.group.name)?.is_none() => host.add_group(&self.group),
            _ => Ok(()),
        }
    }
}
