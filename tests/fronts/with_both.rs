//! `with_both!`: the same cases with both web servers.

/// Each case once with nginx and once with Apache.
macro_rules! with_both {
    ($($case:ident),* $(,)?) => {
        mod nginx {
            $(#[test] fn $case() { super::$case(gts_bootstrap::front::Front::NGINX); })*
        }
        mod httpd {
            $(#[test] fn $case() { super::$case(gts_bootstrap::front::Front::HTTPD); })*
        }
    };
}
