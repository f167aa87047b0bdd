//! The provider's keys while it turns them over, is slow, away, or says what it should not.

#![expect(clippy::print_stderr, reason = "the figures are what is asked for")]

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::*;
use crate::idp::Manner;

/// Between the beginnings of two fetches, and how long an unknown key is waited for.
const GAP: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn new_keys_are_found_when_they_are_used_and_old_ones_stay_good_while_they_are_published() {
    let (librechat, old, new) = (librechat().await, Signer::rsa("old"), Signer::p256("new"));
    let idp = Idp::start(vec![old.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let cookies = bob(&world);
    let (with_old, with_new) = (old.token(&claims()), new.token(&claims()));
    let ask = async |token: &str| send(&world, "rotation", USER, token, &cookies).await.status.as_u16();
    let age = async || world.metric("tollgate_oidc_keys_age_seconds").await.parse::<u64>().expect("a number");
    let mut good = 0_u32;
    while age().await <= GAP.as_secs() {
        assert_eq!(ask(&with_old).await, 200, "a known key is never in doubt");
        good += 1;
    }
    // The provider publishes the new key beside the old one and signs with it at once.
    idp.publish(vec![old.jwk(), new.jwk()]);
    let (olds, news) = tokio::join!(ask(&with_old), ask(&with_new));
    assert_eq!((olds, news), (200, 200), "the first token with the new key is good at once");
    for _ in 0..200 {
        assert_eq!((ask(&with_old).await, ask(&with_new).await), (200, 200));
    }
    assert_eq!(idp.asked("/jwks"), 2, "one more fetch");
    // The old key is taken back: what it vouched for counts until Tollgate hears of that, and no longer.
    idp.publish(vec![new.jwk()]);
    let unheard = Signer::rsa("unheard of").token(&claims());
    let begun = Instant::now();
    while ask(&with_old).await == 200 {
        assert_eq!(ask(&with_new).await, 200);
        assert_eq!(ask(&unheard).await, 401);
        assert!(begun.elapsed() < GAP + WAIT + Duration::from_secs(10), "a key that was taken back is still good");
        good += 1;
    }
    assert_eq!((ask(&with_old).await, ask(&with_new).await), (401, 200), "remembered tokens go with their key");
    eprintln!("rotation: {} answers, no false refusal; the old key gone after {:?}", 2 * good + 402, begun.elapsed());
}

#[tokio::test]
async fn unknown_keys_cannot_make_tollgate_ask_more_than_once_in_ten_seconds() {
    let (librechat, known, unknown) = (librechat().await, Signer::rsa("known"), Signer::p256("unknown"));
    let idp = Idp::start(vec![known.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let (cookies, good) = (bob(&world), known.token(&claims()));
    let begun = Instant::now();
    let mut asked = 0_usize;
    while begun.elapsed() < GAP + Duration::from_secs(2) {
        let mut crowd = JoinSet::new();
        for n in 0..20 {
            let header = json!({"alg": "ES256", "kid": format!("made up {asked} {n}")});
            let (addr, cookies) = (world.addr, cookies.clone());
            let token = format!("Bearer {}", unknown.token_with(&header, &claims()));
            crowd.spawn(async move {
                let headers = [("authorization", token.as_str()), ("cookie", cookies.as_str())];
                request(addr, Method::GET, "/api/user", &headers, Bytes::new()).await.status.as_u16()
            });
        }
        assert!(crowd.join_all().await.into_iter().all(|status| status == 401));
        assert_eq!(send(&world, "known", USER, &good, &cookies).await.status, 200);
        asked += 20;
    }
    let fetches = idp.asked("/jwks");
    eprintln!("{asked} tokens with unknown keys in {:?}: {fetches} fetches, the first at the start", begun.elapsed());
    let most = 2 + usize::try_from(begun.elapsed().as_secs() / GAP.as_secs()).expect("a small number");
    assert!((2..=most).contains(&fetches), "{fetches} fetches");
}

#[tokio::test]
async fn while_the_provider_is_away_known_keys_stay_good_and_nobody_waits() {
    for manner in [Manner::Gone, Manner::Silent] {
        let (librechat, known, unknown) = (librechat().await, Signer::rsa("known"), Signer::rsa("unknown"));
        let idp = Idp::start(vec![known.jwk()]).await;
        let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
        has_keys(&mut world).await;
        idp.be(manner.clone());
        let (cookies, good, bad) = (bob(&world), known.token(&claims()), unknown.token(&claims()));
        // From now on a fetch is begun as soon as it may be, and never ends well.
        let begun = Instant::now();
        let (mut times, mut slowest_bad) = (Vec::new(), Duration::ZERO);
        while world.metric(r#"tollgate_oidc_fetches_total{result="failed"}"#).await == "0" {
            assert!(begun.elapsed() < GAP + Duration::from_secs(15), "{manner:?}: no fetch has failed");
            let refused = async {
                let asked = Instant::now();
                let status = send(&world, "unknown", USER, &bad, &cookies).await.status;
                (status, asked.elapsed())
            };
            let served = async {
                let mut times = Vec::new();
                for _ in 0..10 {
                    let asked = Instant::now();
                    assert_eq!(send(&world, "known", USER, &good, &cookies).await.status, 200, "{manner:?}");
                    times.push(asked.elapsed());
                }
                times
            };
            let ((status, waited), served) = tokio::join!(refused, served);
            assert_eq!(status, 401);
            slowest_bad = slowest_bad.max(waited);
            times.extend(served);
        }
        times.sort_unstable();
        let (answers, p99) = (times.len(), times[times.len() * 99 / 100]);
        eprintln!(
            "{manner:?}: {answers} answers to the known key, 99 of 100 in {p99:?}; unknown: at most {slowest_bad:?}"
        );
        // Whoever waited for the provider would have waited at least this long.
        assert!(p99 < WAIT, "{manner:?}: requests whose key is known waited {p99:?}");
        assert!(slowest_bad < WAIT + Duration::from_secs(4), "{manner:?}: an unknown key waited {slowest_bad:?}");
        // Once more after the failure.
        assert_eq!(send(&world, "known", USER, &good, &cookies).await.status, 200, "{manner:?}");
        let ready = crate::support::get(world.admin, "/readyz", &[]).await;
        assert_eq!(ready.status, 200, "readiness does not hang on the provider");
        assert!(ready.json()["identityProviderKeys"].as_str().expect("text").ends_with(" s old"), "{}", ready.text());
        let age: u64 = world.metric("tollgate_oidc_keys_age_seconds").await.parse().expect("a number");
        assert!((10..60).contains(&age), "{age}");
    }
}

#[tokio::test]
async fn what_a_provider_should_not_say_is_not_believed() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let honest = Idp::start(vec![signer.jwk()]).await;
    for (manner, says) in [
        (Manner::Redirecting(honest.jwks()), "redirects are not followed"),
        (Manner::Endless, "the answer is too long"),
        (Manner::Babbling, "no JSON Web Key Set"),
        (Manner::Gone, "cannot be read"),
    ] {
        let idp = Idp::start(vec![signer.jwk()]).await;
        idp.be(manner.clone());
        let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
        world.until("it is said", async |world| world.log().contains(says)).await;
        assert_eq!(world.metric("tollgate_oidc_keys_age_seconds").await, "-1", "{manner:?}");
        let answer = send(&world, "any", USER, &signer.token(&claims()), &bob(&world)).await;
        assert_eq!(answer.status, 401, "{manner:?}");
        assert_eq!(world.entry_from("any").await["rules"], json!(["identity.key"]), "{manner:?}");
        let ready = crate::support::get(world.admin, "/readyz", &[]).await;
        assert_eq!((ready.status.as_u16(), &ready.json()["identityProviderKeys"]), (200, &json!("none yet")));
    }
    assert_eq!(honest.asked("/jwks"), 0, "the redirect was not followed");
}

#[tokio::test]
async fn the_provider_is_asked_where_its_keys_are() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let discovered = |idp: &Idp| {
        World::with(POLICY)
            .upstream(&librechat.url())
            .account("Bob", &idp.issuer(), BOB)
            .variable("OPENID_REUSE_TOKENS", "true")
            .variable("OPENID_ISSUER", &format!("{}/", idp.issuer()))
            .variable("OPENID_CLIENT_ID", "another")
            .variable("OPENID_AUDIENCE", "api, librechat")
            .variable("JWT_REFRESH_SECRET", REFRESH_SECRET)
    };
    let mut world = discovered(&idp).start().await;
    has_keys(&mut world).await;
    let token = signer.token(&with(json!({"iss": idp.issuer()})));
    let answer = send(&world, "discovered", MODELS, &token, &bob(&world)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let other = send(&world, "other", MODELS, &signer.token(&claims()), &bob(&world)).await;
    assert_eq!(
        (other.status.as_u16(), world.entry_from("other").await["rules"][0].as_str()),
        (401, Some("identity.issuer"))
    );

    let liar = Idp::start(vec![signer.jwk()]).await;
    liar.call_itself("https://idp.lab.test/realms/lab");
    let mut world = discovered(&liar).start().await;
    world.until("it is said", async |world| world.log().contains("names another issuer than the settings")).await;
    assert_eq!(liar.asked("/jwks"), 0, "the keys of a provider with another name are not asked for");
}
