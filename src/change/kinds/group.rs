//! A group.

use crate::change::kind::prelude::*;
use crate::host::Group;

/// Adds a group, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddGroup {
    /// The group.
    pub group: Group,
}

/// Removes a group, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveGroup {
    /// The group, as it was.
    pub group: Group,
}

impl Kind for AddGroup {
    named!(ErrorCode::Account, "group", "group", "user");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Group(self.group.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Group(self.group.clone()))
    }

    fn detail(&self) -> String {
        format!("gid {}", self.group.gid)
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.host.add_group(&self.group)?)
    }
}

impl Kind for RemoveGroup {
    named!(ErrorCode::Account, "group", "group", "user");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Group(self.group.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Absent)
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.host.delete_group(&self.group.name)?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        if *prior == Prior::Present && host.group(&self.group.name)?.is_none() {
            host.add_group(&self.group)?;
        }
        Ok(())
    }
}
