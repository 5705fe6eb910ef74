//! A package.

use crate::change::kind::prelude::*;

/// Installs a package, pkg(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallPackage {
    /// Its name.
    pub name: String,
}

/// Removes a package, pkg(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemovePackage {
    /// Its name.
    pub name: String,
}

impl Kind for InstallPackage {
    named!(ErrorCode::Package, "package");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Package(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Present)
    }

    fn detail(&self) -> String {
        "with pkg(8)".to_owned()
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        context.host.install_package(&self.name)?;
        if context.host.package(&self.name)?.is_some() {
            return Ok(());
        }
        Err(format!("pkg(8) did what it was asked to, and yet the package {} is not installed", self.name).into())
    }
}

impl Kind for RemovePackage {
    named!(ErrorCode::Package, "package");

    fn thing(&self) -> Option<Thing> {
        Some(Thing::Package(self.name.clone()))
    }

    fn left(&self) -> Option<Left> {
        Some(Left::Absent)
    }

    fn apply(&self, context: &Context<'_>) -> Result<(), Failure> {
        Ok(context.host.delete_package(&self.name)?)
    }
}
