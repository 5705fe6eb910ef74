//! Accounts: the texts of `/etc/master.passwd`, `/etc/passwd` and `/etc/group`, and pw(8), with the refusals and exit
//! statuses seen on FreeBSD 13.2. The hashed databases of pwd_mkdb(8) are not modelled.

use std::path::PathBuf;

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
                // class, change and expire are between them
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

/// The text of `/etc/passwd` that pwd_mkdb(8) makes of master.passwd(5): no password, class, change or expire.
pub(super) fn passwd(master: &str) -> String {
    let line = |line: &str| match line.split(':').collect::<Vec<_>>()[..] {
        [name, _, uid, gid, _, _, _, gecos, home, shell] => {
            format!("{name}:*:{uid}:{gid}:{gecos}:{home}:{shell}\n")
        }
        _ => format!("{line}\n"),
    };
    master.lines().map(line).collect()
}

fn set_master(machine: &mut Machine, master: &str) -> Result<(), HostError> {
    machine.set_text(MASTER, master, 0o600)?;
    machine.set_text(PASSWD, &passwd(master), 0o644)
}

/// All accounts.
pub(super) fn users(machine: &Machine) -> Result<Vec<User>, HostError> {
    Ok(users_in(&machine.text(MASTER)?))
}

/// All groups.
pub(super) fn groups(machine: &Machine) -> Result<Vec<Group>, HostError> {
    Ok(groups_in(&machine.text(GROUP)?))
}

/// The groups of a user, its primary one first.
pub(super) fn groups_of(machine: &Machine, user: &User) -> Result<Vec<u32>, HostError> {
    let text = machine.text(GROUP)?;
    let listing = entries(&text)
        .filter(|fields| fields.get(3).is_some_and(|members| members.split(',').any(|member| member == user.name)));
    let others = listing.filter_map(|fields| fields.get(2)?.parse().ok()).filter(|gid| *gid != user.gid);
    Ok([user.gid].into_iter().chain(others).collect())
}

fn check_name(command: &str, name: &str) -> Result<(), HostError> {
    let bad = name.char_indices().find(|(at, character)| {
        (*at == 0 && *character == '-') || character.is_control() || BAD_CHARACTERS.contains(*character)
    });
    let text = match bad {
        Some((at, character)) => {
            format!("pw: invalid character `{character}' at position {at} in userid/group name")
        }
        None if name.is_empty() || name.len() > NAME_LIMIT => {
            format!("pw: name too long `{name}' (max is {NAME_LIMIT})")
        }
        None => return Ok(()),
    };
    Err(command_failed(command, EX_DATAERR, text))
}

/// Refuses a name or a number that another entry has.
fn check_free(
    command: &str,
    there: impl IntoIterator<Item = (String, u32)>,
    (name, id): (&str, u32),
    [names, ids]: [&str; 2],
) -> Result<(), HostError> {
    let taken = there.into_iter().find_map(|(its_name, its_id)| match () {
        () if its_name == name => Some(format!("pw: {names} `{name}' already exists")),
        () => (its_id == id).then(|| format!("pw: {ids} `{id}' has already been allocated")),
    });
    taken.map_or(Ok(()), |text| Err(command_failed(command, EX_DATAERR, text)))
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
    let there = groups_in(&text).into_iter().map(|there| (there.name, there.gid));
    check_free(&command, there, (&group.name, group.gid), ["group name", "gid"])?;
    machine.set_text(GROUP, &with_line(&text, &format!("{}:*:{}:", group.name, group.gid)), 0o644)
}

/// `pw groupdel NAME`; a missing group is not an error.
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
    let there = users_in(&master).into_iter().map(|there| (there.name, there.uid));
    check_free(&command, there, (name, *uid), ["login name", "uid"])?;
    if !groups(machine)?.iter().any(|group| group.gid == *gid) {
        return Err(command_failed(command, EX_NOUSER, format!("pw: group `{gid}' is not defined")));
    }
    if gecos.contains([':', '\n']) {
        return Err(command_failed(command, EX_DATAERR, "pw: invalid character in gecos field"));
    }
    let line = format!("{name}:*:{uid}:{gid}::0:0:{gecos}:{home}:{shell}");
    set_master(machine, &with_line(&master, &line))
}

/// `pw userdel NAME`, which also removes the user's own group if nobody else is in it; a missing account is not an
/// error.
pub(super) fn delete_user(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let master = machine.text(MASTER)?;
    if !users_in(&master).iter().any(|user| user.name == name) {
        return Ok(());
    }
    set_master(machine, &without_entry(&master, name))?;
    let old = machine.text(GROUP)?;
    let new: String = old.split_inclusive('\n').filter_map(|line| group_line_without(line, name)).collect();
    if new == old { Ok(()) } else { machine.set_text(GROUP, &new, 0o644) }
}

/// A line of group(5) without a member; `None` if the group was that user's own and has no other member.
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
