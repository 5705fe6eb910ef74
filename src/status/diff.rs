//! The changes in a file, as a unified diff, with every secret hidden.
//!
//! The comparison uses the original texts, so that a changed password appears as a changed line. Hiding applies only to
//! what is printed of each line.

use crate::parts::secrets;

/// The longest text for which a difference is computed, bytes.
const LONGEST: usize = 1024 * 1024;

/// The difference between two texts; `None` if nothing of it can be shown.
pub fn unified(path: &str, written: &str, present: &str) -> Option<String> {
    let too_long = written.len().max(present.len()) > LONGEST;
    if too_long || [written, present].iter().any(|text| text.contains("PRIVATE KEY-----")) {
        return None;
    }
    let (old, new) = (secrets::hide_in_text(written), secrets::hide_in_text(present));
    let mut text = format!("--- {path} (as written by gts-bootstrap)\n+++ {path} (as it is)\n");
    for hunk in diffy::create_patch(written, present).hunks() {
        let (from, to) = (hunk.old_range(), hunk.new_range());
        let (mut old_at, mut new_at) = (from.start(), to.start());
        text.push_str(&format!("@@ -{},{} +{},{} @@\n", from.start(), from.len(), to.start(), to.len()));
        for line in hunk.lines() {
            let (sign, shown, whole) = match line {
                diffy::Line::Context(line) => (' ', shown(&new, new_at), line),
                diffy::Line::Delete(line) => ('-', shown(&old, old_at), line),
                diffy::Line::Insert(line) => ('+', shown(&new, new_at), line),
            };
            old_at += usize::from(sign != '+');
            new_at += usize::from(sign != '-');
            text.push_str(&format!("{sign}{shown}\n"));
            if !whole.ends_with('\n') {
                text.push_str("\\ No newline at end of file\n");
            }
        }
    }
    Some(text)
}

/// The line with that number, from 1. Shows nothing rather than a line that was not checked for secrets.
fn shown(lines: &[String], number: usize) -> &str {
    number.checked_sub(1).and_then(|index| lines.get(index)).map_or("(hidden)", String::as_str)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_difference_is_shown_as_diff_does_it() {
        let text = unified("/x", "a\nb\nc\n", "a\nB\nc").unwrap();
        assert_eq!(
            text,
            "--- /x (as written by gts-bootstrap)\n+++ /x (as it is)\n@@ -1,3 +1,3 @@\n a\n-b\n-c\n+B\n+c\n\\ No newline at \
             end of file\n"
        );
    }

    #[test]
    fn secrets_do_not_show_and_their_change_does() {
        let written = "host: a\nsmtp-password: \"hunter1\"\nport: 1\n";
        let present = "host: a\nsmtp-password: |\n  hunter2\n  hunter3\nsmtp:\n  password: hunter4\nport: 1\n";
        let text = unified("/x", written, present).unwrap();
        assert!(!text.contains("hunter"), "{text}");
        assert!(
            text.contains("-smtp-password: (hidden)\n+smtp-password: (hidden)\n+  (hidden)\n+  (hidden)\n"),
            "{text}"
        );
        assert!(text.contains(" host: a\n") && text.contains(" port: 1\n"), "{text}");
        assert_eq!(unified("/x", "", "-----BEGIN PRIVATE KEY-----\n"), None);
    }

    proptest! {
        #[test]
        fn no_secret_gets_through(
            lines in prop::collection::vec("(host: a|port: [0-9]|\\s{0,3}|# note)", 0..12),
            at in 0..12_usize,
            changed in prop::collection::vec("(host: a|port: [0-9]|\\s{0,3}|# note)", 0..12),
        ) {
            let mut written = lines;
            written.insert(at.min(written.len()), "db-password: \"SECRET\"".to_owned());
            let present = changed.join("\n");
            let text = unified("/x", &written.join("\n"), &present).unwrap();
            prop_assert!(!text.contains("SECRET"), "{}", text);
        }
    }
}
