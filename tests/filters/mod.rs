//! The filters in the real nginx and the real Apache httpd: each kind hit and missed, and a hundred thousand at once.

mod backend;
mod client;
mod front;
mod kinds;
mod many;
mod rates;
