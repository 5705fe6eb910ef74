//! The configuration files of FreeBSD itself, as text: sysctl.conf(5), loader.conf(5) and rc.conf(5).
//!
//! Each file has one reader and one editor here, and both the real host and the rehearsal use them. `transcription.rs`
//! holds the readers to what FreeBSD's own programs do.

pub mod loader_conf;
pub mod loader_files;
pub mod rc_conf;
pub mod sysctl_conf;
#[cfg(test)]
mod transcription;

/// The text with this line at its end. The line before it is ended first.
fn with_line(text: &[u8], line: &str) -> Vec<u8> {
    let mut extended = text.to_vec();
    if !extended.is_empty() && !extended.ends_with(b"\n") {
        extended.push(b'\n');
    }
    extended.extend_from_slice(line.as_bytes());
    extended.push(b'\n');
    extended
}

/// The text without the last line that reads exactly like this one.
fn without_line(text: &[u8], line: &str) -> Vec<u8> {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').collect();
    let position = lines.iter().rposition(|there| there.strip_suffix(b"\n").unwrap_or(there) == line.as_bytes());
    if let Some(position) = position {
        lines.remove(position);
    }
    lines.concat()
}
