//! The order in which changes are taken back.

use super::any::Change;
use super::kinds::ReloadFront;

/// The order in which changes are taken back, as places in `changes`: the last first. But a service that was stopped starts
/// again only when a web server that took its ports has read its old configuration, which is the first change of a front
/// that was there before.
pub(super) fn order(changes: &[&Change]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..changes.len()).rev().collect();
    let is = |what: fn(&Change) -> bool| changes.iter().position(|change| what(change));
    // Stopped for a copy of its database and running again: nothing that is taken back is any of its business.
    if let (Some(stop), Some(start)) = (
        is(|change| matches!(change, Change::ServiceStop(_))),
        is(|change| matches!(change, Change::ServiceStart { .. })),
    ) && start + 1 < changes.len()
        && only_copied(changes.get(stop + 1..start).unwrap_or_default())
    {
        order.retain(|place| *place != stop && *place != start);
    }
    let is_reload = |change: &&Change| matches!(change, Change::FrontReload(ReloadFront { when_undone: true, .. }));
    let Some(reload) = changes.iter().position(is_reload) else { return order };
    let waits = |place: &usize| *place > reload && matches!(changes[*place], Change::ServiceStop(_));
    let (stops, mut order): (Vec<usize>, Vec<usize>) = order.into_iter().partition(waits);
    let behind = order.iter().position(|place| *place == reload).map_or(order.len(), |at| at + 1);
    order.splice(behind..behind, stops);
    order
}

/// Whether these changes, made while a service was stopped, only copy its database.
fn only_copied(changes: &[&Change]) -> bool {
    !changes.is_empty() && changes.iter().all(|change| matches!(change, Change::DatabaseCopy { .. }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    /// The changes of these JSON texts, in the order in which they are taken back.
    fn order_of(changes: &[&str]) -> Vec<usize> {
        let changes: Vec<Change> = changes.iter().map(|text| serde_json::from_str(text).unwrap()).collect();
        order(&changes.iter().collect::<Vec<_>>())
    }

    const STOP: &str = r#"{"kind":"service-stop","name":"gotosocial"}"#;
    const START: &str = r#"{"kind":"service-start","start":{"name":"gotosocial","owner":{"uid":209,"gid":209},"ports":[],
        "readiness":{"host":"h.example.org","address":"127.0.0.1:8080","tls":false,"log":"/l","certificate":null}}}"#;
    const COPY: &str = r#"{"kind":"database-copy","copy":{"from":{"type":"sqlite","path":"/d"},"to":"/c","service":"gotosocial",
        "owner":{"uid":209,"gid":209},"thorough":false,"host":"h.example.org","version":"0.19.2","guards":false}}"#;
    const FILE: &str = r#"{"kind":"removal","path":"/f"}"#;
    const RELOAD: &str = r#"{"kind":"front-reload","front":"nginx","when_undone":true}"#;

    #[test]
    fn a_service_that_was_stopped_only_for_a_copy_is_left_alone() {
        assert_eq!(order_of(&[FILE, STOP, COPY, START, FILE]), [4, 2, 0]);
        // The start itself failed, or more than the database was copied meanwhile.
        assert_eq!(order_of(&[FILE, STOP, COPY, START]), [3, 2, 1, 0]);
        assert_eq!(order_of(&[STOP, COPY, FILE, START, FILE]), [4, 3, 2, 1, 0]);
    }

    #[test]
    fn a_service_starts_again_when_the_web_server_has_read_its_old_configuration() {
        assert_eq!(order_of(&[RELOAD, FILE, STOP, FILE, START]), [4, 3, 1, 0, 2]);
        assert_eq!(order_of(&[STOP, RELOAD, FILE]), [2, 1, 0], "stopped before");
        // Both rules at once.
        assert_eq!(order_of(&[RELOAD, STOP, COPY, START, FILE, STOP]), [4, 2, 0, 5]);
    }
}
