//! Two machines with the same answers and the same lock: the same bytes, in the database and the log too, as their clocks
//! are models as well. Only the password of the first account is random.

use std::collections::BTreeMap;

use crate::machine::{ANSWERS, Machine, differences};

#[test]
fn the_same_answers_and_lock_give_the_same_bytes() {
    let bytes = |machine: &Machine| -> BTreeMap<_, _> {
        machine.edit(|model| {
            assert_eq!(model.passwords.len(), 1);
            model.passwords.clear();
            model.seen_passwords.clear();
            model.gotosocial.as_mut().unwrap().program.as_mut().unwrap().oauth = Default::default();
        });
        machine.snapshot().into_iter().map(|(path, (mode, _, content))| (path, (mode, content))).collect()
    };
    let answers = format!(
        "{ANSWERS}\n[config]\nlanding-page-user = \"alice\"\n[admin]\nusername = \"alice\"\nemail = \"a@example.org\"\n"
    );
    let (one, two) = (Machine::installed(&answers), Machine::fresh());
    let lock = one.read("/usr/local/etc/gts-bootstrap/deployment.lock");
    two.install(&answers).exits(0);
    assert_eq!(two.read("/usr/local/etc/gts-bootstrap/deployment.lock"), lock);
    assert_eq!(differences(&bytes(&one), &bytes(&two)), Vec::<std::path::PathBuf>::new());
}
