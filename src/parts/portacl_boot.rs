//! What decides who may bind which port, gathered from a host: now, and at the next boot.

use std::path::Path;

use super::port_access::MODULE;
use super::{portacl_rc_list, rc_script};
use crate::host::{Entry, HostError, Jail, Observe};
use crate::portacl::{Assignment, BootScope, BootSettings, Guard, Place, Policy, State, Variable, parse_kernel};
use crate::sysconf::loader_files::{self, LoaderFile};
use crate::sysconf::{loader_conf, sysctl_conf};

const SYSCTL_CONF: [&str; 2] = ["/etc/sysctl.conf", "/etc/sysctl.conf.local"];
const KLD_CONF: &str = "/etc/sysctl.kld.d/mac_portacl.conf";
const SCRIPTS: &str = "/usr/local/etc/rc.d";

#[cfg(test)]
mod tests;

/// What is in force now.
///
/// # Errors
/// A sysctl cannot be read, or is not what the kernel could have: [`HostError::Unreadable`] for a list of rules that
/// does not parse, and for a number that is none.
pub fn now(host: &dyn Observe) -> Result<State, HostError> {
    let number = |variable: Variable, default: i32| -> Result<i32, HostError> {
        let Some(text) = host.sysctl(variable.name())? else { return Ok(default) };
        text.trim().parse().map_err(|_| HostError::Unreadable { what: format!("sysctl {variable}"), text })
    };
    let fresh = Policy::default();
    let loaded = host.module_loaded(MODULE)?;
    let list = if loaded { host.sysctl(Variable::Rules.name())?.unwrap_or_default() } else { String::new() };
    let rules = parse_kernel(&list).map_err(|refusal| HostError::Unreadable {
        what: format!("sysctl {}", Variable::Rules),
        text: format!("“{list}” cannot be in the kernel: {refusal}"),
    })?;
    Ok(State {
        policy: Policy {
            loaded,
            enabled: number(Variable::Enabled, fresh.enabled)?,
            suser_exempt: number(Variable::SuserExempt, fresh.suser_exempt)?,
            autoport_exempt: number(Variable::AutoportExempt, fresh.autoport_exempt)?,
            port_high: number(Variable::PortHigh, fresh.port_high)?,
            rules,
            reservedlow: number(Variable::ReservedLow, fresh.reservedlow)?,
            reservedhigh: number(Variable::ReservedHigh, fresh.reservedhigh)?,
        },
        list,
    })
}

/// Everything that has a say at the next boot.
///
/// # Errors
/// The host could not be read.
pub fn settings(host: &dyn Observe) -> Result<BootSettings, HostError> {
    let system = host.system()?;
    let mut sysctl_conf = Vec::new();
    for file in SYSCTL_CONF {
        sysctl_conf.extend(sysctl_file(host, file)?);
    }
    let mut settings = BootSettings {
        scope: match system.jail {
            Jail::No => BootScope::Host,
            Jail::Shared => BootScope::SharedJail { now: now(host)? },
            Jail::Vnet => BootScope::VnetJail { now: now(host)? },
        },
        osreldate: system.osreldate,
        sysctl_conf,
        guard: guard(host)?,
        ..BootSettings::default()
    };
    // The rest is the host's: a jail has no loader, and rc.d/kld and portacl-rc say KEYWORD nojail.
    if system.jail == Jail::No {
        let files = loader_files(host)?;
        settings.compiled_in = compiled_in(host)?;
        settings.loader = loader_files::modules(&files).contains(MODULE);
        settings.tunables = tunables(&files);
        settings.kld_list = kld_list(host)?;
        settings.kld_conf = sysctl_file(host, KLD_CONF)?;
        settings.portacl_rc = portacl_rc_list::settings(host)?;
    }
    Ok(settings)
}

fn loader_files(host: &dyn Observe) -> Result<Vec<LoaderFile>, HostError> {
    let text = |path: &Path| match host.entry(path)? {
        Some(Entry::File { .. } | Entry::Symlink { .. }) => host.read(path),
        _ => Ok(None),
    };
    loader_files::read(text, |folder| host.list(folder))
}

/// `kern.conftxt` is the kernel's own configuration file, where that has `INCLUDE_CONFIG_FILE` as GENERIC does.
fn compiled_in(host: &dyn Observe) -> Result<bool, HostError> {
    let text = host.sysctl("kern.conftxt")?.unwrap_or_default();
    Ok(text.lines().any(|line| line.split_whitespace().eq(["options", "MAC_PORTACL"])))
}

/// The word that names the module: as such, as a file, or as a path.
fn kld_list(host: &dyn Observe) -> Result<Option<String>, HostError> {
    let list = host.rc_variable("kld_list")?.unwrap_or_default();
    let names_it = |word: &&str| {
        let file = word.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".ko").unwrap_or(file) == MODULE
    };
    Ok(list.split_whitespace().find(names_it).map(str::to_owned))
}

fn tunables(files: &[LoaderFile]) -> Vec<Assignment> {
    let mut tunables = Vec::new();
    for file in files {
        for variable in Variable::all() {
            let name = variable.name();
            let Some(value) = loader_conf::get(&file.text, name) else { continue };
            let line = loader_conf::line_of(&file.text, name).unwrap_or_default();
            let place = Place { file: file.path.clone(), line };
            tunables.push(Assignment { variable, value, place, overlong: None });
        }
    }
    tunables
}

fn sysctl_file(host: &dyn Observe, file: &str) -> Result<Vec<Assignment>, HostError> {
    let text = host.read(Path::new(file))?.unwrap_or_default();
    Ok(sysctl_conf::settings(&text)
        .into_iter()
        .filter_map(|setting| {
            Some(Assignment {
                variable: Variable::from_name(&setting.name)?,
                value: setting.value,
                place: Place { file: file.to_owned(), line: setting.line },
                overlong: Some(setting.length).filter(|&length| length > sysctl_conf::LINE_LIMIT),
            })
        })
        .collect())
}

fn guard(host: &dyn Observe) -> Result<Guard, HostError> {
    const VARIABLE: &str = "gts_portacl_guard_reservedhigh";
    let enabled = host.rc_is_yes("gts_portacl_guard_enable")?;
    let there = |name: &str| -> Result<bool, HostError> {
        let entry = host.entry(&Path::new(SCRIPTS).join(name))?;
        Ok(enabled && matches!(entry, Some(Entry::File { mode, .. }) if mode & 0o111 != 0))
    };
    let early = there(rc_script::GUARDS[0])?;
    let text = host.rc_variable(VARIABLE)?.filter(|text| !text.is_empty()).unwrap_or_else(|| "1023".to_owned());
    Ok(Guard { early, late: early && there(rc_script::GUARDS[1])?, reservedhigh: text.trim().parse().ok() })
}
