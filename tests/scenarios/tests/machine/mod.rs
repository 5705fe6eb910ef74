//! A rehearsal to tell stories on: a folder with a mirror in it, and room for the model of a machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gts_bootstrap::host::rehearsal::Rehearsal;
use gts_bootstrap::host::rehearsal::stand_in_release::stand_in_archive;
use gts_bootstrap::host::{Host, Owner};
use gts_bootstrap::release::{Arch, Sha256Digest, Variant, asset_name};
use tempfile::TempDir;

/// The program that the stories drive.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_program-under-test");

/// The folder.
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// A freshly installed FreeBSD beside a mirror with releases of the stand-in.
    pub fn fresh() -> Self {
        let machine = Self::with_releases(["0.19.1", "0.19.2", "0.20.0-rc1"]);
        fs::write(machine.mirror().join("stand-in"), "").unwrap();
        machine
    }

    /// The same beside a mirror that looks like upstream's.
    pub fn with_releases(versions: [&str; 3]) -> Self {
        // In memory where that is to be had: every change of every story is synced to disk.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for version in versions {
            let place = folder.path().join("mirror").join(format!("v{version}"));
            fs::create_dir_all(&place).unwrap();
            let version = version.parse().unwrap();
            let archive = stand_in_archive(&version, Arch::Amd64, Variant::Default).unwrap();
            let name = asset_name(&version, Arch::Amd64, Variant::Default).unwrap();
            fs::write(place.join("checksums.txt"), format!("{}  {name}\n", Sha256Digest::of(&archive))).unwrap();
            fs::write(place.join(name), archive).unwrap();
        }
        Self { folder }
    }

    /// Installs portacl-rc, as far as the program looks at it.
    pub fn with_portacl_rc(&self) {
        let host = Rehearsal::open(self.root()).unwrap();
        host.edit(|model| drop(model.packages.insert("portacl-rc".into(), "0.9.0".into()))).unwrap();
        let (scripts, mode) = (Path::new("/usr/local/etc/rc.d"), 0o755);
        let folders: Vec<&Path> = scripts.ancestors().collect();
        folders.iter().rev().skip(1).for_each(|folder| host.make_directory(folder, mode, Owner::ROOT).unwrap());
        host.write_file(&scripts.join("portacl"), b"#!/bin/sh\n", mode, Owner::ROOT).unwrap();
    }

    /// The root of the machine.
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The mirror.
    pub fn mirror(&self) -> PathBuf {
        self.folder.path().join("mirror")
    }

    /// Tells stories of the program on it.
    pub fn tell(&self, more: &[&str]) -> Output {
        self.tell_of(Path::new(PROGRAM), more)
    }

    /// Tells stories of some other program on it.
    pub fn tell_of(&self, program: &Path, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_acceptance"))
            .arg("--program")
            .arg(program)
            .arg("--mirror")
            .arg(self.mirror())
            .arg("--rehearse")
            .arg(self.root())
            .args(more)
            .output()
            .unwrap()
    }
}
