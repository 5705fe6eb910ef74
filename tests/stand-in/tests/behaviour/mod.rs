//! The stand-in behaves as GoToSocial does, as far as it was seen: started, asked and stopped on loopback ports.

mod commands;
mod handshakes;
mod passwords;
mod refusals;
mod serving;
