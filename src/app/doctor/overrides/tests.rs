use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::app::doctor::State;
use crate::policy::overrides::{Kind, Principal};
use crate::policy::{Source, compile};
use crate::store::overrides::{Override, Unreadable};

fn document(id: &str, overrides: serde_json::Value, is_active: bool) -> Override {
    Override {
        principal: Principal { kind: Kind::Group, id: id.into() },
        priority: 20,
        overrides: overrides.as_object().unwrap().clone(),
        is_active,
        config_version: 1,
        updated_at: Timestamp::UNIX_EPOCH,
        updated_by: None,
        note: None,
        expires_at: None,
    }
}

#[test]
fn what_serve_would_set_aside_is_a_fault_and_the_rest_is_counted() {
    let text = "version: 1\nroles: { USER: { limits: [{ id: day, requests: 1, per: user, window: day }] } }";
    let policy = compile(&[Source { path: "p.yaml".into(), text: text.into() }]).unwrap().0;
    let told = |kept: &Kept| -> Vec<(State, String)> {
        let findings = findings(kept, &policy, Timestamp::UNIX_EPOCH);
        assert!(findings.iter().all(|finding| finding.advice.is_some() == (finding.state == State::Fault)));
        findings.into_iter().map(|finding| (finding.state, finding.found)).collect()
    };
    let good = || document("lab", json!({"limits": {"day": {"requests": 3}}}), true);
    let bad = |is_active| document("staff", json!({"limits": {"gone": {"requests": 3}}}), is_active);
    let kept = |documents| Kept { documents, unreadable: Vec::new() };
    assert_eq!(told(&kept(Vec::new())), [(State::Ok, "there are none".to_owned())]);
    assert_eq!(told(&kept(vec![good()])), [(State::Ok, "1 in force".to_owned())]);
    let off = (State::Ok, "1 in force, 1 other switched off or over".to_owned());
    assert_eq!(told(&kept(vec![good(), bad(false)])), [off], "what does not count is not set aside");
    let unreadable =
        vec![Unreadable { name: "user x".into(), why: "it has no version".into(), of: None, is_active: true }];
    let found = told(&Kept { unreadable, ..kept(vec![good(), bad(true)]) });
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        found[0].0 == State::Fault
            && found[0].1.starts_with("serve sets aside the one of group staff, and refuses whom it is about: "),
        "{found:?}"
    );
    assert_eq!(
        found[1],
        (
            State::Fault,
            "serve sets aside the one of user x, and refuses whom it is about: it has no version".to_owned()
        )
    );
}
