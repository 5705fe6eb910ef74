//! The PostgreSQL database of a deployment, and how it is reached.

use crate::change::postgres::Connection;
use crate::deployment::{ConfigValue, Deployment, Layout};
use crate::host::Owner;

/// How the database of a deployment is reached; `None` if it is a file.
pub fn connection(deployment: &Deployment, layout: &Layout, owner: Owner) -> Option<Connection> {
    let authorities = match deployment.config.get("db-tls-ca-cert") {
        Some(ConfigValue::Text(file)) if !file.is_empty() => Some(file.clone()),
        _ => None,
    };
    let connection = Connection::of(&deployment.database, &layout.secrets(), owner, &layout.tmp())?;
    Some(connection.trusting(authorities))
}
