//! A package.

use crate::change::kind::prelude::*;

/// Installs a package, or removes it, pkg(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Package<const WANTED: bool> {
    /// Its name.
    pub name: String,
}

/// Installs a package.
pub type InstallPackage = Package<true>;
/// Removes a package.
pub type RemovePackage = Package<false>;

impl<const WANTED: bool> Kind for Package<WANTED> {
    named!(ErrorCode::Package, "package");

    fn effect(&self) -> Option<(Thing, Left)> {
        Some((Thing::Package(self.name.clone()), if WANTED { Left::Present } else { Left::Absent }))
    }

    fn detail(&self) -> String {
        if WANTED { "with pkg(8)" } else { "" }.to_owned()
    }

    fn apply(&self, executor: &Executor<'_>) -> Result<(), Failure> {
        if !WANTED {
            return Ok(executor.host.delete_package(&self.name)?);
        }
        executor.host.install_package(&self.name)?;
        if executor.host.package(&self.name)?.is_none() {
            refuse!("pkg(8) did what it was asked to, and yet the package {} is not installed", self.name);
        }
        Ok(())
    }
}
