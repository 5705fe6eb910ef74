//! Tests of a web server's configuration, by the web server itself.

use std::path::Path;

use super::command::{Commands, Finished};
use crate::front::httpd_conf::TESTING;
use crate::host::{FrontProgram, HostError, Output};

const NGINX: &str = "/usr/local/sbin/nginx";
const HTTPD: &str = "/usr/local/sbin/httpd";

/// The configuration is a candidate, beside which what is live must not count: [`TESTING`].
///
/// nginx(8): `-q` leaves out what is no error; httpd(8) says "Syntax OK" on standard error.
pub(super) fn test(commands: &Commands, front: FrontProgram, config: &Path) -> Result<Output, HostError> {
    let config = config.to_string_lossy();
    let finished = match front {
        FrontProgram::Nginx => commands.run(NGINX, &["-t", "-q", "-c", &config]),
        FrontProgram::Httpd => commands.run(HTTPD, &["-t", "-D", TESTING, "-f", &config]),
    };
    finished.map(Finished::output)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn a_configuration_is_tested_where_it_stands() {
        let tools = StandIns::new();
        for (front, program, arguments) in [
            (FrontProgram::Nginx, NGINX, vec!["-t", "-q", "-c", "/etc/a b.conf"]),
            (FrontProgram::Httpd, HTTPD, vec!["-t", "-D", "GTS_BOOTSTRAP_TEST", "-f", "/etc/a b.conf"]),
        ] {
            tools.keeps(program);
            assert_eq!(test(&tools.commands(), front, Path::new("/etc/a b.conf")).unwrap().status, Some(0));
            assert_eq!(tools.arguments(), arguments);
        }
    }

    #[test]
    fn what_the_web_server_refuses_is_told() {
        let tools = StandIns::new();
        let config = Path::new("/usr/local/etc/nginx/nginx.conf");
        assert!(matches!(test(&tools.commands(), FrontProgram::Nginx, config), Err(HostError::Start { .. })));
        // As nginx 1.22 words it.
        tools.add(
            NGINX,
            "echo 'nginx: [emerg] unknown directive \"foo\" in /usr/local/etc/nginx/nginx.conf:1' >&2; exit 1",
        );
        let output = test(&tools.commands(), FrontProgram::Nginx, config).unwrap();
        assert!(output.status == Some(1) && output.stderr.contains("unknown directive"), "{output:?}");
    }
}
