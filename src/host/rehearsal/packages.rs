//! pkg(8): the packages of two web servers and of PostgreSQL's programs, with shortened file lists (`pkg-plist` of
//! www/nginx, www/apache24 and databases/postgresql16-client).
//!
//! As with the real ones, a configuration file is copied from its sample if there is none, and is removed with the
//! package if it still equals the sample (`@sample`). Folders that become empty are removed, too.

use std::path::{Path, PathBuf};

use super::super::{Entry, HostError, Owner};
use super::machine::{Machine, command_failed};

const PKG: &str = "/usr/local/sbin/pkg";
const LOCAL: &str = "/usr/local";
/// Exit status of pkg(8) for a failure.
const FAILED: i32 = 1;

/// Files of a package: path below `/usr/local`, mode, text.
type Files = &'static [(&'static str, u32, &'static str)];

/// Stands for a script of the base system or a package.
pub(super) const SCRIPT: &str = "#!/bin/sh\n# Stands for the real script. A rehearsal never runs it.\n";
const PROGRAM: &str = "Stands for a program. A rehearsal never runs it.\n";
const EXAMPLE: &str = "# Stands for an example of the package.\n";
const NGINX_TYPES: &str = "types {\n    text/html html htm;\n    text/css css;\n    image/webp webp;\n}\n";
const HTTPD_TYPES: &str = "text/html html htm\ntext/css css\n";
/// The port's fallback if no other multi-processing module is configured.
const PREFORK: &str = "<IfModule !mpm_event_module>\n<IfModule !mpm_worker_module>\n<IfModule !mpm_prefork_module>\n\
LoadModule mpm_prefork_module libexec/apache24/mod_mpm_prefork.so\n</IfModule>\n</IfModule>\n</IfModule>\n";
const NO_ACCF: &str = "<IfDefine NOHTTPACCEPT>\n   AcceptFilter http none\n   AcceptFilter https none\n</IfDefine>\n";

const NGINX: Files = &[
    ("etc/rc.d/nginx", 0o555, SCRIPT),
    ("sbin/nginx", 0o555, PROGRAM),
    // The comments of the real one are shortened.
    ("etc/nginx/nginx.conf-dist", 0o644, include_str!("packages/nginx.conf")),
    ("etc/nginx/mime.types-dist", 0o644, NGINX_TYPES),
    ("etc/nginx/fastcgi_params-dist", 0o644, EXAMPLE),
    ("etc/nginx/scgi_params-dist", 0o644, EXAMPLE),
    ("etc/nginx/uwsgi_params-dist", 0o644, EXAMPLE),
    ("www/nginx-dist/index.html", 0o444, "<h1>Welcome to nginx!</h1>\n"),
];

const APACHE24: Files = &[
    ("etc/rc.d/apache24", 0o555, SCRIPT),
    ("sbin/httpd", 0o555, PROGRAM),
    ("sbin/apachectl", 0o555, SCRIPT),
    // The comments of the real one are shortened.
    ("etc/apache24/httpd.conf.sample", 0o644, include_str!("packages/httpd.conf")),
    ("etc/apache24/mime.types.sample", 0o644, HTTPD_TYPES),
    ("etc/apache24/magic.sample", 0o644, EXAMPLE),
    ("etc/apache24/Includes/no-accf.conf", 0o644, NO_ACCF),
    ("etc/apache24/modules.d/000_mpm_prefork_fallback.conf", 0o644, PREFORK),
    ("etc/apache24/modules.d/README_modules.d", 0o644, "Files for other modules: 100_name.conf\n"),
    ("etc/apache24/extra/httpd-default.conf.sample", 0o644, EXAMPLE),
    ("etc/apache24/extra/httpd-mpm.conf.sample", 0o644, EXAMPLE),
    ("etc/apache24/extra/httpd-ssl.conf.sample", 0o644, EXAMPLE),
    ("etc/apache24/extra/httpd-vhosts.conf.sample", 0o644, EXAMPLE),
    ("www/apache24/data/index.html", 0o644, "<h1>It works!</h1>\n"),
];

const POSTGRESQL: Files =
    &[("bin/pg_dump", 0o555, PROGRAM), ("bin/pg_restore", 0o555, PROGRAM), ("bin/psql", 0o555, PROGRAM)];

/// The modules in `libexec/apache24` that a front may need.
const HTTPD_MODULES: &str = "access_compat alias allowmethods auth_basic authn_core authn_file authz_core \
authz_groupfile authz_host authz_user autoindex deflate dir env expires filter headers http2 log_config mime \
mpm_event mpm_prefork mpm_worker negotiation proxy proxy_http proxy_wstunnel ratelimit remoteip reqtimeout rewrite \
setenvif socache_shmcb ssl status unixd userdir version vhost_alias";

/// Path, mode and text of each file of a package.
fn files(name: &str) -> Option<Vec<(PathBuf, u32, &'static str)>> {
    let (listed, modules) = match name {
        "nginx" => (NGINX, ""),
        "apache24" => (APACHE24, HTTPD_MODULES),
        _ if name.starts_with("postgresql") && name.ends_with("-client") => (POSTGRESQL, ""),
        _ => return None,
    };
    let modules = modules.split_whitespace().map(|name| (format!("libexec/apache24/mod_{name}.so"), 0o755, PROGRAM));
    let listed = listed.iter().map(|(path, mode, text)| ((*path).to_owned(), *mode, *text));
    Some(listed.chain(modules).map(|(path, mode, text)| (Path::new(LOCAL).join(path), mode, text)).collect())
}

/// Folders of a package's own, even if they stay empty.
fn folders(name: &str) -> &'static [&'static str] {
    if name == "nginx" { &["/var/log/nginx", "/var/tmp/nginx"] } else { &[] }
}

/// The configuration file that a file is a sample of, if it is one.
fn sample_of(path: &Path) -> Option<PathBuf> {
    let path = path.to_str()?;
    path.strip_suffix("-dist").or_else(|| path.strip_suffix(".sample")).map(PathBuf::from)
}

/// The origin of a package.
pub(super) fn origin(name: &str) -> String {
    let category = match name {
        "nginx" | "apache24" => "www",
        "gotosocial" => "net-im",
        _ => "databases",
    };
    format!("{category}/{name}")
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
        // The words of pkg 1.21.
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
    let (Some(version), Some(files)) = (known, files(short)) else {
        let words =
            format!("pkg: No packages available to install matching '{name}' have been found in the repositories");
        return Err(command_failed(command, FAILED, words));
    };
    for folder in folders(short) {
        make_folders(machine, Path::new(folder))?;
    }
    for (path, mode, text) in files {
        make_folders(machine, path.parent().unwrap_or(Path::new("/")))?;
        machine.write_as(Owner::ROOT, &path, text.as_bytes(), mode)?;
        if let Some(of) = sample_of(&path)
            && machine.files.entry(&of)?.is_none()
        {
            machine.write_as(Owner::ROOT, &of, text.as_bytes(), mode)?;
        }
    }
    machine.model.packages.insert(short.to_owned(), version);
    Ok(())
}

fn make_folders(machine: &Machine, folder: &Path) -> Result<(), HostError> {
    if machine.files.entry(folder)?.is_some() {
        return Ok(());
    }
    folder.parent().map_or(Ok(()), |parent| make_folders(machine, parent))?;
    machine.files.make_directory(folder, 0o755, Owner::ROOT)
}

/// `pkg delete -y NAME`; a running service continues.
pub(super) fn delete(machine: &mut Machine, name: &str) -> Result<(), HostError> {
    let short = base_name(name);
    if machine.model.packages.remove(short).is_none() {
        return Ok(());
    }
    let files = files(short).unwrap_or_default();
    for (path, ..) in &files {
        if let Some(of) = sample_of(path)
            && machine.read(path)? == machine.read(&of)?
        {
            machine.files.remove(&of)?;
        }
        machine.files.remove(path)?;
    }
    let of_files = files.iter().filter_map(|(path, ..)| path.parent());
    folders(short).iter().map(Path::new).chain(of_files).try_for_each(|folder| remove_empty(machine, folder))
}

/// Removes a folder if it is empty, and then its parents, these only below `/usr/local`.
fn remove_empty(machine: &Machine, folder: &Path) -> Result<(), HostError> {
    if matches!(machine.files.entry(folder)?, Some(Entry::Directory { .. })) {
        if !machine.files.list(folder)?.is_empty() {
            return Ok(());
        }
        machine.files.remove(folder)?;
    }
    let up = folder.parent().filter(|up| up.starts_with(LOCAL) && *up != Path::new(LOCAL));
    up.map_or(Ok(()), |up| remove_empty(machine, up))
}
