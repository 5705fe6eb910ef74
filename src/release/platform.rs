//! Which of upstream's builds fits a host, and what its archive is called.

use std::fmt;

use semver::Version;
use serde::{Deserialize, Serialize};

use super::Error;

/// A processor architecture that upstream builds GoToSocial for FreeBSD on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86 (`uname -m` says `amd64`).
    Amd64,
    /// 64-bit Arm (`uname -m` says `arm64`).
    Arm64,
}

impl fmt::Display for Arch {
    /// The name in upstream's file names, which is also what `uname -m` says on FreeBSD.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

/// How the program was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Variant {
    /// With SQLite and ffmpeg embedded as WebAssembly: the build that upstream supports.
    #[default]
    Default,
    /// Without WebAssembly: needs `ffmpeg` and `ffprobe` on the host, for processors without SSE4.1. Upstream
    /// gives no support for it (`docs/advanced/builds/nowasm.md`).
    Nowasm,
}

impl fmt::Display for Variant {
    /// The name used in answers and locks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Nowasm => "nowasm",
        })
    }
}

/// The name of the archive for FreeBSD: `gotosocial_0.19.2_freebsd_amd64.tar.gz`, or with `_nowasm` before the
/// ending. The version carries no `v` here, unlike the tag (upstream's `.goreleaser.yml`).
///
/// # Errors
///
/// [`Error::NoNowasmBuild`]: upstream makes the `nowasm` build for FreeBSD on amd64 only.
pub fn asset_name(version: &Version, arch: Arch, variant: Variant) -> Result<String, Error> {
    let suffix = match (variant, arch) {
        (Variant::Default, _) => "",
        (Variant::Nowasm, Arch::Amd64) => "_nowasm",
        (Variant::Nowasm, Arch::Arm64) => return Err(Error::NoNowasmBuild(arch)),
    };
    Ok(format!("gotosocial_{version}_freebsd_{arch}{suffix}.tar.gz"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_named_as_upstream_names_them() {
        let version = Version::new(0, 19, 2);
        let name = |arch, variant| asset_name(&version, arch, variant);
        assert_eq!(name(Arch::Amd64, Variant::Default).unwrap(), "gotosocial_0.19.2_freebsd_amd64.tar.gz");
        assert_eq!(name(Arch::Arm64, Variant::Default).unwrap(), "gotosocial_0.19.2_freebsd_arm64.tar.gz");
        assert_eq!(name(Arch::Amd64, Variant::Nowasm).unwrap(), "gotosocial_0.19.2_freebsd_amd64_nowasm.tar.gz");
        assert_eq!(
            asset_name(&"0.20.0-rc1".parse().unwrap(), Arch::Amd64, Variant::Default).unwrap(),
            "gotosocial_0.20.0-rc1_freebsd_amd64.tar.gz"
        );
    }

    #[test]
    fn there_is_no_nowasm_build_for_arm64() {
        assert!(matches!(
            asset_name(&Version::new(0, 19, 2), Arch::Arm64, Variant::Nowasm),
            Err(Error::NoNowasmBuild(Arch::Arm64))
        ));
    }
}
