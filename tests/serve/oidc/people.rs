//! Whom a token makes of its bearer, here and in LibreChat.

use std::time::Duration;

use mongodb::bson::doc;
use tokio::time::Instant;
use tollgate::demo::Person;

use super::*;
use crate::mongod::with_mongod;
use crate::support::get;

/// Captured people of LibreChat's database.
const USER_ID: &str = "6b012e4109cc968f8a928bce";
const VIEWER_ID: &str = "6b012e6f09cc968f8a929249";

#[tokio::test]
async fn the_token_of_an_account_is_its_users() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let token = signer.token(&claims());
    let cookies = bob(&world);

    let models = send(&world, "models", MODELS, &token, &cookies).await;
    assert_eq!(models.json(), json!({"openAI": ["gpt-4o-mini"], "MindRoom": ["mindroom-basic"]}), "{}", models.text());
    assert_eq!(reached_with(&librechat, "authorization"), [format!("Bearer {token}")]);
    assert_eq!(
        reached_with(&librechat, "cookie"),
        std::slice::from_ref(&cookies),
        "LibreChat sees what makes it find the same user"
    );
    let chat = send(&world, "chat", CHAT, &token, &cookies).await;
    assert_eq!(chat.json()["status"], "started", "{}", chat.text());
    let entry = world.entry_from("chat").await;
    assert_eq!((&entry["userId"], &entry["role"]), (&json!(world.person("Bob").id), &json!("USER")));
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("cookie", &cookies), ("content-type", "application/json")];
    let denied = request(world.addr, Method::POST, CHAT.1, &headers, turn("o1")).await;
    assert_eq!((denied.status.as_u16(), &denied.json()["rule"]), (403, &json!("roles.USER.endpoints.openAI.models")));

    // LibreChat's own tokens count as before.
    let own = world.bearer("Ann");
    let all = get(world.addr, "/api/models", &[("authorization", &own)]).await;
    assert_eq!(all.json()["openAI"], json!(["gpt-4o-mini", "gpt-4o", "o1"]));
    assert_eq!(idp.asked("/jwks"), 1, "the keys were fetched once");
    assert_eq!(idp.asked("/.well-known/openid-configuration"), 0);
    let record = json!(world.entries()).to_string() + &world.log();
    assert!(!record.contains(token.rsplit('.').next().expect("a signature")), "tokens are not recorded");
    let (_, signed) = cookies.rsplit_once('.').expect("a signature");
    assert!(!record.contains(signed), "and no cookie either");
}

#[tokio::test]
async fn other_words_of_a_token_do_not_make_its_bearer_anything() {
    let (librechat, signer) = (librechat().await, Signer::p256("curve"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let boast =
        with(json!({"id": world.person("Ann").id, "role": "ADMIN", "roles": ["ADMIN"], "groups": ["premium-openai"],
                            "email": "ann@example.edu", "aud": [AUDIENCE, "other"], "azp": AUDIENCE, "nonce": "x"}));
    let models = send(&world, "models", MODELS, &signer.token(&boast), &bob(&world)).await;
    assert_eq!(models.json()["openAI"], json!(["gpt-4o-mini"]), "{}", models.text());
}

#[tokio::test]
async fn librechat_is_never_left_a_choice_of_cookies() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let (token, good) = (signer.token(&claims()), bob(&world));
    let signed = good.rsplit_once('=').expect("a cookie").1;
    let anns = cookies(&world.person("Ann").id);

    // The first of each name counts here, and the others do not reach LibreChat.
    let several = format!("a=1; {good}; token_provider=librechat; openid_user_id=x; {anns}; b=2");
    let answer = send(&world, "several", USER, &token, &several).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let wanted =
        format!("a=1; refreshToken=opaque; refreshToken=opaque; b=2; token_provider=openid; openid_user_id={signed}");
    assert_eq!(reached_with(&librechat, "cookie"), [wanted]);

    // LibreChat's own tokens are read as such, whatever the cookies say.
    let own = world.bearer("Ann");
    let headers = [("authorization", own.as_str()), ("cookie", &several)];
    assert_eq!(get(world.addr, "/api/user", &headers).await.status, 200);
    assert_eq!(reached_with(&librechat, "cookie"), ["a=1; refreshToken=opaque; refreshToken=opaque; b=2"]);

    // Where nobody has to be signed in, who is nobody here is nobody there.
    let config = send(&world, "config", (Method::GET, "/api/config"), &token, &anns).await;
    assert_eq!(config.status, 200, "{}", config.text());
    assert_eq!(reached_with(&librechat, "authorization"), Vec::<String>::new());
    let banner = send(&world, "banner", (Method::GET, "/api/banner"), &token, "").await;
    assert_eq!(banner.status, 200);
    assert_eq!(reached_with(&librechat, "authorization"), Vec::<String>::new());
    // Renewing needs no bearer token, and its cookies pass as they are.
    let renewal = send(&world, "renewal", (Method::POST, "/api/auth/refresh"), "stale", &several).await;
    assert_eq!(renewal.status, 200);
    assert_eq!(reached_with(&librechat, "cookie"), [several]);
}

#[tokio::test]
async fn without_the_setting_such_tokens_are_as_bad_as_before() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let mapping = "group_mapping: [{ claim: groups, token: id }]";
    let mut world = World::with(&format!("{POLICY}\n{mapping}\n"))
        .upstream(&librechat.url())
        .account("Bob", ISSUER, BOB)
        .variable("OPENID_REUSE_TOKENS", "false")
        .variable("OPENID_ISSUER", ISSUER)
        .variable("OPENID_CLIENT_ID", AUDIENCE)
        .settings(&format!("oidc: {{ jwks_url: \"{}\" }}", idp.jwks()))
        .start()
        .await;
    let answer = send(&world, "off", USER, &signer.token(&claims()), &bob(&world)).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (401, r#"{"message":"invalid signature"}"#.to_owned()));
    assert_eq!(world.entry_from("off").await["rules"], json!(["identity.signature"]));
    assert_eq!(idp.asked("/jwks"), 0);
    assert!(world.log().contains("group_mapping have no effect: OPENID_REUSE_TOKENS is off"), "{}", world.log());
    let own = world.bearer("Ann");
    let mine = [("authorization", own.as_str()), ("cookie", "token_provider=openid; openid_user_id=x")];
    assert_eq!(get(world.addr, "/api/user", &mine).await.status, 200);
    assert_eq!(
        reached_with(&librechat, "cookie"),
        ["token_provider=openid; openid_user_id=x"],
        "cookies pass untouched"
    );
}

#[tokio::test]
async fn the_people_of_librechats_database_are_found_by_their_accounts() {
    with_mongod(async |mongod| {
        let (librechat, signer) = (librechat().await, Signer::rsa("one"));
        let idp = Idp::start(vec![signer.jwk()]).await;
        let mut world = plan(POLICY, &librechat, &idp.jwks())
            .librechat(|options| {
                options.people = vec![Person { id: VIEWER_ID.to_owned(), ..options.people[1].clone() }]
            })
            .variable("MONGO_URI", &mongod.uri)
            .start()
            .await;
        has_keys(&mut world).await;
        let token = signer.token(&with(json!({"email": "User@Lab.Test", "oid": "oid-1"})));
        let (mine, theirs) = (cookies(USER_ID), cookies(VIEWER_ID));
        let ask = async |world: &World, agent: &str, cookies: &str| send(world, agent, MODELS, &token, cookies).await;
        let felt = async |world: &mut World, openai: Value| {
            let (changed, mine, token) = (Instant::now(), mine.clone(), token.clone());
            world
                .until("the change is felt", async |world| {
                    let answer = send(world, "felt", MODELS, &token, &mine).await;
                    answer.status == 200 && answer.json()["openAI"] == openai
                })
                .await;
            assert!(changed.elapsed() < Duration::from_secs(12), "{:?}", changed.elapsed());
        };

        // A local account of the same address is nobody's account at the provider, and is not made one.
        assert_eq!(ask(&world, "not linked", &mine).await.status, 401);
        assert_eq!(world.entry_from("not linked").await["rules"], json!(["identity.unlinked"]));
        // LibreChat links it, in a version that knows no issuer yet; then in one that does.
        mongod.update(USER_ID, doc! {"$set": {"provider": "openid", "openidId": BOB}}).await;
        felt(&mut world, json!(["gpt-4o-mini"])).await;
        mongod.update(USER_ID, doc! {"$set": {"openidIssuer": ISSUER}}).await;
        // The account is one user's, whomever the cookie names.
        assert_eq!(ask(&world, "another cookie", &theirs).await.status, 401);
        let entry = world.entry_from("another cookie").await;
        assert_eq!(
            (&entry["rules"], entry.get("userId")),
            (&json!(["identity.mismatch"]), None),
            "whose it was is not known"
        );

        // A role that changes in LibreChat's database holds within seconds for the same token.
        mongod.update(USER_ID, doc! {"$set": {"role": "ADMIN"}}).await;
        felt(&mut world, json!(["gpt-4o-mini", "gpt-4o", "o1"])).await;
        mongod.update(USER_ID, doc! {"$set": {"role": "USER"}}).await;
        mongod.join(USER_ID, "premium-openai").await;
        felt(&mut world, json!(["gpt-4o-mini", "gpt-4o"])).await;

        // The account goes over to somebody else.
        mongod.update(USER_ID, doc! {"$set": {"openidId": "another"}}).await;
        mongod.update(VIEWER_ID, doc! {"$set": {"idOnTheSource": "oid-1", "openidIssuer": ISSUER}}).await;
        world.until("it is felt", async |world| ask(world, "moved", &theirs).await.status == 200).await;
        assert_eq!(ask(&world, "moved away", &mine).await.status, 401);
        assert_eq!(world.entry_from("moved away").await["rules"], json!(["identity.mismatch"]));
    })
    .await;
}
