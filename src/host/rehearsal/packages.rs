//! pkg(8): the packages of two web servers and of PostgreSQL's programs, as their lists of files (`pkg-plist` of www/nginx, www/apache24 and
//! databases/postgresql16-client) have
//! them, shortened.
//!
//! As with the real ones, a configuration file is laid down beside its sample if there is none, and goes with the package
//! if it is still what the sample is (`@sample`). Folders that are left empty go too.

use std::path::{Path, PathBuf};

use super::super::{Entry, HostError, Owner};
use super::machine::{Machine, command_failed};

const PKG: &str = "/usr/local/sbin/pkg";
const LOCAL: &str = "/usr/local";
/// What pkg(8) exits with when it cannot do its work, `EX_SOFTWARE` or plain 1.
const FAILED: i32 = 1;

/// A package of the repository.
struct Package {
    name: String,
    /// What it needs besides `pkg`.
    files: Vec<File>,
    /// Folders that are its own even if nothing is in them.
    folders: &'static [&'static str],
}

struct File {
    path: String,
    mode: u32,
    text: String,
    /// Whether it is a sample, and of which file.
    sample_of: Option<String>,
}

fn file(path: impl Into<String>, mode: u32, text: impl Into<String>) -> File {
    File { path: path.into(), mode, text: text.into(), sample_of: None }
}

fn sample(of: String, ending: &str, text: &str) -> File {
    File { path: format!("{of}{ending}"), mode: 0o644, text: text.into(), sample_of: Some(of) }
}

const SCRIPT: &str = "#!/bin/sh\n# Stands for the package's script. A rehearsal never runs it.\n";
const PROGRAM: &str = "Stands for a program. A rehearsal never runs it.\n";
const MIME_TYPES: &str = "types {\n    text/html html htm;\n    text/css css;\n    image/webp webp;\n}\n";

/// `nginx.conf-dist`, its comments shortened.
const NGINX_CONF: &str = include_str!("packages/nginx.conf");
/// `httpd.conf.sample`, its comments shortened.
const HTTPD_CONF: &str = include_str!("packages/httpd.conf");
/// What the port puts there if no other module for the work was chosen.
const PREFORK: &str = "<IfModule !mpm_event_module>\n<IfModule !mpm_worker_module>\n<IfModule !mpm_prefork_module>\n\
LoadModule mpm_prefork_module libexec/apache24/mod_mpm_prefork.so\n</IfModule>\n</IfModule>\n</IfModule>\n";
const NO_ACCF: &str = "<IfDefine NOHTTPACCEPT>\n   AcceptFilter http none\n   AcceptFilter https none\n</IfDefine>\n";

/// The modules that lie in `libexec/apache24`, of those that a front may need.
const HTTPD_MODULES: &str = "access_compat alias allowmethods auth_basic authn_core authn_file authz_core \
authz_groupfile authz_host authz_user autoindex deflate dir env expires filter headers http2 log_config mime \
mpm_event mpm_prefork mpm_worker negotiation proxy proxy_http proxy_wstunnel ratelimit remoteip reqtimeout rewrite \
setenvif socache_shmcb ssl status unixd userdir version vhost_alias";

fn package(name: &str) -> Option<Package> {
    match name {
        "nginx" => {
            let etc = "/usr/local/etc/nginx";
            let mut files = vec![
                file("/usr/local/etc/rc.d/nginx", 0o555, SCRIPT),
                file("/usr/local/sbin/nginx", 0o555, PROGRAM),
                sample(format!("{etc}/nginx.conf"), "-dist", NGINX_CONF),
                sample(format!("{etc}/mime.types"), "-dist", MIME_TYPES),
                file("/usr/local/www/nginx-dist/index.html", 0o444, "<h1>Welcome to nginx!</h1>\n"),
            ];
            for name in ["fastcgi_params", "scgi_params", "uwsgi_params"] {
                files.push(sample(format!("{etc}/{name}"), "-dist", "# Stands for parameters of other protocols.\n"));
            }
            Some(Package { name: name.into(), files, folders: &["/var/log/nginx", "/var/tmp/nginx"] })
        }
        "apache24" => {
            let etc = "/usr/local/etc/apache24";
            let mut files = vec![
                file("/usr/local/etc/rc.d/apache24", 0o555, SCRIPT),
                file("/usr/local/sbin/httpd", 0o555, PROGRAM),
                file("/usr/local/sbin/apachectl", 0o555, SCRIPT),
                sample(format!("{etc}/httpd.conf"), ".sample", HTTPD_CONF),
                sample(format!("{etc}/mime.types"), ".sample", "text/html html htm\ntext/css css\n"),
                sample(format!("{etc}/magic"), ".sample", "# Stands for the magic numbers of file types.\n"),
                file(format!("{etc}/Includes/no-accf.conf"), 0o644, NO_ACCF),
                file(format!("{etc}/modules.d/000_mpm_prefork_fallback.conf"), 0o644, PREFORK),
                file(format!("{etc}/modules.d/README_modules.d"), 0o644, "Files for other modules: 100_name.conf\n"),
                file("/usr/local/www/apache24/data/index.html", 0o644, "<h1>It works!</h1>\n"),
            ];
            for name in ["default", "mpm", "ssl", "vhosts"] {
                let text = format!("# Stands for the package's example: {name}.\n");
                files.push(sample(format!("{etc}/extra/httpd-{name}.conf"), ".sample", &text));
            }
            let modules = HTTPD_MODULES.split_whitespace();
            files.extend(modules.map(|m| file(format!("{LOCAL}/libexec/apache24/mod_{m}.so"), 0o755, PROGRAM)));
            Some(Package { name: name.into(), files, folders: &[] })
        }
        _ if name.starts_with("postgresql") && name.ends_with("-client") => {
            let programs = ["pg_dump", "pg_restore", "psql"];
            let files = programs.map(|program| file(format!("{LOCAL}/bin/{program}"), 0o555, PROGRAM)).into();
            Some(Package { name: name.into(), files, folders: &[] })
        }
        _ => None,
    }
}

/// The name behind an origin (`www/nginx`).
pub(super) fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// `pkg install -y NAME`.
pub(super) fn install(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let command = format!("{PKG} install -y {name}");
    let short = base_name(name);
    if machine.model.packages.contains_key(short) {
        return Ok(());
    }
    if !machine.model.repository.reachable {
        // As pkg 1.21 says it.
        let (command, words) = if machine.model.pkg {
            let words = "pkg: Repository FreeBSD cannot be opened. 'pkg update' required\npkg: An error occurred while \
                         fetching package: Transient resolver failure";
            (command, words)
        } else {
            let words = "pkg: Error fetching https://pkg.FreeBSD.org/FreeBSD:14:amd64/latest/Latest/pkg.pkg: Transient \
                         resolver failure\nA pre-built version of pkg could not be found for your system.";
            ("/usr/sbin/pkg bootstrap -y".to_string(), words)
        };
        return Err(command_failed(command, FAILED, words));
    }
    machine.model.pkg = true;
    let known = machine.model.repository.packages.get(short).cloned();
    let (Some(version), Some(package)) = (known, package(short)) else {
        let words =
            format!("pkg: No packages available to install matching '{name}' have been found in the repositories");
        return Err(command_failed(command, FAILED, words));
    };
    lay_down(machine, &package)?;
    machine.model.packages.insert(package.name, version);
    Ok(())
}

fn lay_down(machine: &mut Machine, package: &Package) -> Result<(), HostError> {
    for folder in package.folders {
        make_folders(machine, Path::new(folder))?;
    }
    for file in &package.files {
        make_folders(machine, Path::new(&file.path).parent().unwrap_or(Path::new("/")))?;
        machine.files.write_file(Path::new(&file.path), file.text.as_bytes(), file.mode, Owner::ROOT)?;
        if let Some(of) = &file.sample_of
            && machine.files.entry(Path::new(of))?.is_none()
        {
            machine.files.write_file(Path::new(of), file.text.as_bytes(), file.mode, Owner::ROOT)?;
        }
    }
    Ok(())
}

fn make_folders(machine: &Machine, folder: &Path) -> Result<(), HostError> {
    let mut missing: Vec<&Path> = Vec::new();
    for folder in folder.ancestors() {
        if machine.files.entry(folder)?.is_some() {
            break;
        }
        missing.push(folder);
    }
    missing.into_iter().rev().try_for_each(|folder| machine.files.make_directory(folder, 0o755, Owner::ROOT))
}

/// `pkg delete -y NAME`; a service that runs goes on running.
pub(super) fn delete(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let short = base_name(name);
    if machine.model.packages.remove(short).is_none() {
        return Ok(());
    }
    let Some(package) = package(short) else { return Ok(()) };
    let mut folders: Vec<PathBuf> = package.folders.iter().map(PathBuf::from).collect();
    for file in &package.files {
        if let Some(of) = &file.sample_of {
            let (own, used) = (machine.files.read(Path::new(&file.path))?, machine.files.read(Path::new(of))?);
            if own == used {
                machine.files.remove(Path::new(of))?;
            }
        }
        machine.files.remove(Path::new(&file.path))?;
        folders.extend(Path::new(&file.path).parent().map(Path::to_path_buf));
    }
    for folder in folders {
        remove_empty(machine, &folder)?;
    }
    Ok(())
}

/// Removes a folder if nothing is in it, and so on upwards, below `/usr/local` only.
fn remove_empty(machine: &Machine, folder: &Path) -> Result<(), HostError> {
    let up = folder.ancestors().take_while(|folder| folder.starts_with(LOCAL) && *folder != Path::new(LOCAL));
    for folder in std::iter::once(folder).chain(up.skip(1)) {
        let is_folder = matches!(machine.files.entry(folder)?, Some(Entry::Directory { .. }));
        if is_folder && !machine.files.list(folder)?.is_empty() {
            break;
        }
        if is_folder {
            machine.files.remove(folder)?;
        }
    }
    Ok(())
}
