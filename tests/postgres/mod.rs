//! Copies of PostgreSQL databases and the way back, with a real server and its real programs: the executor and the host that run
//! on FreeBSD, on the files and programs of a folder. Needs PostgreSQL on this machine (`tests/run` installs it), and root, as the
//! programs are run as another user.

mod bench;
mod copies;
mod refusals;
mod secrecy;
mod server;
