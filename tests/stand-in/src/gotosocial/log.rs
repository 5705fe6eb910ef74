//! Log lines in GoToSocial's form: INFO and below on standard output, errors and panics on standard error.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::process;
use std::time::{SystemTime, UNIX_EPOCH};

use super::request::{Answer, Request, reason};
use gts_bootstrap::gotosocial::Series;
use gts_bootstrap::gotosocial::loading::Settings;
use gts_bootstrap::utc;

/// What a shell says of a program that died of SIGPIPE. Go programs do, at the next line after their output broke.
const BROKEN_PIPE: i32 = 141;

/// Writes lines as the configuration wants them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Logger {
    tells: bool,
    series: Series,
}

impl Logger {
    /// The logger that these settings ask for.
    pub(super) fn of(settings: &Settings) -> Self {
        let level = settings.text("log-level").to_ascii_lowercase();
        Self { tells: matches!(level.as_str(), "trace" | "debug" | "info"), series: settings.series }
    }

    /// A line of level INFO.
    pub(super) fn info(self, function: &str, message: &str) {
        self.info_with(function, "", message);
    }

    /// A line of level INFO with more fields before the message.
    pub(super) fn info_with(self, function: &str, fields: &str, message: &str) {
        if self.tells {
            let time = utc::gotosocial_log(now());
            out(&format!("timestamp=\"{time}\" func={function} level=INFO {fields}msg=\"{message}\"\n"));
        }
    }

    /// A request that has been answered: the real one's line without `latency`, `userAgent` and `requestID`. The path is told
    /// without its query; 0.20 calls it `uri`.
    pub(super) fn request(self, request: &Request, answer: &Answer, client: Option<IpAddr>) {
        let name = match self.series {
            Series::V0_19 => "path",
            Series::V0_20 => "uri",
        };
        let client = client.map_or_else(String::new, |address| format!("clientIP={address} "));
        let (path, _) = request.path_and_query();
        let fields = format!("method={} statusCode={} {name}={path} {client}", request.method, answer.status);
        let message = format!("{}: wrote {}B", reason(answer.status), answer.body.len());
        let function = "middleware.Logger.func1.1";
        if answer.status < 500 {
            self.info_with(function, &fields, &message);
        } else {
            let time = utc::gotosocial_log(now());
            error(&format!("timestamp=\"{time}\" func={function} level=ERROR {fields}msg=\"{message}\"\n"));
        }
    }

    /// A TLS handshake that failed: 0.19 leaves that to Go's own logger.
    pub(super) fn handshake_error(self, from: SocketAddr, why: &str) {
        let message = format!("http: TLS handshake error from {from}: {why}");
        error(&match self.series {
            Series::V0_19 => format!("{} {message}\n", standard_time()),
            Series::V0_20 => {
                let (time, message) = (utc::gotosocial_log(now()), message.replace('"', "\\\""));
                format!("timestamp=\"{time}\" func=server.(*Server).logf level=ERROR msg=\"{message}\"\n")
            }
        });
    }
}

/// Writes to standard output; where nobody reads it any more the program dies, like the real one.
pub(super) fn out(text: &str) {
    let mut stdout = io::stdout().lock();
    if stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_err() {
        process::exit(BROKEN_PIPE);
    }
}

/// Writes to standard error.
pub(super) fn error(text: &str) {
    if io::stderr().lock().write_all(text.as_bytes()).is_err() {
        process::exit(BROKEN_PIPE);
    }
}

/// What a panic leaves behind.
pub(super) fn panic(text: &str) {
    let time = utc::gotosocial_log(now());
    error(&format!(
        "timestamp=\"{time}\" func=server.init.func2 level=PANIC msg=\"{text}\"\n\
         panic: {text}\n\ngoroutine 1 [running]:\nmain.main()\n"
    ));
}

/// The time as Go's own logger writes it.
pub(super) fn standard_time() -> String {
    utc::go_log(now())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
