//! An account of the system.

use crate::change::kind::prelude::*;
use crate::host::{Group, User};
use crate::shown::Shown;

/// Adds an account without a password, or removes one, pw(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserChange<const WANTED: bool> {
    /// The account as it will be, or as it was.
    pub user: User,
}

/// Adds an account.
pub type AddUser = UserChange<true>;
/// Removes an account.
pub type RemoveUser = UserChange<false>;

impl<const WANTED: bool> Kind for UserChange<WANTED> {
    named!(ErrorCode::Account, "user");

    fn effect(&self) -> Option<(Thing, Left)> {
        let left = if WANTED { Left::User(self.user.clone()) } else { Left::Absent };
        Some((Thing::User(self.user.name.clone()), left))
    }

    fn detail(&self) -> String {
        let User { uid, gid, home, shell, .. } = &self.user;
        let detail = || format!("uid {uid}, gid {gid}, home {}, shell {}", home.shown(), shell.shown());
        if WANTED { detail() } else { String::new() }
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        let (host, user) = (executor.host, &self.user);
        let changed = if WANTED { host.add_user(user) } else { host.delete_user(&user.name) };
        Ok(changed?)
    }

    fn undo(&self, host: &dyn Host, prior: &Prior) -> Result<(), HostError> {
        let user = &self.user;
        match (WANTED, prior) {
            (true, Prior::Absent) => host.delete_user(&user.name),
            (false, Prior::Present) if host.user(&user.name)?.is_none() => {
                // pw(8) has removed the group of that name, too.
                if host.group_by_id(user.gid)?.is_none() {
                    host.add_group(&Group { name: user.name.clone(), gid: user.gid })?;
                }
                host.add_user(user)
            }
            _ => Ok(()),
        }
    }
}
