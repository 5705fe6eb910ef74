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
use crate::child::{NETWORK, Role};

/// Fetches what an `Order` specifies, and tells it.
pub const FETCH: Role = ("fetch", NETWORK, fetch);

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
    let retries = |reason: String, wait| teller.tell(&Told::Retries(reason, wait));
    let lives = || teller.bytes(&[]);
    let fulfilled = fulfil(wish, &HttpClient::new(settings, &retries, &lives), &teller);
    teller.tell(&fulfilled.map_or_else(Told::Failed, |()| Told::Ends));
    Ok(())
}

fn in_words(error: impl ToString) -> String {
    error.to_string()
}

fn fulfil(wish: Wish, http: &HttpClient<'_>, teller: &Teller) -> Result<(), Error> {
    let address = |text: &str| Url::parse(text).map_err(|error| Error::BadSource(text.to_owned(), error.to_string()));
    match wish {
        Wish::Catalogue(base) => {
            from_forgejo(&base, http)?.into_iter().for_each(|release| teller.tell(&Told::Release(release)));
        }
        Wish::Checksum { url, asset } => {
            let bytes = read_small(&address(&url)?, MAX_CHECKSUMS_BYTES, http)?;
            teller.tell(&Told::Digest(digest_of(&asset, &String::from_utf8_lossy(&bytes), &url)?));
        }
        Wish::File { url, have, limit } => {
            let url = address(&url)?;
            let mut download = Download::open(&url, have, limit, http)?;
            teller.tell(&Told::Begins(download.total));
            let mut piece = vec![0; PIECE];
            loop {
                match download.read(&mut piece)? {
                    0 => break,
                    count => teller.bytes(&piece[..count]),
                }
            }
        }
    }
    Ok(())
}
