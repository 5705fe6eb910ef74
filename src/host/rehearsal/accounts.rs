//! Accounts: `/etc/master.passwd`, `/etc/passwd` and `/etc/group` as text, and pw(8) on them, with its refusals and
//! exit statuses as seen on FreeBSD 13.2. The databases that pwd_mkdb(8) makes of them are not modelled.

use std::path::{Path, PathBuf};

use super::super::{Group, HostError, User};
use super::machine::{Machine, command_failed};

const MASTER: &str = "/etc/master.passwd";
const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// `EX_DATAERR` of sysexits(3): name or number is taken, or there is no such group.
const EX_DATAERR: i32 = 65;
/// `EX_NOUSER`.
const EX_NOUSER: i32 = 67;

/// Characters that `pw_checkname()` in `usr.sbin/pw/pw_user.c` refuses in a name.
const BAD_CHARACTERS: &str = " ,\t:+&#%$^()!@~*?<>=|\\/\";";
/// `MAXLOGNAME` less one.
const NAME_LIMIT: usize = 32;

/// The lines of a colon-separated database that are entries, split into their fields.
fn entries(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().filter(|line| !line.starts_with(['#', '+', '-']) && line.contains(':')).map(|l| l.split(':').collect())
}

fn users_in(text: &str) -> Vec<User> {
    entries(text)
        .filter_map(|fields| {
            Some(User {
                name: (*fields.first()?).to_string(),
                uid: fields.get(2)?.parse().ok()?,
                gid: fields.get(3)?.parse().ok()?,
                // class, change and expire stand between
                gecos: (*fields.get(7)?).to_string(),
                home: PathBuf::from(fields.get(8)?),
                shell: PathBuf::from(fields.get(9)?),
            })
        })
        .collect()
}

fn groups_in(text: &str) -> Vec<Group> {
    entries(text)
        .filter_map(|fields| Some(Group { name: (*fields.first()?).to_string(), gid: fields.get(2)?.parse().ok()? }))
        .collect()
}

/// All accounts.
pub(super) fn users(machine: &Machine) -> Result<Vec<User>, HostError> {
    Ok(users_in(&machine.text(MASTER)?))
}

/// All groups.
pub(super) fn groups(machine: &Machine) -> Result<Vec<Group>, HostError> {
    Ok(groups_in(&machine.text(GROUP)?))
}

/// The groups that a user is in besides its own.
pub(super) fn supplementary_groups(machine: &Machine, user: &str) -> Result<Vec<u32>, HostError> {
    Ok(entries(&machine.text(GROUP)?)
        .filter(|fields| fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user)))
        .filter_map(|fields| fields.get(2)?.parse().ok())
        .collect())
}

fn check_name(command: &str, name: &str) -> Result<(), HostError> {
    let bad = name.char_indices().find(|(at, character)| {
        (*at == 0 && *character == '-') || character.is_control() || BAD_CHARACTERS.contains(*character)
    });
    if let Some((at, character)) = bad {
        let text = format!("pw: invalid character `{character}' at position {at} in userid/group name");
        return Err(command_failed(command, EX_DATAERR, text));
    }
    if name.is_empty() || name.len() > NAME_LIMIT {
        return Err(command_failed(command, EX_DATAERR, format!("pw: name too long `{name}' (max is {NAME_LIMIT})")));
    }
    Ok(())
}

fn with_line(text: &str, line: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{line}\n")
}

fn without_entry(text: &str, name: &str) -> String {
    text.split_inclusive('\n').filter(|line| line.split(':').next() != Some(name)).collect()
}

/// `pw groupadd NAME -g GID`.
pub(super) fn add_group(machine: &mut Machine, group: &Group) -> Result<(), HostError> {
    let command = format!("pw groupadd {} -g {}", group.name, group.gid);
    check_name(&command, &group.name)?;
    let text = machine.text(GROUP)?;
    for there in groups_in(&text) {
        if there.name == group.name {
            let text = format!("pw: group name `{}' already exists", group.name);
            return Err(command_failed(command, EX_DATAERR, text));
        }
        if there.gid == group.gid {
            let text = format!("pw: gid `{}' has already been allocated", group.gid);
            return Err(command_failed(command, EX_DATAERR, text));
        }
    }
    machine.set_text(GROUP, &with_line(&text, &format!("{}:*:{}:", group.name, group.gid)), 0o644)
}

/// `pw groupdel NAME`, where a group that is not there is no error.
pub(super) fn delete_group(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let text = machine.text(GROUP)?;
    if !groups_in(&text).iter().any(|group| group.name == name) {
        return Ok(());
    }
    machine.set_text(GROUP, &without_entry(&text, name), 0o644)
}

/// `pw useradd` with no password.
pub(super) fn add_user(machine: &mut Machine, user: &User) -> Result<(), HostError> {
    let User { name, uid, gid, gecos, home, shell } = user;
    let (home, shell) = (home.display(), shell.display());
    let command = format!("pw useradd {name} -u {uid} -g {gid} -c '{gecos}' -d {home} -s {shell}");
    check_name(&command, name)?;
    let master = machine.text(MASTER)?;
    for there in users_in(&master) {
        if there.name == *name {
            let text = format!("pw: login name `{name}' already exists");
            return Err(command_failed(command, EX_DATAERR, text));
        }
        if there.uid == *uid {
            let text = format!("pw: uid `{uid}' has already been allocated");
            return Err(command_failed(command, EX_DATAERR, text));
        }
    }
    if !groups(machine)?.iter().any(|group| group.gid == *gid) {
        return Err(command_failed(command, EX_NOUSER, format!("pw: group `{gid}' is not defined")));
    }
    if gecos.contains([':', '\n']) {
        return Err(command_failed(command, EX_DATAERR, "pw: invalid character in gecos field"));
    }
    let line = format!("{name}:*:{uid}:{gid}::0:0:{gecos}:{home}:{shell}");
    machine.set_text(MASTER, &with_line(&master, &line), 0o600)?;
    let passwd = machine.text(PASSWD)?;
    let line = format!("{name}:*:{uid}:{gid}:{gecos}:{home}:{shell}");
    machine.set_text(PASSWD, &with_line(&passwd, &line), 0o644)
}

/// `pw userdel NAME`, which takes the user's own group along if nobody else is in it; an account that is not there is
/// no error.
pub(super) fn delete_user(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let master = machine.text(MASTER)?;
    if !users_in(&master).iter().any(|user| user.name == name) {
        return Ok(());
    }
    machine.set_text(MASTER, &without_entry(&master, name), 0o600)?;
    let passwd = machine.text(PASSWD)?;
    machine.set_text(PASSWD, &without_entry(&passwd, name), 0o644)?;
    let old = machine.text(GROUP)?;
    let new: String = old.split_inclusive('\n').filter_map(|line| group_line_without(line, name)).collect();
    if new != old {
        machine.set_text(Path::new(GROUP), &new, 0o644)?;
    }
    Ok(())
}

/// A line of group(5) without a member; `None` where the group was that user's own and has no other member.
fn group_line_without(line: &str, name: &str) -> Option<String> {
    let (entry, end) = line.strip_suffix('\n').map_or((line, ""), |entry| (entry, "\n"));
    let mut fields: Vec<&str> = entry.split(':').collect();
    let Some(members) = fields.get(3).filter(|_| !entry.starts_with('#')) else { return Some(line.to_string()) };
    let others: Vec<&str> = members.split(',').filter(|member| *member != name && !member.is_empty()).collect();
    if fields[0] == name && others.is_empty() {
        return None;
    }
    let others = others.join(",");
    fields[3] = &others;
    Some(format!("{}{end}", fields.join(":")))
}
