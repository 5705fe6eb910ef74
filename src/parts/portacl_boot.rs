//! Everything on a host that decides who may bind which port: now, and at the next boot.

use std::path::{Path, PathBuf};

use super::port_settings::{MODULE, SYSCTL_CONF, SYSCTL_CONF_LOCAL, SYSCTL_KLD};
use super::{portacl_rc_list, rc_script};
use crate::host::{Entry, HostError, Jail, Observe};
use crate::portacl::{Assignment, BootScope, BootSettings, Guard, Place, Policy, State, Variable, parse_kernel};
use crate::sysconf::loader_files::{self, LoaderFile};
use crate::sysconf::{loader_conf, sysctl_conf};

#[cfg(test)]
mod tests;

/// What is in force now.
///
/// # Errors
/// A sysctl cannot be read, or is not what the kernel could have: [`HostError::Unreadable`] for a list of rules that
/// does not parse, and for something else than a number.
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

/// Everything that decides at the next boot.
///
/// # Errors
/// The host could not be read.
pub fn settings(host: &dyn Observe) -> Result<BootSettings, HostError> {
    let system = host.system()?;
    let mut settings = BootSettings {
        scope: match system.jail {
            Jail::No => BootScope::Host,
            Jail::Shared => BootScope::SharedJail { now: now(host)? },
            Jail::Vnet => BootScope::VnetJail { now: now(host)? },
        },
        osreldate: system.osreldate,
        sysctl_conf: [sysctl_file(host, SYSCTL_CONF)?, sysctl_file(host, SYSCTL_CONF_LOCAL)?].concat(),
        guard: guard(host)?,
        ..BootSettings::default()
    };
    // The rest belongs to the host: a jail has no loader, and rc.d/kld and portacl-rc say KEYWORD nojail.
    if system.jail == Jail::No {
        let text = |path: &Path| match host.entry(path)? {
            Some(Entry::File { .. } | Entry::Symlink { .. }) => host.read(path),
            _ => Ok(None),
        };
        let files = loader_files::read(text, |folder| host.list(folder))?;
        settings.kld_list = kld_list(host)?;
        let configuration = host.sysctl("kern.conftxt")?.unwrap_or_default();
        settings.compiled_in = compiles_in(&configuration);
        // A kernel that does not tell its configuration may have in it what is there now.
        let may_be_in = configuration.trim().is_empty() && host.module_loaded(MODULE)?;
        let is_in = settings.compiled_in || may_be_in;
        settings.missing_in = if is_in { None } else { missing_in(host, settings.kld_list.as_deref())? };
        settings.loader = loader_files::modules(&files).contains(MODULE);
        settings.tunables = tunables(&files);
        settings.kld_conf = sysctl_file(host, SYSCTL_KLD)?;
        settings.portacl_rc = portacl_rc_list::settings(host)?;
    }
    Ok(settings)
}

/// `kern.conftxt` is the kernel's own configuration file, where that has `INCLUDE_CONFIG_FILE` as GENERIC does.
fn compiles_in(configuration: &str) -> bool {
    configuration.lines().any(|line| line.split_whitespace().eq(["options", "MAC_PORTACL"]))
}

/// Where the kernel looks for modules, if it finds this one in none of these folders, nor where `kld_list` names it with its
/// path. A kernel update can leave it out, and so can a kernel of one's own.
fn missing_in(host: &dyn Observe, kld_list: Option<&str>) -> Result<Option<String>, HostError> {
    let folders = host.sysctl("kern.module_path")?.unwrap_or_else(|| "/boot/kernel;/boot/modules".to_owned());
    let in_folders = folders.split(';').filter(|folder| folder.starts_with('/')).flat_map(|folder| {
        let file = Path::new(folder).join(MODULE);
        // loader(8) unpacks what it loads.
        [file.with_extension("ko"), file.with_extension("ko.gz")]
    });
    let named = kld_list.filter(|word| word.starts_with('/')).map(PathBuf::from);
    for file in in_folders.chain(named) {
        if host.entry(&file)?.is_some() {
            return Ok(None);
        }
    }
    Ok(Some(folders.replace(';', ", ")))
}

/// The word that names the module: as such, as a file, or as a path.
fn kld_list(host: &dyn Observe) -> Result<Option<String>, HostError> {
    let list = host.rc_variable("kld_list")?.unwrap_or_default();
    let is_module = |file: &str| file.strip_suffix(".ko").unwrap_or(file) == MODULE;
    let names_it = |word: &&str| word.rsplit('/').next().is_some_and(is_module);
    Ok(list.split_whitespace().find(names_it).map(str::to_owned))
}

fn tunables(files: &[LoaderFile]) -> Vec<Assignment> {
    let tunable = |file: &LoaderFile, variable: Variable| {
        let found = loader_conf::FILE.find(&file.text, variable.name())?;
        let place = Place { file: file.path.clone(), line: found.line };
        Some(Assignment { variable, value: found.value, place, overlong: None })
    };
    files.iter().flat_map(|file| Variable::all().filter_map(|it| tunable(file, it))).collect()
}

fn sysctl_file(host: &dyn Observe, file: &str) -> Result<Vec<Assignment>, HostError> {
    let text = host.read(Path::new(file))?.unwrap_or_default();
    let settings = sysctl_conf::FILE.settings(&text).into_iter().filter_map(|setting| {
        Some(Assignment {
            variable: Variable::from_name(&setting.name)?,
            value: setting.value,
            place: Place { file: file.to_owned(), line: setting.line },
            overlong: Some(setting.length).filter(|&length| length > sysctl_conf::LINE_LIMIT),
        })
    });
    Ok(settings.collect())
}

fn guard(host: &dyn Observe) -> Result<Guard, HostError> {
    let enabled = host.rc_is_yes(rc_script::GUARD_ENABLE)?;
    let runs = |name| {
        let entry = host.entry(&rc_script::path(name))?;
        Ok::<_, HostError>(enabled && matches!(entry, Some(Entry::File { mode, .. }) if mode & 0o111 != 0))
    };
    let early = runs(rc_script::GUARDS[0])?;
    let text = host.rc_variable("gts_portacl_guard_reservedhigh")?.filter(|text| !text.is_empty());
    let reservedhigh = text.unwrap_or_else(|| "1023".to_owned()).trim().parse().ok();
    Ok(Guard { early, late: early && runs(rc_script::GUARDS[1])?, reservedhigh })
}
