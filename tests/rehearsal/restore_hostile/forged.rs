//! Backups in parts, and put together again with something about them that no backup has.

use std::fs::{self, File};
use std::path::Path;

use gts_bootstrap::backup::{self, Entry, Head, Manifest};
use gts_bootstrap::change::digest;

use super::MEDIUM;
use crate::machine::Machine;
use crate::rehearsal::backup::{instance, made};

/// A header of ustar, by hand.
pub fn header(path: &str, kind: u8, size: usize, mode: u32, time: u64) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, path.as_bytes());
    put(100, format!("{mode:07o}\0{:07o}\0{:07o}\0{size:011o}\0{time:011o}\0", 0, 0).as_bytes());
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    sealed(block)
}

/// A header with its checksum.
pub fn sealed(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:07o}\0").as_bytes());
    block
}

/// A record of a PAX header: its own length, a key and a value.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let length = (1..).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
    format!("{length}{rest}").into_bytes()
}

/// A member: what the manifest says of it, its header, and its content.
#[derive(Clone)]
pub struct Part {
    pub listed: Entry,
    pub header: Vec<u8>,
    pub content: Vec<u8>,
}

/// A backup in parts.
#[derive(Clone)]
pub struct Forged {
    pub head: Head,
    /// Bytes that the manifest may take.
    pub room: usize,
    pub parts: Vec<Part>,
}

impl Forged {
    pub fn of(file: &Path) -> Self {
        let mut file = File::open(file).unwrap();
        let manifest = backup::open(&mut file).unwrap().manifest;
        let mut members = Vec::new();
        backup::walk(&mut file, &manifest, &|| Ok(()), &mut |entry, bytes| {
            let mut content = Vec::new();
            bytes.read_to_end(&mut content)?;
            members.push((entry.clone(), content));
            Ok(())
        })
        .unwrap();
        let empty = Self { head: manifest.head, room: 0, parts: Vec::new() };
        members.iter().fold(empty, |forged, (entry, content)| forged.with_mode(&entry.path, content, entry.mode))
    }

    pub fn with_mode(mut self, path: &str, content: &[u8], mode: u32) -> Self {
        let listed = Entry { path: path.into(), size: content.len() as u64, mode, sha256: digest(content) };
        let header = header(path, b'0', content.len(), mode, self.head.created);
        self.parts.push(Part { listed, header, content: content.to_vec() });
        self
    }

    /// One more member, which is what the manifest says.
    pub fn with(&self, path: &str, content: impl AsRef<[u8]>) -> Self {
        self.clone().with_mode(path, content.as_ref(), 0o600)
    }

    /// One more member, which has another header than the manifest says.
    pub fn disguised(&self, content: impl AsRef<[u8]>, header: Vec<u8>) -> Self {
        let mut forged = self.with(MEDIUM, content);
        forged.parts.last_mut().unwrap().header = header;
        forged
    }

    /// With another content of a member, which the manifest knows.
    pub fn replaced(&self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let mut forged = self.clone();
        let at = forged.parts.iter().position(|part| part.listed.path == path).unwrap();
        let part = forged.with(path, content).parts.pop().unwrap();
        forged.parts[at] = part;
        forged
    }

    pub fn without(&self, path: &str) -> Self {
        let mut forged = self.clone();
        forged.parts.retain(|part| part.listed.path != path);
        forged
    }

    pub fn content(&self, path: &str) -> Vec<u8> {
        self.parts.iter().find(|part| part.listed.path == path).unwrap().content.clone()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let entries = self.parts.iter().map(|part| part.listed.clone()).collect();
        let mut text = serde_json::to_vec(&Manifest { head: self.head.clone(), entries }).unwrap();
        text.resize(text.len().max(self.room), b' ');
        let mut bytes = header("manifest.json", b'0', text.len(), 0o600, self.head.created);
        let mut add = |header: &[u8], content: &[u8]| {
            bytes.extend(header);
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(512), 0);
        };
        add(&[], &text);
        self.parts.iter().for_each(|part| add(&part.header, &part.content));
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }
}

/// An instance, and its backup in parts.
pub fn scene() -> (Machine, Forged) {
    let machine = instance();
    let file = made(&machine);
    let mut forged = Forged::of(&file);
    let bytes = fs::read(&file).unwrap();
    forged.room = usize::from_str_radix(std::str::from_utf8(&bytes[124..135]).unwrap(), 8).unwrap();
    // So every forgery differs from a real one in what it says, and in nothing else.
    assert_eq!(forged.bytes(), bytes);
    forged.room = 0;
    fs::remove_file(file).unwrap();
    (machine, forged)
}
