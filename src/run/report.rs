//! The report: the outcome of a command, as `--json` prints it.

use serde::Serialize;

use crate::change::{Action, Plan};
use crate::check::Check;
use crate::error_code::ErrorCode;

/// Version of the `--json` object.
pub const SCHEMA: u32 = 1;

/// The outcome of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    schema: u32,
    command: &'static str,
    /// Whether the host was changed (with `--plan`: would be).
    pub changed: bool,
    /// Whether the host must be rebooted before everything is in force.
    pub reboot_required: bool,
    /// The changes.
    pub changes: Vec<Changed>,
    /// Preflight and checks.
    pub checks: Vec<Check>,
    /// Members that only this command has.
    #[serde(flatten)]
    detail: serde_json::Map<String, serde_json::Value>,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error code, which names an entry of the documentation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
}

/// One change, for `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Changed {
    part: &'static str,
    kind: &'static str,
    target: String,
    action: Action,
}

impl Report {
    /// An empty report of a command.
    pub fn new(command: &'static str) -> Self {
        Self { schema: SCHEMA, command, ..Self::default() }
    }

    /// Adds a member that only this command has.
    pub fn add(&mut self, name: &str, value: impl Serialize) {
        // All keys are strings, so this cannot fail.
        self.detail.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
    }

    /// Adds the changes of a plan.
    pub fn plan(&mut self, plan: &Plan) {
        self.changes.extend(plan.steps.iter().map(|step| {
            let kind = step.change.kind();
            Changed { part: step.part, kind: kind.name(), target: kind.target(), action: step.action }
        }));
    }
}

/// A number of things in words: `1 post`, `2 posts`.
pub fn counted(count: impl TryInto<u64>, thing: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

/// A number of bytes in words.
pub fn bytes(count: u64) -> String {
    match in_unit(count) {
        (tenths, unit) if unit != "bytes" => format!("{}.{} {unit}", tenths / 10, tenths % 10),
        _ => format!("{count} bytes"),
    }
}

/// A number of bytes as tenths of its unit, and the unit.
pub fn in_unit(count: u64) -> (u64, &'static str) {
    let mut tenths = count.saturating_mul(10);
    for unit in ["bytes", "KiB", "MiB", "GiB"] {
        if tenths < 10_240 {
            return (tenths, unit);
        }
        tenths /= 1024;
    }
    (tenths, "TiB")
}
