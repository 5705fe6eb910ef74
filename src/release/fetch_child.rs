//! The child that fetches: HTTP, TLS and the texts that come by them.

use std::io;
use std::process;
use std::thread;

use reqwest::Url;
use serde_json::Value;

use super::Error;
use super::catalogue::from_forgejo;
use super::checksums::digest_of;
use super::download::{Download, read_small};
use super::http::HttpClient;
use super::resolve::MAX_CHECKSUMS_BYTES;
use super::wire::{Order, Teller, Told, Wish};
use crate::child::Role;

/// Fetches what an [`Order`] specifies, and tells it.
pub const FETCH: Role = ("fetch", fetch);

/// How much of a file is read at a time, in bytes.
const PIECE: usize = 256 * 1024;

fn fetch(task: Value) -> Result<(), String> {
    let Order { settings, wish } = serde_json::from_value(task).map_err(in_words)?;
    // The input ends with the program that waits for what comes, and the network may keep us for long.
    let watch = || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        process::exit(0);
    };
    thread::Builder::new().name("watch".to_owned()).spawn(watch).map_err(in_words)?;
    let teller = Teller::new().map_err(in_words)?;
    // If nobody listens any more, the next word fails too.
    let retries = |reason: String, wait| drop(teller.tell(&Told::Retries(reason, wait)));
    let http = HttpClient::new(settings, &retries);
    let last = match fulfil(wish, &http, &teller).map_err(in_words)? {
        Ok(()) => Told::Ends,
        Err(error) => Told::Failed(error),
    };
    teller.tell(&last).map_err(in_words)
}

fn in_words(error: impl ToString) -> String {
    error.to_string()
}

/// The outer error: nobody listens. The inner one: what is to be told.
fn fulfil(wish: Wish, http: &HttpClient<'_>, teller: &Teller) -> io::Result<Result<(), Error>> {
    let address = |text: &str| Url::parse(text).map_err(|error| Error::BadSource(text.to_owned(), error.to_string()));
    macro_rules! told {
        ($what:expr) => {
            match $what {
                Ok(come) => come,
                Err(error) => return Ok(Err(error)),
            }
        };
    }
    match wish {
        Wish::Catalogue(base) => {
            for release in told!(from_forgejo(&base, http)) {
                teller.tell(&Told::Release(release))?;
            }
        }
        Wish::Checksum { url, asset } => {
            let bytes = told!(read_small(&told!(address(&url)), MAX_CHECKSUMS_BYTES, http));
            let digest = told!(digest_of(&asset, &String::from_utf8_lossy(&bytes), &url));
            teller.tell(&Told::Digest(digest))?;
        }
        Wish::File { url, have, limit } => {
            let url = told!(address(&url));
            let mut download = told!(Download::open(&url, have, limit, http));
            teller.tell(&Told::Begins(download.total))?;
            let mut piece = vec![0; PIECE];
            loop {
                match told!(download.read(&mut piece)) {
                    0 => break,
                    count => teller.bytes(&piece[..count])?,
                }
            }
        }
    }
    Ok(Ok(()))
}
