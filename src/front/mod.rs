//! The web server in front of `GoToSocial`: its configuration as text, and edits of what the administrator has there.
//!
//! Nothing here reads or writes a file. [`render()`] makes our own files from [`FrontSettings`]; [`nginx_conf`] and
//! [`httpd_conf`] edit the web server's main file, old text in, new text out, and look for other sites that are in the
//! way, by way of [`ConfigFiles`]. `docs/fronts.md` says what the configuration does and why.

mod body_limit;
mod files;
pub mod httpd_conf;
mod httpd_syntax;
pub mod nginx_conf;
mod nginx_syntax;
mod render;
mod settings;
mod version;

pub use body_limit::body_limit;
pub use files::{ConfigError, ConfigFiles, Conflict, Place, Wanted};
pub use render::{RenderError, RenderedFile, render};
pub use settings::{AccountDomain, Certificate, Front, FrontSettings, Logs};
pub use version::{FrontVersion, FrontVersionError};

/// The folder below which the answers to ACME challenges lie.
pub const ACME_WEBROOT: &str = "/usr/local/www/gts-bootstrap";

/// The folder of our own files below the web server's configuration folder.
pub const OWN_FOLDER: &str = "gts-bootstrap";

/// The folder in which our files stand beside [`OWN_FOLDER`] while they are tested.
pub const CANDIDATE_FOLDER: &str = "gts-bootstrap-candidate";
