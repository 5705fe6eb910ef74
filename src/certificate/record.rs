//! What is remembered between two looks at our certificates: `renewal.json`, one entry a name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::renewal::Failures;

/// Version of the form of the file.
const SCHEMA: u32 = 1;

/// All entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Records {
    schema: u32,
    names: BTreeMap<String, Record>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// When an order was last tried, seconds since 1970.
    last_attempt: u64,
    failures: Option<Failures>,
}

impl Default for Records {
    fn default() -> Self {
        Self { schema: SCHEMA, names: BTreeMap::new() }
    }
}

impl Records {
    /// Reads the file. One that is damaged, or of another schema, is as good as none: all that is lost is a wait.
    pub fn read(bytes: Option<&[u8]>) -> Self {
        bytes.and_then(Self::parse).unwrap_or_default()
    }

    /// The records of a file that is whole.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok().filter(|records: &Self| records.schema == SCHEMA)
    }

    /// What has failed for a name since the last success.
    pub fn failures(&self, name: &str) -> Option<&Failures> {
        self.names.get(name)?.failures.as_ref()
    }

    /// Notes how an order ended. Of a failure: why, and for how many seconds the authority asked to be left alone. A
    /// success makes the failures before it forgotten.
    pub fn note(&mut self, name: &str, now: u64, failed: Option<(String, Option<u64>)>) {
        let count = self.failures(name).map_or(0, |failures| failures.count).saturating_add(1);
        let failures = failed.map(|(reason, asked_wait)| Failures { count, last: now, reason, asked_wait });
        self.names.insert(name.to_owned(), Record { last_attempt: now, failures });
    }

    /// The bytes of the file.
    pub fn write(&self) -> Vec<u8> {
        // A map of plain values can always be written.
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn failures_add_up_until_a_success() {
        let mut records = Records::default();
        records.note("a.example", 10, Some(("no".into(), None)));
        records.note("a.example", 20, Some(("still no".into(), Some(60))));
        records.note("b.example", 30, Some(("no".into(), None)));
        let again = Records::read(Some(&records.write()));
        assert_eq!(again, records);
        let failures = again.failures("a.example").unwrap();
        assert_eq!((failures.count, failures.last, failures.asked_wait), (2, 20, Some(60)));
        records.note("a.example", 40, None);
        assert_eq!(records.names["a.example"], Record { last_attempt: 40, failures: None });
        assert!(records.failures("b.example").is_some());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        for bytes in [&b""[..], b"{", b"{\"schema\":2,\"names\":{}}", b"\xff"] {
            assert_eq!(Records::read(Some(bytes)), Records::default());
        }
        assert_eq!(Records::read(None), Records::default());
    }
}
