//! Tests of a web server's configuration, by the web server itself.

use std::path::Path;

use super::command::{Commands, Finished};
use crate::front::Front;
use crate::host::{HostError, Output};

/// The configuration is a candidate, beside which what is live must not count.
pub(super) fn test(commands: &Commands, front: Front, config: &Path) -> Result<Output, HostError> {
    let config = config.to_string_lossy();
    let arguments = [front.test, &[config.as_ref()]].concat();
    commands.run(front.program, &arguments).map(Finished::output)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::stand_in::StandIns;
    use super::*;

    #[test]
    fn a_configuration_is_tested_where_it_stands() {
        let tools = StandIns::new();
        for (front, arguments) in [
            (Front::NGINX, vec!["-t", "-q", "-c", "/etc/a b.conf"]),
            (Front::HTTPD, vec!["-t", "-D", "GTS_BOOTSTRAP_TEST", "-f", "/etc/a b.conf"]),
        ] {
            tools.keeps(front.program);
            assert_eq!(test(&tools.commands(), front, Path::new("/etc/a b.conf")).unwrap().status, Some(0));
            assert_eq!(tools.arguments(), arguments);
        }
    }

    #[test]
    fn what_the_web_server_refuses_is_told() {
        let tools = StandIns::new();
        let config = Path::new("/usr/local/etc/nginx/nginx.conf");
        assert!(matches!(test(&tools.commands(), Front::NGINX, config), Err(HostError::Start { .. })));
        // As nginx 1.22 words it.
        tools.add(
            Front::NGINX.program,
            "echo 'nginx: [emerg] unknown directive \"foo\" in /usr/local/etc/nginx/nginx.conf:1' >&2; exit 1",
        );
        let output = test(&tools.commands(), Front::NGINX, config).unwrap();
        assert!(output.status == Some(1) && output.stderr.contains("unknown directive"), "{output:?}");
    }
}
