//! What claims make of a caller.

use super::super::mapping::{Claim, Claims, TokenKind};
use super::*;

/// Claims as (token, path, values).
struct Told<'a>(&'a [(TokenKind, &'a str, &'a [&'a str])]);

impl Claims for Told<'_> {
    fn values(&self, claim: &Claim) -> Vec<Box<str>> {
        let fitting = self.0.iter().filter(|(token, path, _)| (*token, *path) == (claim.token, &*claim.path));
        fitting.flat_map(|(_, _, values)| values.iter().map(|value| Box::from(*value))).collect()
    }
}

const POLICY: &str = r#"
unlisted: { role: allow }
role_mapping:
  - { claim: "cognito:groups", token: id, has: admins, role: ADMIN }
  - { claim: realm_access.roles, token: access, has: professor, role: STAFF }
  - { claim: realm_access.roles, token: access, has: assistant, role: STAFF }
  - { claim: realm_access.roles, token: access, has: student, role: USER }
group_mapping:
  - { claim: realm_access.roles, token: access, strip: "tg-" }
  - { claim: department, token: userinfo }
"#;

#[test]
fn the_most_powerful_role_counts() {
    use TokenKind::{Access, Id, Userinfo};
    let policy = policy(POLICY);
    for (role, told, wanted) in [
        ("USER", &[][..], "USER"),
        ("USER", &[(Id, "cognito:groups", &["admins"][..])], "ADMIN"),
        ("USER", &[(Id, "cognito:groups", &["x", "admins"]), (Access, "realm_access.roles", &["student"])], "ADMIN"),
        ("USER", &[(Access, "realm_access.roles", &["student", "assistant"])], "STAFF"),
        ("STAFF", &[(Access, "realm_access.roles", &["student"])], "STAFF"),
        ("ADMIN", &[(Access, "realm_access.roles", &["professor"])], "ADMIN"),
        // A role that the mapping names outranks those that it does not name.
        ("GUEST", &[(Access, "realm_access.roles", &["student"])], "USER"),
        ("premium", &[], "premium"),
        // Only the token that the rule names, only the exact value.
        ("USER", &[(Access, "cognito:groups", &["admins"])], "USER"),
        ("USER", &[(Userinfo, "cognito:groups", &["admins"])], "USER"),
        ("USER", &[(Id, "cognito:groups", &["Admins", "admins ", "admin", "sysadmins"])], "USER"),
        ("USER", &[(Id, "groups", &["admins"])], "USER"),
    ] {
        let mapped = policy.mapped(&caller(role, &[], "ann@example.edu"), &Told(told));
        assert_eq!(&*mapped.role, wanted, "{role} {told:?}");
        assert_eq!((&*mapped.user, mapped.email.as_deref()), (ID, Some("ann@example.edu")));
    }
}

#[test]
fn admin_outranks_the_roles_that_no_mapping_names_and_no_others() {
    let told = Told(&[(TokenKind::Id, "a", &["x"])]);
    let with = |role: &str| {
        policy(&format!("unlisted: {{ role: allow }}\nrole_mapping: [{{ claim: a, token: id, has: x, role: {role} }}]"))
    };
    assert_eq!(
        &*with("STAFF").mapped(&caller("ADMIN", &[], ""), &told).role,
        "STAFF",
        "name ADMIN first if it is to be first"
    );
    assert_eq!(&*with("ADMIN").mapped(&caller("premium", &[], ""), &told).role, "ADMIN");
}

#[test]
fn groups_are_added() {
    use TokenKind::{Access, Userinfo};
    let policy = policy(POLICY);
    let told = Told(&[
        (Access, "realm_access.roles", &["tg-premium", "professor", "tg-", "TG-x", "tg-lab", "tg-tg-deep"]),
        (Userinfo, "department", &["Computer Science", ""]),
    ]);
    let mapped = policy.mapped(&caller("USER", &["lab"], ""), &told);
    assert_eq!(
        *mapped.groups,
        ["lab".into(), "premium".into(), "tg-deep".into(), "Computer Science".into()] as [Box<str>; 4]
    );
    assert_eq!(*policy.mapped(&caller("USER", &["lab"], ""), &Told(&[])).groups, ["lab".into()] as [Box<str>; 1]);
}

#[test]
fn only_the_tokens_that_a_policy_names_are_asked_for() {
    let asks =
        |policy: &Snapshot| [TokenKind::Id, TokenKind::Access, TokenKind::Userinfo].map(|token| policy.asks_for(token));
    assert_eq!((asks(&policy("")), policy("").maps_claims()), ([false; 3], false));
    assert_eq!((asks(&policy(POLICY)), policy(POLICY).maps_claims()), ([true; 3], true));
    assert_eq!(asks(&policy("group_mapping: [{ claim: a, token: access }]")), [false, true, false]);
}

#[test]
fn two_files_do_not_both_have_a_mapping() {
    let file = |path: &str| source(path, "version: 1\ngroup_mapping: [{ claim: a, token: id }]\n");
    let report = compile(&[file("a.yaml"), file("b.yaml")]).unwrap_err();
    let codes: Vec<_> = report.faults().iter().map(|fault| fault.code).collect();
    assert_eq!(codes, ["defined-twice"], "the order of files decides nothing");
}

#[test]
fn a_mapped_role_and_mapped_groups_are_judged_like_others() {
    let policy = policy(
        r#"
roles: { USER: { endpoints: { openAI: { models: [mini] } } }, STAFF: { endpoints: { openAI: { models: [big] } } } }
groups: { lab: { endpoints: { openAI: { models: [lab-model] } } } }
role_mapping: [{ claim: a, token: id, has: staff, role: STAFF }]
group_mapping: [{ claim: g, token: id }]
"#,
    );
    let user = caller("USER", &[], "");
    let staff = policy.mapped(&user, &Told(&[(TokenKind::Id, "a", &["staff"])]));
    assert_eq!(answer(&policy, &staff, model("openAI", "big")), "allow roles.STAFF.endpoints.openAI.models");
    let member = policy.mapped(&user, &Told(&[(TokenKind::Id, "g", &["lab"])]));
    assert_eq!(answer(&policy, &member, model("openAI", "lab-model")), "allow groups.lab.endpoints.openAI.models");
    assert_eq!(answer(&policy, &member, model("openAI", "mini")), "deny groups.lab.endpoints.openAI.models");
}
