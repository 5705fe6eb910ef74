//! Requests and answers of HTTP/1.1.

use std::io::{self, Read, Write};

use gts_bootstrap::gotosocial::password_change::Carried;

/// The longest head of a request that is taken, and the longest form.
const LIMIT: usize = 16 * 1024;

/// A request, as far as it matters.
#[derive(Debug, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Path and query.
    pub(super) target: String,
    /// `Host`, as sent.
    pub(super) host: String,
    /// `X-Forwarded-For`: its first line, as gin takes no other.
    pub(super) forwarded_for: String,
    /// `X-Real-IP`.
    pub(super) real_ip: String,
    /// Whether it has a `User-Agent`.
    pub(super) has_user_agent: bool,
    /// Form, cookie and token.
    pub(super) carries: Carried,
    /// Whether the client may send another one.
    pub(super) keeps: bool,
}

impl Request {
    /// Reads one; `None` if the client has gone or does not speak HTTP.
    pub(super) fn read(stream: &mut impl Read) -> Option<Self> {
        let mut head = Vec::new();
        let mut part = [0; 1024];
        while !head.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read(&mut part) {
                Ok(0) | Err(_) => return None,
                Ok(count) => head.extend_from_slice(&part[..count]),
            }
            if head.len() > LIMIT {
                return None;
            }
        }
        let end = head.windows(4).position(|four| four == b"\r\n\r\n")?;
        let mut body = head.split_off(end + 4);
        let (mut length, mut is_form) = (0, false);
        let text = String::from_utf8_lossy(&head[..end]);
        let mut lines = text.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let mut request =
            Self { method: words.next()?.to_owned(), target: words.next()?.to_owned(), ..Self::default() };
        request.keeps = words.next() == Some("HTTP/1.1");
        for (name, value) in lines.filter_map(|line| line.split_once(':')) {
            match name.to_ascii_lowercase().as_str() {
                "host" => request.host = value.trim().to_owned(),
                "x-forwarded-for" if request.forwarded_for.is_empty() => {
                    request.forwarded_for = value.trim().to_owned()
                }
                "x-real-ip" if request.real_ip.is_empty() => request.real_ip = value.trim().to_owned(),
                "user-agent" => request.has_user_agent = !value.trim().is_empty(),
                "connection" => request.keeps &= !value.to_ascii_lowercase().contains("close"),
                "cookie" => request.carries.cookie = Some(value.trim().to_owned()),
                "authorization" => request.carries.token = value.trim().strip_prefix("Bearer ").map(str::to_owned),
                "content-length" => length = value.trim().parse().ok().filter(|length| *length <= LIMIT)?,
                "content-type" => is_form = value.trim() == "application/x-www-form-urlencoded",
                _ => {}
            }
        }
        if request.method == "POST" {
            while body.len() < length {
                match stream.read(&mut part) {
                    Ok(0) | Err(_) => return None,
                    Ok(count) => body.extend_from_slice(&part[..count]),
                }
            }
            // Of another type nothing is read.
            let form = String::from_utf8_lossy(&body[..length]).into_owned();
            request.carries.form = Some(if is_form { form } else { String::new() });
        }
        Some(request)
    }

    /// The target without its query, and the query.
    pub(super) fn path_and_query(&self) -> (&str, &str) {
        self.target.split_once('?').unwrap_or((&self.target, ""))
    }

    /// Whether only the head of the answer is wanted.
    pub(super) fn is_head(&self) -> bool {
        self.method == "HEAD"
    }
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Status code.
    pub(super) status: u16,
    /// Headers besides those that every answer has.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Body.
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A status without a body.
    pub(super) fn bare(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A body of a type.
    pub(super) fn of(status: u16, kind: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
    }

    /// With one more header.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it; the connection ends with it unless it is kept.
    pub(super) fn send(&self, stream: &mut impl Write, head_only: bool, keeps: bool) -> io::Result<()> {
        let mut head = format!("HTTP/1.1 {} {}\r\nServer: gotosocial\r\n", self.status, reason(self.status));
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let close = if keeps { "" } else { "Connection: close\r\n" };
        head += &format!("Content-Length: {}\r\n{close}\r\n", self.body.len());
        stream.write_all(head.as_bytes())?;
        if !head_only {
            stream.write_all(&self.body)?;
        }
        stream.flush()
    }
}

/// The words for a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        418 => "I'm a teapot",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}
