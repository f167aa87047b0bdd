//! What was used is kept: when Tollgate starts again, and when the limit is edited.

use super::*;

fn month(amount: u32) -> String {
    limits(&format!("      - {{ id: month, requests: {amount}, per: user, window: 30d }}"))
}

fn rewrite(world: &World, policy: &str) {
    std::fs::write(world.dir.path().join("policy/policy.yaml"), policy).expect("a policy file");
}

#[tokio::test]
async fn use_outlives_a_restart_also_a_sudden_one() {
    for signal in ["TERM", "KILL"] {
        let mut world = World::with(&month(3)).start().await;
        for _ in 0..2 {
            assert_started(&say(&world, "Bob", &turn("hi")).await);
        }
        world.signal(signal);
        world.ended().await;
        world.start_again().await;
        assert_eq!(limit(&world, "Bob", "month").await["used"], 2, "{signal}");
        assert_started(&say(&world, "Bob", &turn("hi")).await);
        assert_eq!(say(&world, "Bob", &turn("hi")).await.status, 429, "{signal}");
    }
}

#[tokio::test]
async fn an_edited_limit_keeps_what_was_used() {
    let mut world = World::with(&month(5)).start().await;
    for _ in 0..3 {
        assert_started(&say(&world, "Bob", &turn("hi")).await);
    }
    for (amount, taken) in [(3, 0), (4, 1), (2, 0)] {
        world.signal("TERM");
        world.ended().await;
        rewrite(&world, &month(amount));
        world.start_again().await;
        for _ in 0..taken {
            assert_started(&say(&world, "Bob", &turn("hi")).await);
        }
        let refused = say(&world, "Bob", &turn("hi")).await;
        let body = refused.json();
        assert_eq!((refused.status.as_u16(), &body["max"]), (429, &json!(amount)), "{body}");
        assert_eq!(limit(&world, "Bob", "month").await["remaining"], 0);
    }
}

/// An edit of the limit `it`, what is used under it after three turns, and the window that is told to count anew.
struct Edit {
    says: &'static str,
    used: u64,
    told: Option<&'static str>,
}

const BEFORE: &str = "requests: 100, per: user, window: month, timezone: Europe/Berlin";
const IN_BERLIN: &str = "month in Europe/Berlin";

const EDITS: [Edit; 8] = [
    Edit { says: "requests: 7, per: user, window: month, timezone: Europe/Berlin", used: 3, told: None },
    Edit {
        says: "requests: 100, per: user, window: month, timezone: Europe/Berlin, models: [gpt-4o-mini]",
        used: 3,
        told: None,
    },
    Edit {
        says: "requests: 100, per: user, window: month, timezone: Europe/Berlin, mode: shadow",
        used: 3,
        told: None,
    },
    // It has the same midnights.
    Edit { says: "requests: 100, per: user, window: month, timezone: Europe/Paris", used: 3, told: None },
    Edit {
        says: "requests: 100, per: user, window: month, timezone: America/New_York",
        used: 0,
        told: Some("month in America/New_York"),
    },
    Edit { says: "requests: 100, per: user, window: week", used: 0, told: Some("week in UTC") },
    Edit { says: "requests: 100, per: user, window: 30d", used: 0, told: Some("30d") },
    // Another counter, as the page says, and no edit of the window.
    Edit { says: "messages: 100, per: user, window: month, timezone: Europe/Berlin", used: 0, told: None },
];

fn edited(says: &str) -> String {
    limits(&format!("      - {{ id: it, {says} }}"))
}

fn of(world: &World, action: &str) -> Vec<Value> {
    world.record().into_iter().filter(|entry| entry["action"] == action).collect()
}

/// What was said of limits that count anew, in this process: each as its window before and after.
fn anew(world: &World) -> Vec<(String, String)> {
    let said = |event: Value| {
        let limits = event["about"]["limits"].as_array().expect("a list").clone();
        let [limit] = &limits[..] else { panic!("one limit: {event}") };
        assert_eq!((&limit["limit"], &event["severity"]), (&json!("it"), &json!("WARNING")), "{event}");
        (limit["from"].as_str().expect("a window").to_owned(), limit["to"].as_str().expect("a window").to_owned())
    };
    of(world, "limits.anew").into_iter().map(said).collect()
}

#[tokio::test]
async fn an_edit_while_tollgate_runs_keeps_what_was_used_or_says_that_it_does_not() {
    let mut world = World::with(&edited(BEFORE)).start().await;
    for _ in 0..3 {
        assert_started(&say(&world, "Bob", &turn("hi")).await);
    }
    let mut expected = Vec::new();
    let mut loaded = 0;
    for Edit { says, used, told } in EDITS {
        for (says, used, from, to) in
            [(says, used, IN_BERLIN, told), (BEFORE, 3, told.unwrap_or_default(), told.map(|_| IN_BERLIN))]
        {
            rewrite(&world, &edited(says));
            loaded += 1;
            // Written after what is said of the limits.
            world.until(says, async |world| of(world, "policy.loaded").len() == loaded).await;
            expected.extend(to.map(|to| (from.to_owned(), to.to_owned())));
            assert_eq!(anew(&world), expected, "{says}");
            assert_eq!(limit(&world, "Bob", "it").await["used"], used, "{says}");
        }
    }
    let said = "the limit counts anew";
    world.until("it is logged", async |world| world.log().matches(said).count() == expected.len()).await;
}

#[tokio::test]
async fn an_edit_with_a_restart_keeps_what_was_used_or_says_that_it_does_not() {
    let mut world = World::with(&edited(BEFORE)).start().await;
    for _ in 0..3 {
        assert_started(&say(&world, "Bob", &turn("hi")).await);
    }
    assert_eq!(anew(&world), [], "nothing was there before");
    for Edit { says, used, told } in EDITS {
        for (says, used, from, to) in
            [(says, used, IN_BERLIN, told), (BEFORE, 3, told.unwrap_or_default(), told.map(|_| IN_BERLIN))]
        {
            world.signal("TERM");
            world.ended().await;
            rewrite(&world, &edited(says));
            world.start_again().await;
            world.until(says, async |world| of(world, "tollgate.started").len() == 1).await;
            let expected: Vec<_> = to.into_iter().map(|to| (from.to_owned(), to.to_owned())).collect();
            assert_eq!(anew(&world), expected, "{says}");
            assert_eq!(limit(&world, "Bob", "it").await["used"], used, "{says}");
        }
    }
}
