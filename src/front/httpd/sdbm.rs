//! Writes a table of keys and values that Apache can look things up in: SDBM, which every APR has built in.
//!
//! It is written here and not by Apache's `httxt2dbm`, so that planning needs no program, and the same rules give the
//! same bytes. The format is that of APR's `dbm/sdbm/`: a file of pages of 1024 bytes, and a file of bits that says
//! which pages were split. A page begins with the number of its offsets, then the offsets of each key and value, which
//! fill the page from its end; all are 16-bit numbers in the machine's order, which is little-endian wherever
//! `GoToSocial` runs. Which page a key is on, its hash tells: from its lowest bit on, one bit more for each split.

use std::collections::BTreeMap;

/// Bytes of a page.
const PAGE: usize = 1024;
/// Bytes of a block of bits.
const BLOCK: usize = 4096;
/// The deepest split. Pages then take up 128 MiB; real lists of 100,000 need 14 or so.
const DEEPEST: u32 = 17;

/// The two files of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Database {
    /// `NAME.pag`
    pub pages: Vec<u8>,
    /// `NAME.dir`
    pub directory: Vec<u8>,
}

/// Writes a table of short texts.
///
/// # Errors
/// In words: too many keys have the same lowest bits of their hash.
pub(super) fn write(pairs: &BTreeMap<String, &str>) -> Result<Database, String> {
    let mut database = Database { pages: Vec::new(), directory: Vec::new() };
    database.place(pairs.iter().map(|(key, value)| (hash(key), key.as_str(), *value)).collect(), 0, 0, 0)?;
    // Reading ends at the end of the file, so that it may not end within a block.
    database.directory.resize(database.directory.len().next_multiple_of(BLOCK), 0);
    Ok(database)
}

/// The hash of a key, the key and its value.
type Pair<'a> = (u32, &'a str, &'a str);

/// `sdbm_hash`: all that is ever looked at are the lowest bits.
fn hash(key: &str) -> u32 {
    key.bytes().fold(0, |hash: u32, byte| hash.wrapping_mul(65599).wrapping_add(u32::from(byte)))
}

impl Database {
    /// Puts pairs on the page with this number, or splits it. `bit` is the place of the split among all, `depth` how
    /// many bits of the hash have been used.
    fn place(&mut self, pairs: Vec<Pair<'_>>, page: usize, bit: usize, depth: u32) -> Result<(), String> {
        let bytes: usize = pairs.iter().map(|(_, key, value)| key.len() + value.len() + 4).sum();
        if bytes + 2 <= PAGE {
            self.fill(&pairs, page * PAGE);
            return Ok(());
        }
        if depth == DEEPEST {
            return Err(format!(
                "the lists hold networks that Apache's table cannot keep apart: {} of them have the same place in it. No \
                 real list does this; look where yours are from",
                pairs.len()
            ));
        }
        let length = self.directory.len().max(bit / 8 + 1);
        self.directory.resize(length, 0);
        self.directory[bit / 8] |= 1 << (bit % 8);
        let (one, zero): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(hash, ..)| hash >> depth & 1 == 1);
        self.place(zero, page, 2 * bit + 1, depth + 1)?;
        self.place(one, page | 1 << depth, 2 * bit + 2, depth + 1)
    }

    fn fill(&mut self, pairs: &[Pair<'_>], start: usize) {
        let length = self.pages.len().max(start + PAGE);
        self.pages.resize(length, 0);
        let page = &mut self.pages[start..start + PAGE];
        let mut numbers = vec![2 * pairs.len()];
        let mut end = PAGE;
        for text in pairs.iter().flat_map(|(_, key, value)| [key, value]) {
            let begin = end - text.len();
            page[begin..end].copy_from_slice(text.as_bytes());
            numbers.push(begin);
            end = begin;
        }
        for (place, number) in page.chunks_exact_mut(2).zip(numbers) {
            // Both are below 1024.
            place.copy_from_slice(&u16::try_from(number).unwrap_or_default().to_le_bytes());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Looks a key up as APR does.
    fn look_up(database: &Database, key: &str) -> Option<String> {
        let hash = hash(key);
        let (mut bit, mut depth) = (0_usize, 0);
        while bit < database.directory.len() * 8 && database.directory[bit / 8] >> (bit % 8) & 1 == 1 {
            bit = 2 * bit + if hash >> depth & 1 == 1 { 2 } else { 1 };
            depth += 1;
        }
        let page = hash as usize & ((1 << depth) - 1);
        let page = database.pages.get(page * PAGE..(page + 1) * PAGE)?;
        let number = |at: usize| usize::from(u16::from_le_bytes([page[2 * at], page[2 * at + 1]]));
        let mut end = PAGE;
        for pair in (1..number(0)).step_by(2) {
            let (key_at, value_at) = (number(pair), number(pair + 1));
            if &page[key_at..end] == key.as_bytes() {
                return Some(String::from_utf8(page[value_at..key_at].to_vec()).unwrap());
            }
            end = value_at;
        }
        None
    }

    #[test]
    fn the_hash_is_that_of_sdbm() {
        assert_eq!(hash(""), 0);
        assert_eq!(hash("a"), 97);
        assert_eq!(hash("ab"), 97 * 65599 + 98);
    }

    #[test]
    fn a_hundred_thousand_are_found() {
        let keys: Vec<String> =
            (0..100_000_u32).map(|number| format!("4{:08x}", number.wrapping_mul(40503) << 2)).collect();
        let database = write(&keys.iter().map(|key| (key.clone(), "deny")).collect()).unwrap();
        assert!(database.pages.len() < 32 << 20, "{}", database.pages.len());
        assert!(keys.iter().all(|key| look_up(&database, key).as_deref() == Some("deny")));
        assert_eq!(look_up(&database, "4ffffffff"), None);
    }

    /// Rows of neighbours, as lists have them, are spread as well.
    #[test]
    fn neighbours_are_spread() {
        let keys: Vec<String> = (0..100_000_u32).map(|number| format!("4{:08x}", 0xc000_0000 + number)).collect();
        let database = write(&keys.iter().map(|key| (key.clone(), "deny")).collect()).unwrap();
        assert!(database.pages.len() < 32 << 20, "{}", database.pages.len());
    }

    #[test]
    fn an_empty_table_has_one_empty_page() {
        let database = write(&BTreeMap::new()).unwrap();
        assert_eq!(database, Database { pages: vec![0; PAGE], directory: Vec::new() });
        assert_eq!(look_up(&database, "4"), None);
    }

    #[test]
    fn keys_with_the_same_hash_are_refused() {
        // A letter less is made up for by 65599 more in the next one, if the letters were that large: with nulls in
        // front any number of keys has the hash 0.
        let keys: Vec<String> = (1..200).map(|length| "\0".repeat(length)).collect();
        let error = write(&keys.iter().map(|key| (key.clone(), "deny")).collect()).unwrap_err();
        assert!(error.contains("keep apart: 199 of them"), "{error}");
    }

    proptest! {
        #[test]
        fn what_was_written_is_found(pairs in prop::collection::btree_map("[46][0-9a-f]{0,12}", "deny|allow", 0..400), other in "[46][0-9a-f]{0,12}") {
            let database = write(&pairs.iter().map(|(key, value)| (key.clone(), value.as_str())).collect()).unwrap();
            let found: BTreeMap<String, String> =
                pairs.keys().filter_map(|key| look_up(&database, key).map(|value| (key.clone(), value))).collect();
            prop_assert_eq!(&found, &pairs);
            prop_assert_eq!(look_up(&database, &other), pairs.get(&other).cloned());
        }
    }
}
