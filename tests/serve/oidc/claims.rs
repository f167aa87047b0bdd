//! Roles and groups by the provider's word.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::idp::Manner;
use crate::support::get;

/// The demonstration's policy, with mappings.
fn policy() -> String {
    format!(
        "{POLICY}{}",
        r#"
role_mapping:
  - { claim: "cognito:groups", token: id, has: admins, role: ADMIN }
  - { claim: resource_access.chat.roles, token: access, has: boss, role: ADMIN }
group_mapping:
  - { claim: "cognito:groups", token: id, strip: "tg-" }
  - { claim: realm_access.roles, token: access }
  - { claim: department, token: userinfo }
"#
    )
}

/// What users have, what members of the group have besides, what administrators have.
fn levels() -> [Value; 3] {
    [json!(["gpt-4o-mini"]), json!(["gpt-4o-mini", "gpt-4o"]), json!(["gpt-4o-mini", "gpt-4o", "o1"])]
}

struct Lab {
    world: World,
    librechat: Fake,
    idp: Idp,
    signer: Signer,
}

impl Lab {
    async fn start() -> Self {
        let (librechat, signer) = (librechat().await, Signer::rsa("one"));
        let idp = Idp::start(vec![signer.jwk()]).await;
        let mut world = World::with(&policy())
            .upstream(&librechat.url())
            .account("Bob", &idp.issuer(), BOB)
            .variable("OPENID_REUSE_TOKENS", "true")
            .variable("OPENID_ISSUER", &idp.issuer())
            .variable("OPENID_CLIENT_ID", AUDIENCE)
            .variable("JWT_REFRESH_SECRET", REFRESH_SECRET)
            .start()
            .await;
        has_keys(&mut world).await;
        Self { world, librechat, idp, signer }
    }

    /// A token of Bob's that says this, too.
    fn token(&self, more: Value) -> String {
        let mut claims = with(json!({"iss": self.idp.issuer()}));
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        self.signer.token(&claims)
    }

    /// The models of OpenAI that Bob sees with this bearer token and these tokens in cookies.
    async fn sees(&self, bearer: &str, beside: &[(&str, &str)]) -> Value {
        let mut cookies = bob(&self.world);
        for (name, token) in beside {
            cookies = format!("{cookies}; {name}={token}");
        }
        let answer = send(&self.world, "claims", MODELS, bearer, &cookies).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["openAI"].clone()
    }
}

#[tokio::test]
async fn claims_of_the_bearer_token_give_roles_and_groups() {
    let mut lab = Lab::start().await;
    let [user, member, all] = levels();
    for (claims, wanted) in [
        (json!({}), &user),
        (json!({"cognito:groups": ["admins"]}), &all),
        (json!({"cognito:groups": "admins"}), &all),
        (json!({"cognito:groups": ["x", "tg-premium-openai"]}), &member),
        (json!({"cognito:groups": ["premium-openai", "Admins"]}), &user),
        (json!({"cognito:groups": ["admins", 5]}), &user),
        (json!({"cognito:groups": {"admins": true}}), &user),
        (json!({"groups": ["admins"], "role": "ADMIN"}), &user),
        // The claims of an id token in an access token, and the other way round, are other claims.
        (json!({"cognito:groups": ["admins"], "token_use": "access"}), &user),
        (json!({"realm_access": {"roles": ["premium-openai"]}}), &user),
        (json!({"realm_access": {"roles": ["premium-openai"]}, "typ": "Bearer"}), &member),
        (json!({"resource_access": {"chat": {"roles": ["boss"]}}, "scope": "openid"}), &all),
    ] {
        let seen = lab.sees(&lab.token(claims.clone()), &[]).await;
        assert_eq!(seen, *wanted, "{claims}");
    }
    let cookies = bob(&lab.world);
    let boss = lab.token(json!({"cognito:groups": ["admins"]}));
    assert_eq!(send(&lab.world, "mapped", CHAT, &boss, &cookies).await.json()["status"], "started");
    let entry = lab.world.entry_from("mapped").await;
    assert_eq!((&entry["role"], &entry["rules"]), (&json!("ADMIN"), &json!(["roles.ADMIN.unrestricted"])));
    // LibreChat's own tokens have no claims.
    let own = lab.world.bearer("Bob");
    let mine = [("authorization", own.as_str()), ("cookie", &format!("{cookies}; openid_id_token={boss}"))];
    assert_eq!(get(lab.world.addr, "/api/models", &mine).await.json()["openAI"], user);
    assert!(!lab.librechat.heads().is_empty());
}

#[tokio::test]
async fn a_token_in_a_cookie_counts_only_if_it_is_a_good_one_of_the_same_person() {
    let lab = Lab::start().await;
    let [user, member, _] = levels();
    let (bearer, roles) =
        (lab.token(json!({})), json!({"realm_access": {"roles": ["premium-openai"]}, "typ": "Bearer"}));
    let with = |more: Value| {
        let mut claims = roles.clone();
        claims.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        lab.token(claims)
    };
    let good = with(json!({}));
    let stranger = Signer::rsa("one")
        .token(&json!({"iss": lab.idp.issuer(), "aud": AUDIENCE, "sub": BOB, "exp": LATER,
        "realm_access": {"roles": ["premium-openai"]}, "typ": "Bearer"}));
    for (name, token, wanted) in [
        ("openid_access_token", good.clone(), &member),
        ("openid_id_token", good.clone(), &user),
        ("openid_access_token", with(json!({"sub": "somebody else"})), &user),
        ("openid_access_token", with(json!({"aud": "another"})), &user),
        ("openid_access_token", with(json!({"exp": now() - 1})), &user),
        ("openid_access_token", with(json!({"iss": "https://evil.test"})), &user),
        ("openid_access_token", with(json!({"typ": "ID"})), &user),
        ("openid_access_token", stranger, &user),
        ("openid_access_token", "opaque".to_owned(), &user),
        ("openid_access_token", format!("x; openid_access_token={good}"), &user),
    ] {
        assert_eq!(lab.sees(&bearer, &[(name, &token)]).await, *wanted, "{name} {token}");
    }
    // And the other way round: an id token beside an access token.
    let access = lab.token(json!({"scope": "openid"}));
    let id = lab.token(json!({"cognito:groups": ["tg-premium-openai"]}));
    assert_eq!(lab.sees(&access, &[("openid_id_token", &id)]).await, member);
    assert_eq!(lab.sees(&access, &[]).await, user);
}

#[tokio::test]
async fn the_provider_is_asked_about_a_person_with_the_access_token() {
    let mut lab = Lab::start().await;
    let [user, member, _] = levels();
    let bearer = lab.token(json!({}));
    lab.idp.tell("somebodys", json!({"sub": "somebody else", "department": "premium-openai"}));
    lab.idp.tell("bobs", json!({"sub": BOB, "department": "premium-openai"}));
    assert_eq!(lab.sees(&bearer, &[]).await, user);
    assert_eq!(lab.idp.asked("/userinfo"), 0, "without an access token there is nothing to ask with");
    assert_eq!(lab.sees(&bearer, &[("openid_access_token", "somebodys")]).await, user, "it is about somebody else");
    // That there was no answer stands for ten seconds, whatever token is shown then.
    for n in 0..20 {
        assert_eq!(lab.sees(&bearer, &[("openid_access_token", &format!("made-up-{n}"))]).await, user);
    }
    assert_eq!(lab.idp.asked("/userinfo"), 1, "no caller makes Tollgate ask more often");
    let begun = Instant::now();
    let (token, cookies) = (bearer.clone(), format!("{}; openid_access_token=bobs", bob(&lab.world)));
    lab.world
        .until("it is asked again", async |world| {
            send(world, "again", MODELS, &token, &cookies).await.json()["openAI"] == member
        })
        .await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(lab.idp.asked("/userinfo"), 2);
    // An answer stands for minutes, also while the provider is away.
    lab.idp.be(Manner::Gone);
    assert_eq!(lab.sees(&bearer, &[("openid_access_token", "bobs")]).await, member);
    assert_eq!(lab.idp.asked("/userinfo"), 2);
    assert_eq!(lab.sees(&bearer, &[]).await, user, "who shows no access token has no such claims");
}

#[tokio::test]
async fn a_provider_that_does_not_answer_about_people_keeps_nobody_waiting_for_long() {
    let lab = Lab::start().await;
    let [user, ..] = levels();
    lab.idp.be(Manner::Silent);
    let bearer = lab.token(json!({}));
    let begun = Instant::now();
    let sees = || lab.sees(&bearer, &[("openid_access_token", "bobs")]);
    let seen = tokio::join!(sees(), sees(), sees());
    assert_eq!(seen, (user.clone(), user.clone(), user.clone()), "what is not known does not count");
    let took = begun.elapsed();
    assert!((Duration::from_secs(1)..Duration::from_secs(8)).contains(&took), "{took:?}");
    assert_eq!(lab.idp.asked("/userinfo"), 1, "three questions at once are one");
    let begun = Instant::now();
    assert_eq!(sees().await, user);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

/// The doctor reads a provider's token as the proxy does, and shows what claims hold only if it is asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_tells_which_rule_gave_a_role() {
    use crate::doctor::{doctor, looked, state};
    let lab = Lab::start().await;
    let issuer = lab.idp.issuer();
    let environment = [
        ("OPENID_REUSE_TOKENS", "true"),
        ("OPENID_ISSUER", issuer.as_str()),
        ("OPENID_CLIENT_ID", AUDIENCE),
        ("JWT_REFRESH_SECRET", REFRESH_SECRET),
    ];
    let ask = |token: &str, cookies: &str, more: &[&str]| {
        let head = format!("Authorization: Bearer {token}\nCookie: {cookies}\n");
        let mut arguments = vec!["--token", "-", "--format", "json"];
        arguments.extend(more);
        looked(&doctor(&lab.world, &arguments, &environment, &head))
    };
    let cookies = bob(&lab.world);
    let boss = lab.token(json!({"cognito:groups": ["admins", "tg-premium-openai", "private-value"]}));
    let told = ask(&boss, &cookies, &[]);
    assert_eq!(state(&told["checks"], "identity provider").0, "ok", "{told:#}");
    assert_eq!(told["token"]["kind"], "a token of an identity provider", "{told:#}");
    let person = &told["token"]["person"];
    assert_eq!(
        (&person["directory"]["role"], &person["policy"]["role"]),
        (&json!("USER"), &json!("ADMIN")),
        "{told:#}"
    );
    assert_eq!(person["policy"]["groups"], json!(["premium-openai"]), "{told:#}");
    let (first, third) = (&person["mapping"][0], &person["mapping"][2]);
    assert_eq!(
        (&first["rule"], &first["role"], &first["values"]),
        (&json!("role_mapping 1"), &json!("ADMIN"), &json!(3))
    );
    assert_eq!((&third["rule"], &third["groups"]), (&json!("group_mapping 1"), &json!(["premium-openai"])), "{told:#}");
    assert!(!told.to_string().contains("private-value"), "claims are masked: {told:#}");
    let told = ask(&boss, &cookies, &["--show-claims"]);
    assert!(told.to_string().contains("private-value"), "{told:#}");
    for (token, cookies, part, code) in [
        (lab.token(json!({"aud": "another"})), cookies.as_str(), "it is for [\"another\"]", "401 identity.audience"),
        (
            lab.token(json!({"iss": "https://evil.test"})),
            &cookies,
            "its issuer is \"https://evil.test\"",
            "401 identity.issuer",
        ),
        (lab.token(json!({"exp": now() - 7_300})), &cookies, "it ended 2 h 1 min ago", "401 identity.expired"),
        (
            Signer::rsa("other").token(&with(json!({"iss": issuer}))),
            &cookies,
            "its key \"other\" is none",
            "401 identity.key",
        ),
        (lab.token(json!({})), "", "without LibreChat's cookies", "401 identity.cookies"),
    ] {
        let told = ask(&token, cookies, &[]);
        let (_, found) = state(&told["token"]["checks"], "token");
        assert!(found.contains(part), "{part}: {told:#}");
        assert_eq!(told["token"]["answer"], code, "{told:#}");
        // As the proxy answers.
        let answer = send(&lab.world, "told", MODELS, &token, cookies).await;
        assert_eq!(answer.status, 401, "{part}: {}", answer.text());
    }
}
