//! pkg(8), and certificates with real keys.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::*;
use crate::front::Front;
use crate::host::Entry;

/// Every file and folder of the host with its bytes and mode.
fn files(host: &Fresh) -> BTreeMap<PathBuf, (Vec<u8>, u32)> {
    let mut all = BTreeMap::new();
    let mut ahead = vec![host.folder.path().to_path_buf()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            let mode = std::os::unix::fs::MetadataExt::mode(&metadata);
            let bytes = if metadata.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            if metadata.is_dir() {
                ahead.push(path.clone());
            }
            if !path.ends_with(".rehearsal/state.json") {
                all.insert(path, (bytes, mode));
            }
        }
    }
    all
}

#[test]
fn what_is_installed_and_deleted_again_leaves_nothing_behind() {
    for name in ["nginx", "www/apache24"] {
        let host = fresh();
        let before = files(&host);
        assert_eq!(host.package(name).unwrap(), None);
        host.install_package(name).unwrap();
        host.install_package(name).unwrap();
        assert!(host.package(name).unwrap().is_some());
        assert!(files(&host).len() > before.len() + 10);
        host.delete_package(name).unwrap();
        host.delete_package(name).unwrap();
        assert_eq!(host.package(name).unwrap(), None);
        assert_eq!(files(&host), before, "{name}");
    }
}

#[test]
fn an_edited_configuration_stays_and_is_found_again() {
    let host = fresh();
    for (name, file, sample) in [
        ("nginx", "/usr/local/etc/nginx/nginx.conf", "/usr/local/etc/nginx/nginx.conf-dist"),
        ("apache24", "/usr/local/etc/apache24/httpd.conf", "/usr/local/etc/apache24/httpd.conf.sample"),
    ] {
        host.install_package(name).unwrap();
        assert_eq!(host.text(file), host.text(sample));
        host.write(file, "edited");
        host.delete_package(name).unwrap();
        assert_eq!((host.text(file).as_str(), host.text(sample).as_str()), ("edited", ""));
        host.install_package(name).unwrap();
        assert_eq!(host.text(file), "edited");
        assert_ne!(host.text(sample), "");
    }
}

#[test]
fn what_the_packages_bring_works_as_it_is() {
    let host = fresh();
    for front in Front::ALL {
        let (name, conf) = (front.service, front.main_file());
        assert!(host.front_test(front, &conf).is_err());
        host.install_package(name).unwrap();
        assert_eq!(host.front_test(front, &conf).unwrap().status, Some(0));
        host.set_rc_variable(&front.rc_variable(), Some("YES")).unwrap();
        host.service_action(name, ServiceAction::Start).unwrap();
        assert!(host.listeners().unwrap().iter().all(|listener| listener.port == 80));
        host.service_action(name, ServiceAction::Stop).unwrap();
    }
    let log = host.entry(Path::new("/var/log/nginx")).unwrap();
    assert!(matches!(log, Some(Entry::Directory { .. })));
}

#[test]
fn what_cannot_be_had_is_refused_in_the_words_of_pkg() {
    let host = fresh();
    let (_, text) = command_failure(&host.install_package("caddy").unwrap_err());
    assert!(text.contains("No packages available to install matching 'caddy'"), "{text}");
    host.edit(|model| model.repository.reachable = false).unwrap();
    let (_, text) = command_failure(&host.install_package("nginx").unwrap_err());
    assert!(text.contains("Transient resolver failure"), "{text}");
    host.edit(|model| model.pkg = false).unwrap();
    let error = host.install_package("nginx").unwrap_err();
    assert!(error.to_string().contains("pkg bootstrap -y"), "{error}");
    host.edit(|model| model.repository.reachable = true).unwrap();
    host.install_package("nginx").unwrap();
    assert!(host.model().pkg);
    // What is installed needs no network, neither to be there nor to go.
    host.edit(|model| model.repository.reachable = false).unwrap();
    host.install_package("nginx").unwrap();
    host.delete_package("nginx").unwrap();
}

#[test]
fn keys_of_real_certificates_are_compared() {
    use super::super::certificate::pair;
    let host = fresh();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/release/fixtures");
    for name in ["loopback-cert.pem", "loopback-key.pem", "stranger-cert.pem"] {
        host.write(&format!("/etc/ssl/{name}"), &fs::read_to_string(format!("{fixtures}/{name}")).unwrap());
    }
    let machine = host.machine.borrow();
    let load =
        |chain: &str, key: &str| pair(&machine, &Path::new("/etc/ssl").join(chain), &Path::new("/etc/ssl").join(key));
    assert!(load("loopback-cert.pem", "loopback-key.pem").is_ok());
    for (chain, key, words) in [
        ("stranger-cert.pem", "loopback-key.pem", "loopback-key.pem is not the key of /etc/ssl/stranger-cert.pem"),
        ("loopback-key.pem", "loopback-key.pem", "loopback-key.pem holds no certificate"),
        ("loopback-cert.pem", "stranger-cert.pem", "stranger-cert.pem holds no key"),
        ("loopback-cert.pem", "none", "none holds no key"),
        ("none", "loopback-key.pem", "none holds no certificate"),
    ] {
        assert_eq!(load(chain, key), Err(format!("/etc/ssl/{words}")));
    }
}
