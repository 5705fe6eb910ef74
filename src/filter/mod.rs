//! Filters of the web server in front of `GoToSocial`: who is refused, which paths are for whom, how often one may ask.
//!
//! One text file is the source, [`FILE`]. It is read into [`Filters`]; the lists of addresses that it names, kept
//! beside it, are [`Lists`]. From both come the configuration of the web server, which each front renders for itself, and
//! the answer to "what would happen to this request" ([`decide()`]). Nothing here reads or writes a file.
//! `docs/filters.md` has the language and its meaning.
//!
//! The order of decision, the same everywhere:
//!
//! 1. loopback passes, whatever the rules say;
//! 2. of the `deny` and `allow` rules that cover the address the most specific decides; only where there is none are
//!    the lists asked. Refused is 403;
//! 3. `deny agent`, unless an `allow` has let the address in: 403;
//! 4. of the `protect` rules that cover the path the longest decides, for everybody: 403;
//! 5. of the `rate` rules that cover the path the longest counts, for everybody: 429.
//!
//! Most specific network, longest path: those need no order of lines, and one look into a tree answers them, however
//! many networks there are.

mod agent;
mod danger;
mod decide;
mod file;
mod line;
mod list;
mod network;
mod path;
mod rate;
mod rule;
mod table;

pub use agent::AgentPattern;
pub use danger::{Danger, dangerous};
pub use decide::{Decision, Outcome, decide};
pub use file::{Added, Filters, PathRule, Selector};
pub use list::{List, ListName, Lists};
pub use network::Network;
pub use path::UrlPath;
pub use rate::Rate;
pub use rule::Rule;
pub use table::{Verdict, table};

/// The rules: below the records folder, `/usr/local/etc/gts-bootstrap/filters.conf`.
pub const FILE: &str = "filters.conf";

/// The folder of the lists, below the records folder: `/usr/local/etc/gts-bootstrap/filters`.
pub const LISTS: &str = "filters";
