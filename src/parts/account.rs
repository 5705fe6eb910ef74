//! The account that GoToSocial runs as: `gotosocial`, uid and gid 209 as registered in FreeBSD's ports.

use std::path::PathBuf;

use super::Refusal;
use crate::change::{Action, AddGroup, AddUser, Step};
use crate::host::{Group, HostError, Observe, Owner, User};

/// Name of the user and of its group.
pub const NAME: &str = "gotosocial";
/// Uid and gid that the ports tree's `UIDs` and `GIDs` files register for the name.
pub const ID: u32 = 209;

/// The uid and gid of the account, if it is there.
///
/// # Errors
/// The user database cannot be read.
pub fn owner(host: &dyn Observe) -> Result<Option<Owner>, HostError> {
    Ok(host.user(NAME)?.map(|user| Owner { uid: user.uid, gid: user.gid }))
}

/// What the account is going to be, and what is to be done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Uid and gid that rules and file owners follow.
    pub owner: Owner,
    /// The changes.
    pub steps: Vec<Step>,
}

/// Plans the account. One that is there already is kept, with whatever uid it has.
///
/// # Errors
/// The number or the name is taken by something else, or the account is root.
pub fn plan(host: &dyn Observe) -> Result<Account, Refusal> {
    if let Some(owner) = owner(host)? {
        if owner.uid == 0 {
            return Err(Refusal::AccountIsRoot);
        }
        return Ok(Account { owner, steps: Vec::new() });
    }
    if let Some(other) = host.user_by_id(ID)? {
        return Err(Refusal::UidTaken { name: other.name });
    }
    let mut steps = Vec::new();
    let gid = if let Some(group) = host.group(NAME)? {
        group.gid
    } else {
        if let Some(other) = host.group_by_id(ID)? {
            return Err(Refusal::GidTaken { name: other.name });
        }
        let group = Group { name: NAME.to_owned(), gid: ID };
        steps.push(Step::new("account", Action::Create, AddGroup { group }));
        ID
    };
    let user = User {
        name: NAME.to_owned(),
        uid: ID,
        gid,
        gecos: "Gotosocial user".to_owned(),
        home: PathBuf::from("/nonexistent"),
        shell: PathBuf::from("/usr/sbin/nologin"),
    };
    steps.push(Step::new("account", Action::Create, AddUser { user }));
    Ok(Account { owner: Owner { uid: ID, gid }, steps })
}
