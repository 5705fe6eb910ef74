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

/// What is remembered of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When an order was last tried, seconds since 1970.
    pub last_attempt: u64,
    /// What has failed since the last success.
    pub failures: Option<Failures>,
}

impl Default for Records {
    fn default() -> Self {
        Self { schema: SCHEMA, names: BTreeMap::new() }
    }
}

impl Records {
    /// Reads the file. One that is damaged, or of another schema, is as good as none: all that is lost is a wait.
    pub fn read(bytes: Option<&[u8]>) -> Self {
        let read: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(bytes).ok());
        read.filter(|records| records.schema == SCHEMA).unwrap_or_default()
    }

    /// What is remembered of a name.
    pub fn of(&self, name: &str) -> Option<&Record> {
        self.names.get(name)
    }

    /// Notes a success, which makes the failures before it forgotten.
    pub fn succeeded(&mut self, name: &str, now: u64) {
        self.names.insert(name.to_owned(), Record { last_attempt: now, failures: None });
    }

    /// Notes a failure.
    pub fn failed(&mut self, name: &str, now: u64, reason: String, asked_wait: Option<u64>) {
        let before = self.of(name).and_then(|record| record.failures.clone());
        let failures = Some(Failures::and_another(before.as_ref(), now, reason, asked_wait));
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
        records.failed("a.example", 10, "no".into(), None);
        records.failed("a.example", 20, "still no".into(), Some(60));
        records.failed("b.example", 30, "no".into(), None);
        let again = Records::read(Some(&records.write()));
        assert_eq!(again, records);
        let failures = again.of("a.example").unwrap().failures.as_ref().unwrap();
        assert_eq!((failures.count, failures.last, failures.asked_wait), (2, 20, Some(60)));
        records.succeeded("a.example", 40);
        assert_eq!(records.of("a.example"), Some(&Record { last_attempt: 40, failures: None }));
        assert!(records.of("b.example").unwrap().failures.is_some());
    }

    #[test]
    fn a_damaged_file_is_as_good_as_none() {
        for bytes in [&b""[..], b"{", b"{\"schema\":2,\"names\":{}}", b"\xff"] {
            assert_eq!(Records::read(Some(bytes)), Records::default());
        }
        assert_eq!(Records::read(None), Records::default());
    }
}
