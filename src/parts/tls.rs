//! stub
use super::Refusal;
use crate::change::Step;
use crate::deployment::{Deployment, HostName, Layout};
use crate::host::{HostError, Observe, Owner};
use std::path::PathBuf;
/// stub
pub struct Planned {
    /// x
    pub files: crate::front::Certificate,
    /// x
    pub steps: Vec<Step>,
    /// x
    pub order: bool,
}
/// stub
pub fn plan(host: &dyn Observe, layout: &Layout, _d: &Deployment, name: &HostName) -> Result<Option<Planned>, Refusal> {
    let cache = layout.certs().join(name.to_string());
    let Some(bytes) = host.read(&cache)? else { return Ok(None) };
    let folder = layout.records.join("tls");
    let (chain, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    let mut steps = Vec::new();
    if host.entry(&folder)?.is_none() {
        steps.push(Step::new(
            "certificate",
            crate::change::Action::Create,
            crate::change::Change::Directory { path: folder, mode: 0o700, owner: Owner::ROOT },
        ));
    }
    for path in [&chain, &key] {
        if host.read(path)?.as_deref() != Some(&bytes) {
            steps.push(Step::new(
                "certificate",
                crate::change::Action::Create,
                super::managed_file::whole(path, &String::from_utf8_lossy(&bytes), 0o600, Owner::ROOT),
            ));
        }
    }
    Ok(Some(Planned { files: crate::front::Certificate { chain, key }, steps, order: false }))
}
/// stub
pub fn back_to_autocert(_h: &dyn Observe, _l: &Layout, _d: &Deployment, _o: Owner) -> Result<Vec<Step>, Refusal> {
    Ok(Vec::new())
}
/// stub
pub fn own_files(host: &dyn Observe, layout: &Layout) -> Result<Vec<PathBuf>, HostError> {
    let folder = layout.records.join("tls");
    let mut all: Vec<PathBuf> = host.list(&folder)?.into_iter().map(|n| folder.join(n)).collect();
    all.push(folder);
    Ok(all)
}
