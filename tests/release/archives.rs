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

    /// The target of a link, which is the next entry, in GNU's form.
    pub fn gnu_long_link(self, target: &str) -> Self {
        self.entry(b"././@LongLink", EntryType::GNULongLink, 0o644, format!("{target}\0").as_bytes())
    }

    /// A PAX path for the next entry.
    pub fn pax_path(self, path: &str) -> Self {
        self.pax("path", path)
    }

    /// A PAX record for the next entry.
    pub fn pax(self, key: &str, value: &str) -> Self {
        self.entry(b"pax", EntryType::XHeader, 0o644, pax_record(key, value).as_bytes())
    }

    /// A path in ustar's two halves.
    pub fn ustar(mut self, prefix: &[u8], name: &[u8]) -> Self {
        let mut header = Header::new_ustar();
        let ustar = header.as_ustar_mut().unwrap();
        ustar.prefix[..prefix.len()].copy_from_slice(prefix);
        ustar.name[..name.len()].copy_from_slice(name);
        header.set_entry_type(EntryType::Regular);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    /// A sparse file, empty, in GNU tar's form.
    pub fn gnu_sparse(mut self, path: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        let gnu = header.as_gnu_mut().unwrap();
        gnu.name[..path.len()].copy_from_slice(path);
        gnu.realsize.copy_from_slice(b"00000000000\0");
        header.set_entry_type(EntryType::GNUSparse);
        header.set_mode(0o644);
        header.set_size(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
    }

    /// A link, symbolic or hard.
    pub fn link(mut self, kind: EntryType, path: &[u8], target: &[u8]) -> Self {
        let mut header = Header::new_gnu();
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o777);
        header.set_size(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self
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

/// A record of a PAX header.
pub fn pax_record(key: &str, value: &str) -> String {
    let record = format!(" {key}={value}\n");
    // The length counts itself.
    let length = (1..)
        .map(|digits| record.len() + digits)
        .find(|length| length.to_string().len() + record.len() == *length)
        .unwrap();
    format!("{length}{record}")
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
