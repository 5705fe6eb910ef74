//! The account that GoToSocial runs as: `gotosocial`, uid and gid 209 as registered in FreeBSD's ports.

pub use crate::gotosocial::USER as NAME;

use super::Refusal;
use crate::change::{Action, AddGroup, AddUser, Change, Step};
use crate::host::{Group, HostError, Observe, Owner, User, Whose};

/// Uid and gid that the ports tree's `UIDs` and `GIDs` files register for the name.
pub const ID: u32 = 209;

/// The uid and gid of the account, if it exists.
///
/// # Errors
/// The user database cannot be read.
pub fn owner(host: &dyn Observe) -> Result<Option<Owner>, HostError> {
    Ok(host.user(NAME)?.map(|user| Owner { uid: user.uid, gid: user.gid }))
}

/// Whose GoToSocial's data have to be.
///
/// # Errors
/// The user database cannot be read.
pub fn of_data(host: &dyn Observe) -> Result<Whose, HostError> {
    Ok(owner(host)?.map_or(Whose::ROOT, Whose::of))
}

/// Plans the account; returns its ids too, which rules and file owners follow. An account that exists is kept, whatever its uid.
///
/// # Errors
/// The number or the name is taken by something else, or the account is root.
pub fn plan(host: &dyn Observe) -> Result<(Owner, Vec<Step>), Refusal> {
    let create = |change: Change| Step::new("account", Action::Create, change);
    match owner(host)? {
        Some(Owner { uid: 0, .. }) => return Err(Refusal::AccountIsRoot),
        Some(owner) => return Ok((owner, Vec::new())),
        None => {}
    }
    if let Some(other) = host.user_by_id(ID)? {
        return Err(Refusal::UidTaken { name: other.name });
    }
    let mut steps = Vec::new();
    let gid = if let Some(group) = host.group(NAME)? {
        group.gid
    } else if let Some(other) = host.group_by_id(ID)? {
        return Err(Refusal::GidTaken { name: other.name });
    } else {
        steps.push(create(AddGroup { group: Group { name: NAME.to_owned(), gid: ID } }.into()));
        ID
    };
    let user = User {
        name: NAME.to_owned(),
        uid: ID,
        gid,
        gecos: "Gotosocial user".to_owned(),
        home: "/nonexistent".into(),
        shell: "/usr/sbin/nologin".into(),
    };
    steps.push(create(AddUser { user }.into()));
    Ok((Owner { uid: ID, gid }, steps))
}
