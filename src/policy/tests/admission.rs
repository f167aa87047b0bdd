//! Who is let in at all.

use super::*;

const POLICY: &str = r#"
email_domains: [example.edu, "*.Example.org"]
blocked: { users: [Mallory@example.edu, 65F0C1D2E3A4B5C6D7E8F901], groups: [gone] }
roles: { USER: { unrestricted: true }, ADMIN: { unrestricted: true } }
"#;

fn somebody(id: &str, email: Option<&str>, groups: &[&str]) -> Caller {
    Caller { user: id.into(), email: email.map(Into::into), ..caller("ADMIN", groups, "") }
}

#[test]
fn whoever_is_named_or_outside_is_turned_away_by_the_statement_that_says_so() {
    let policy = policy(POLICY);
    for (id, email, groups, wanted) in [
        (ID, Some("ann@example.edu"), &[][..], None),
        (ID, Some("Ann@EXAMPLE.EDU"), &[], None),
        (ID, Some("ann@cs.example.org"), &[], None),
        (ID, Some("ann@a.b.example.org"), &["staff"], None),
        (ID, Some("ann@example.org"), &[], Some("email_domains")),
        (ID, Some("ann@cs.example.edu"), &[], Some("email_domains")),
        (ID, Some("ann@notexample.edu"), &[], Some("email_domains")),
        (ID, Some("ann@notexample.org"), &[], Some("email_domains")),
        (ID, Some("ann@example.edu.evil.com"), &[], Some("email_domains")),
        (ID, Some("ann@example.edu@evil.com"), &[], Some("email_domains")),
        (ID, Some("\"ann@evil.com\"@example.edu"), &[], None),
        (ID, Some("ann@example.edu."), &[], Some("email_domains")),
        (ID, Some("example.edu"), &[], Some("email_domains")),
        (ID, Some("ann@"), &[], Some("email_domains")),
        (ID, Some(""), &[], Some("email_domains")),
        (ID, None, &[], Some("email_domains")),
        (ID, Some("mallory@example.edu"), &[], Some("blocked.users")),
        (ID, Some("MALLORY@Example.edu"), &[], Some("blocked.users")),
        ("65f0c1d2e3a4b5c6d7e8f901", Some("ann@example.edu"), &[], Some("blocked.users")),
        (ID, Some("ann@example.edu"), &["staff", "gone"], Some("blocked.groups")),
        (ID, Some("ann@example.edu"), &["Gone"], None),
        // Blocked comes before the domains: it is the plainer word.
        (ID, None, &["gone"], Some("blocked.groups")),
    ] {
        let caller = somebody(id, email, groups);
        assert_eq!(policy.turned_away(&caller).map(RuleId::as_str), wanted, "{id} {email:?} {groups:?}");
        let wanted = wanted.map_or("allow roles.ADMIN.unrestricted".to_owned(), |rule| format!("deny {rule}"));
        assert_eq!(answer(&policy, &caller, model("openAI", "any")), wanted, "{id} {email:?} {groups:?}");
    }
}

#[test]
fn each_statement_holds_by_itself_and_a_policy_without_any_asks_nothing() {
    let nobody = somebody(ID, None, &["gone"]);
    assert!(!policy("").turns_anybody_away());
    assert_eq!(policy("").turned_away(&nobody), None);
    for (text, wanted) in [
        ("blocked: { users: [ann@example.edu] }", None),
        ("blocked: { groups: [gone] }", Some("blocked.groups")),
        ("email_domains: [example.edu]", Some("email_domains")),
    ] {
        let policy = policy(text);
        assert!(policy.turns_anybody_away(), "{text}");
        assert_eq!(policy.turned_away(&nobody).map(RuleId::as_str), wanted, "{text}");
    }
}

#[test]
fn shadow_mode_only_tells() {
    let policy = policy(&format!("mode: shadow\n{POLICY}"));
    let caller = somebody(ID, None, &[]);
    assert_eq!(answer(&policy, &caller, model("openAI", "any")), "shadowed email_domains");
}

#[test]
fn a_request_for_nothing_is_refused_too() {
    let (policy, caller) = (policy(POLICY), somebody(ID, None, &[]));
    let verdict = decide(&policy, &Ask { caller: &caller, targets: &[] });
    assert_eq!((verdict.outcome, verdict.because[0].as_str()), (Outcome::Deny(Reason::Caller), "email_domains"));
}

#[test]
fn groups_of_a_mapping_count() {
    use crate::policy::mapping::{Claim, Claims};
    struct Gone;
    impl Claims for Gone {
        fn values(&self, _claim: &Claim) -> Vec<Box<str>> {
            vec!["gone".into()]
        }
    }
    let policy = policy(&format!("{POLICY}group_mapping: [{{ claim: groups, token: id }}]\n"));
    let caller = somebody(ID, Some("ann@example.edu"), &[]);
    assert_eq!(policy.turned_away(&caller), None);
    assert_eq!(policy.turned_away(&policy.mapped(&caller, &Gone)).map(RuleId::as_str), Some("blocked.groups"));
}

#[test]
fn explain_says_it_first() {
    let policy = policy(POLICY);
    let told = explain::explain(&policy, &somebody(ID, None, &[]));
    let table = told.to_table();
    let first = table.lines().find(|line| line.starts_with('(')).unwrap();
    assert_eq!(first.split_whitespace().collect::<Vec<_>>(), ["(this", "caller)", "denies", "-", "email_domains"]);
    let told = explain::explain(&policy, &somebody(ID, Some("ann@example.edu"), &[]));
    assert!(!told.to_table().contains("(this caller)"));
}
