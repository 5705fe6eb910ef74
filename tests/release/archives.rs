//! Archives of every kind, honest and hostile.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

/// A tar stream under construction, on which nothing is checked.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    /// With the program in it, so that it lacks nothing.
    pub fn with_program() -> Self {
        Self::default().file("gotosocial", 0o755, b"program")
    }

    pub fn file(self, path: &str, mode: u32, content: &[u8]) -> Self {
        self.entry(path.as_bytes(), EntryType::Regular, mode, content)
    }

    pub fn entry(self, path: &[u8], kind: EntryType, mode: u32, content: &[u8]) -> Self {
        self.header(path, kind, mode, content.len() as u64).bytes(content)
    }

    /// A header alone, written by hand: the tar crate would refuse to make most of these.
    pub fn header(mut self, path: &[u8], kind: EntryType, mode: u32, size: u64) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    /// Content, filled up to a whole block.
    pub fn bytes(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// A GNU long name for the next entry.
    pub fn gnu_long_name(self, path: &str) -> Self {
        self.entry(b"././@LongLink", EntryType::GNULongName, 0o644, format!("{path}\0").as_bytes())
    }

    /// A PAX path for the next entry.
    pub fn pax_path(self, path: &str) -> Self {
        let record = format!(" path={path}\n");
        // The length counts itself.
        let length = (1..)
            .map(|digits| record.len() + digits)
            .find(|length| length.to_string().len() + record.len() == *length)
            .unwrap();
        self.entry(b"pax", EntryType::XHeader, 0o644, format!("{length}{record}").as_bytes())
    }

    /// The stream without its end mark.
    pub fn open_ended(self) -> Vec<u8> {
        self.0
    }

    /// The whole stream, with its end mark.
    pub fn closed(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }

    /// The finished archive.
    pub fn packed(self) -> Vec<u8> {
        gzip(&self.closed())
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An honest release whose archive has some tens of kilobytes that no compressor makes smaller.
pub fn honest() -> Vec<u8> {
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..40_000)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    Tar::default()
        .file("LICENSE", 0o644, b"licence")
        .file("example/config.yaml", 0o664, b"host: x")
        .file("gotosocial", 0o755, &noise)
        .file("web/assets/a.css", 0o600, b"css")
        .packed()
}
