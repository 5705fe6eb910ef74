//! A stand-in for GoToSocial, for tests on a real host: it behaves as the real program does, as far as an installer can
//! tell, and serves nobody.
//!
//! Like the real one it reads its configuration (by the library's own code, so that it agrees with the rehearsal by
//! construction), binds what that says, shows a maintenance page while it starts, keeps a database, answers the pages
//! that a check asks for, and dies as the real one dies. Its version is what a file `VERSION` beside it says, else the name of
//! its folder; with it go the ways of 0.19 or 0.20.
//!
//! What is not as in the real program: the database has few tables, `/stand-in/post?TEXT` writes a post, the certificate is self-made, requests in flight are
//! not waited for at a stop, nobody is limited in their requests, and neither PostgreSQL nor `tls-certificate-chain` is
//! there.
//!
//! On request it misbehaves; see `gotosocial/trouble.rs` for the environment variables.

mod gotosocial;

use std::process::ExitCode;

use gts_bootstrap::child::{self, CHILD_ARGUMENT};
use gts_bootstrap::host::CHILD_ROLES;

fn main() -> ExitCode {
    // The tests here have no other program that could be the children of the installer's host.
    if std::env::args_os().nth(1).is_some_and(|first| first == CHILD_ARGUMENT) {
        return child::main(CHILD_ROLES);
    }
    gotosocial::run(std::env::args().skip(1).collect())
}
