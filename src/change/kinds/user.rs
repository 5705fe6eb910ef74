//! An account of the system.

use crate::change::kind::prelude::*;
use crate::host::{Group, User};

/// Adds an account without a password, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddUser {
    /// The account.
    pub user: User,
}

/// Removes an account, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveUser {
    /// The account, as it was.
    pub user: User,
}

impl Kind for AddUser {
    named!(ErrorCode::Account, "user");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::User(self.user.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::User(self.user.clone()))
    }

    fn detail(&self) -> String {
        let User { uid, gid, home, shell, .. } = &self.user;
        format!("uid {uid}, gid {gid}, home {}, shell {}", home.display(), shell.display())
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.host.add_user(&self.user)?)
    }
}

impl Kind for RemoveUser {
    named!(ErrorCode::Account, "user");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::User(self.user.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Absent)
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.host.delete_user(&self.user.name)?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        let user = &self.user;
        if *prior != Prior::Present || host.user(&user.name)?.is_some() {
            return Ok(());
        }
        // pw(8) has removed the group of that name, too.
        if host.group_by_id(user.gid)?.is_none() {
            host.add_group(&Group { name: user.name.clone(), gid: user.gid })?;
        }
        host.add_user(user)
    }
}
