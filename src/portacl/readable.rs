//! The readable form of the rules: one line per rule, in the style of pf's `pfctl -sr`.
//!
//! [`print()`] returns what is in force as data, including the implied lines. [`render`] aligns it in columns.
//! [`parse_readable`] parses it, and what people write in that form.
//!
//! ```text
//! pass  proto tcp  port 80 (http)    user gotosocial (209)
//! pass  proto tcp  port 443 (https)  user gotosocial (209)
//! pass  proto any  port 1-1023       user root            # suser_exempt
//! block proto any  port 80-1023      all                  # mac_portacl default
//! block proto any  port 1-79         all                  # reservedhigh 79
//! ```
//!
//! # What the table means
//!
//! For a process that binds a port, the first matching line decides, as with `quick` in pf. A line marked `no effect`
//! does not count, and one marked `for root alone` applies to root only. A port that no line covers is open to every
//! user. Port 0 is not a port: it stands for any free one.
//!
//! # The grammar
//!
//! In the notation of RFC 5234, with any number of spaces between two words. Words are case-sensitive.
//!
//! ```text
//! file       = *( line LF )
//! line       = [ [ sign ] ( rule / implied ) ] [ "#" comment ]
//! sign       = "-" / "+"                ; until the next boot / from the next boot on
//! rule       = "pass" [ "proto" protocols ] "port" ports subject
//! protocols  = protocol / "{" protocol *( [ "," ] protocol ) "}"
//! protocol   = "tcp" / "udp"            ; tcp if there is no "proto"
//! ports      = port *( "," port ) / "{" port *( [ "," ] port ) "}"
//! port       = ( number / service ) [ "(" ( service / number ) ")" ]
//! subject    = ( "user" / "group" ) ( id / name ) [ "(" id ")" ]
//! id         = [ "-" ] number           ; the kernel can hold a negative one
//! implied    = "pass" "proto" "any" "port" range root
//!            / ( "pass" / "block" ) "proto" "any" "port" range "all"
//! range      = number [ "-" number ]
//! root       = "user" ( "root" / "0" ) [ "(" "0" ")" ]
//! number     = 1*DIGIT
//! service, name                         ; any characters but blanks and # , ( ) { }, and not an id
//! ```
//!
//! A rule with several protocols or ports stands for one rule each, the protocols in their order, and for each of them
//! the ports in theirs. A bracket must not contradict the value before it: `80 (https)` is an error. A name that is
//! unknown on this host is accepted if a number follows it in brackets. Implied lines follow from the settings of the
//! kernel, not from the list of rules: they are recognised and change nothing.

mod error;
mod implied;
mod layout;
mod line;
mod parse;
mod print;
mod words;

pub use error::{ReadableError, ReadableFault};
pub use layout::render;
pub use line::{Action, Line, PortRange, Sign, Whom};
pub use parse::{ImpliedStatement, RuleStatement, Ruleset, parse_readable};
pub use print::print;
