//! The certificate that clients see: its end, and its manager.

use serde::Serialize;

use super::{Known, Unknown};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::record::Records;
use crate::certificate::renewal::{Failures, Keeper};
use crate::certificate::{Bundle, Leaf};
use crate::deployment::HostName;
use crate::parts::{Instance, tls};

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Its end of validity, seconds since 1970.
    pub not_after: u64,
    /// Whole days left; negative after its end.
    pub days_left: i64,
    /// What renews it.
    pub keeper: Keeper,
    /// The problem, if any.
    pub trouble: Option<String>,
    /// Whether its renewal is overdue, though not alarmingly so.
    pub overdue: bool,
    /// The recent failures.
    pub last_failure: Option<Failures>,
}

/// Reads the certificate of the instance's name.
pub(super) fn look(known: &Known<'_>) -> Result<Option<Certificate>, Unknown> {
    let deployment = known.deployment()?;
    let host = known.host;
    let instance = Instance { host, layout: known.layout, deployment };
    let Some(kept) = tls::kept(instance, &deployment.host)? else { return Ok(None) };
    let records = Records::read(host.read(&tls::record(known.layout))?.as_deref());
    let (now, leaf) = (host.now(), kept.bundle.leaf());
    Ok(Some(Certificate {
        not_after: leaf.not_after,
        days_left: leaf.days_left(now),
        trouble: trouble(&kept.bundle, &deployment.host, now),
        overdue: left_of(leaf, now, 30) <= 7,
        last_failure: records.failures(deployment.host.as_str()).cloned(),
        keeper: kept.keeper,
    }))
}

/// How many of so many parts of its lifetime are left.
fn left_of(leaf: &Leaf, now: u64, parts: u64) -> u64 {
    let life = leaf.not_after.saturating_sub(leaf.not_before).max(1);
    leaf.not_after.saturating_sub(now).saturating_mul(parts) / life
}

/// The problem with a certificate, if any: it is for another name, has expired, or ends so soon that its renewal must
/// have been failing for long.
pub fn trouble(bundle: &Bundle, name: &HostName, now: u64) -> Option<String> {
    if let Err(error) = bundle.check(name, now) {
        Some(error.to_string())
    } else if is_placeholder(bundle.leaf()) {
        Some("it is a placeholder that no client trusts; order one with `gts-bootstrap certificate renew`".into())
    } else if left_of(bundle.leaf(), now, 10) < 1 {
        Some("its last tenth has begun, and it should have been renewed long ago".into())
    } else {
        None
    }
}
