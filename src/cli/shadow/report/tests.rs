use super::*;
use crate::policy::Source;

const LIST: &str = "roles.USER.endpoints.openAI.models";

fn shadow(text: &str) -> Shadow {
    let source = Source { path: "p.yaml".into(), text: format!("version: 1\n{text}").into() };
    let (policy, statements, _) = compile_listed(&[source], &Default::default()).unwrap();
    let rules = watched(&policy, &statements);
    Shadow { policy, rules }
}

fn at(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
}

fn told(first: Option<i64>, last: Option<i64>) -> Told {
    Told {
        would_refuse: last.map_or(0, |_| 1),
        first_named: first.map(at),
        last: last.map(|day| (at(day), "r".into())),
        ..Told::default()
    }
}

#[test]
fn what_only_records_is_watched() {
    let limits = "roles: { USER: { endpoints: { openAI: { models: [a] } }, limits: [{ id: day, requests: 1, per: user, window: day, mode: shadow }, { id: hour, requests: 1, per: user, window: hour }] } }";
    let day: Box<str> = "roles.USER.limits.day".into();
    assert_eq!(shadow(limits).rules, std::slice::from_ref(&day));
    let whole = shadow(&format!("mode: shadow\n{limits}"));
    let expected: [Box<str>; 3] = [LIST.into(), day, "roles.USER.limits.hour".into()];
    assert_eq!(*whole.rules, expected, "and what can only allow is not");
    assert!(shadow("roles: { USER: { endpoints: { openAI: { models: [a] } } } }").rules.is_empty());
    let part =
        shadow("roles: { USER: { endpoints: { openAI: { models: [a], mode: shadow }, google: { models: [b] } } } }");
    assert_eq!(part.rules, [Box::from(LIST)], "one endpoint's lists");
}

#[test]
fn a_rule_can_be_enforced_after_enough_quiet_days_that_were_watched() {
    for (what, told, policy_since, expected) in [
        ("never refused, named long ago", told(Some(0), None), None, Advice::Enforce),
        ("last refused long ago", told(Some(0), Some(86)), None, Advice::Enforce),
        ("refused lately", told(Some(0), Some(87)), None, Advice::Refuses),
        ("named lately", told(Some(95), None), None, Advice::Young(5)),
        ("never named, in a policy of long ago", told(None, None), Some(0), Advice::Enforce),
        ("never named, in a policy of lately", told(None, None), Some(97), Advice::Young(3)),
        ("nothing is known of it", told(None, None), None, Advice::Young(0)),
    ] {
        assert_eq!(advice(&told, policy_since.map(at), 14, at(100)), expected, "{what}");
    }
}

#[test]
fn rules_of_the_policy_come_with_those_that_are_gone() {
    let shadow = shadow("mode: shadow\nroles: { USER: { endpoints: { openAI: { models: [a] } } } }");
    let mut tally = Tally { turns: 9, ..Tally::default() };
    tally.rules.insert("limits.gone".into(), Told { would_refuse: 3, of: 3, ..told(Some(0), Some(99)) });
    tally.rules.insert("roles.ADMIN.unrestricted".into(), Told { of: 5, ..Told::default() });
    let of = |shadow| -> Vec<(Box<str>, u64, Advice)> {
        rows(&tally, shadow, 14, at(100)).into_iter().map(|row| (row.rule, row.told.of, row.advice)).collect()
    };
    assert_eq!(
        of(Some(&shadow)),
        [("limits.gone".into(), 9, Advice::Gone), (LIST.into(), 0, Advice::Young(0))],
        "of a limit the share is of all turns"
    );
    assert_eq!(of(None), [("limits.gone".into(), 9, Advice::Gone)]);
}

#[tokio::test]
async fn what_limits_do_not_see_is_said_where_there_are_limits() {
    let told = async |text: &str, format: Format| {
        let page = Page {
            shadow: Some(shadow(text)),
            rows: rows(&Tally::default(), Some(&shadow(text)), 14, at(100)),
            tally: Tally::default(),
            quiet: 14,
            since: None,
            until: at(100),
        };
        let mut out = Vec::new();
        page.write(format, None, &mut out).await.unwrap();
        String::from_utf8(out).unwrap()
    };
    let words =
        "while the counters could not be asked, as may be just after a start, limits in shadow mode counted nothing";
    let list = "roles: { USER: { endpoints: { openAI: { models: [a], mode: shadow } } } }";
    let limit = "limits: [{ id: day, requests: 1, per: user, window: day, mode: shadow }]";
    for format in [Format::Human, Format::Json] {
        assert!(told(limit, format).await.contains(words), "{format:?}");
        assert!(!told(list, format).await.contains(words), "{format:?}");
    }
}
