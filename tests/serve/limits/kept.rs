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
