//! The certificate that clients see: its end, and its manager.

use serde::Serialize;

use super::{Known, Told};
use crate::certificate::placeholder::is_placeholder;
use crate::certificate::record::Records;
use crate::certificate::renewal::{Failures, Keeper};
use crate::certificate::{Bundle, Leaf};
use crate::deployment::HostName;
use crate::parts::tls;

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
pub(super) fn look(known: &Known<'_>) -> Told<Option<Certificate>> {
    let deployment = match &known.deployment {
        Told::Known(deployment) => deployment,
        Told::Unknown { unknown } => return Told::unknown(unknown.clone()),
    };
    let found = tls::kept(known.host, known.layout, deployment, &deployment.host).and_then(|kept| {
        let records = Records::read(known.host.read(&tls::record(known.layout))?.as_deref());
        Ok((kept, records))
    });
    let (kept, records) = match found {
        Ok((Some(kept), records)) => (kept, records),
        Ok((None, _)) => return Told::Known(None),
        Err(refusal) => return refusal.into(),
    };
    let (now, leaf) = (known.host.now(), kept.bundle.leaf());
    Told::Known(Some(Certificate {
        not_after: leaf.not_after,
        days_left: leaf.days_left(now),
        keeper: kept.keeper.clone(),
        trouble: trouble(&kept.bundle, &deployment.host, now),
        overdue: left_of(leaf, now, 30) <= 7,
        last_failure: records.failures(deployment.host.as_str()).cloned(),
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
        return Some(error.to_string());
    }
    if is_placeholder(bundle.leaf()) {
        return Some(
            "it is a placeholder that no client trusts; order one with `gts-bootstrap certificate renew`".into(),
        );
    }
    (left_of(bundle.leaf(), now, 10) < 1)
        .then(|| "its last tenth has begun, and it should have been renewed long ago".into())
}
