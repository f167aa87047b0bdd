//! Everything that is one request and one answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use tollgate::demo::{Person, StandIn};

use crate::compare;
use crate::lab::{BASE, Lab, SPECS, SPECS_ENFORCED, exchange, exchanges, none};
use crate::support::{get, open, post_json, request};

/// Captures of `base.jsonl` that can be sent as they are, by the first word of their names.
const AS_THEY_ARE: [&str; 69] = [
    "001", "002", "003", "004", "005", "006", "007", "012", "013", "014", "015", "016", "017", "018", "024", "025",
    "026", "027", "028", "029", "030", "031", "032", "033", "034", "035", "036", "037", "038", "039", "040", "043",
    "045", "051", "060", "061", "065", "066", "067", "068", "069", "070", "071", "072", "073", "074", "075", "078",
    "079", "080", "081", "082", "083", "084", "085", "086", "087", "088", "091", "095", "096", "107", "133", "135",
    "136", "139", "166", "176", "222",
];

#[tokio::test]
async fn every_page_answers_as_librechat_did() {
    let lab = Lab::start().await;
    let mut differences = Vec::new();
    let mut sent = 0;
    for exchange in exchanges(BASE) {
        let number = exchange.name.split('_').next().unwrap();
        if AS_THEY_ARE.contains(&number) {
            sent += 1;
            let answer = lab.send(&exchange, None).await;
            differences.extend(exchange.differences(&answer));
        }
    }
    // RFC 9110 section 8.6 forbids this one header; hyper leaves it out and Node does not.
    differences.retain(|line| !line.starts_with("025_cors-preflight: header content-length"));
    none(&differences);
    assert_eq!(sent, AS_THEY_ARE.len(), "each capture named here exists once");
}

#[tokio::test]
async fn bodies_that_librechat_refuses_are_refused_alike() {
    let lab = Lab::start().await;
    let mut differences = Vec::new();
    let names = [
        "191_illegal-endpoint-unknown",
        "196_missing-endpoint",
        "209_endpoint-path-double",
        "210_endpoint-path-upper",
        "211_endpoint-path-encoded",
        "222_body-bad-json",
        "223_body-text-plain",
        "224_body-no-content-type",
        "225_body-vendor-json",
        "226_body-array",
        "229_method-override",
        "270_chat-agent-unknown",
        "271_chat-agent-missing",
    ];
    for name in names {
        let exchange = exchange(BASE, name);
        differences.extend(exchange.differences(&lab.send(&exchange, None).await));
    }
    let mut large = exchange(BASE, "227_body-too-large");
    large.request["body"]["text"] = "x".repeat(3_300_000).into();
    differences.extend(large.differences(&lab.send(&large, None).await));
    none(&differences);
    assert!(lab.called().is_empty(), "nothing of this reached a provider");
}

#[tokio::test]
async fn every_kind_of_token_is_judged_as_librechat_does() {
    let lab = Lab::start().await;
    let hurried = Lab::with(|options| options.token_lifetime = Duration::ZERO).await;
    let foreign = Lab::with(|options| options.jwt_secret = "another secret".to_owned()).await;
    let good = lab.stand_in.token_for(&lab.user);
    let ghost = Person { id: "000000000000000000000000".to_owned(), ..lab.user.clone() };
    let sign = |algorithm: Algorithm, claims: serde_json::Value| {
        let key = EncodingKey::from_secret(lab.stand_in.options().jwt_secret.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
    };
    let tokens = [
        ("049_jwt-expired", hurried.stand_in.token_for(&lab.user)),
        ("050_jwt-badsig", foreign.stand_in.token_for(&lab.user)),
        ("052_jwt-none-alg", format!("{}.", good.rsplit_once('.').unwrap().0)),
        ("053_jwt-hs512", sign(Algorithm::HS512, json!({"id": lab.user.id}))),
        ("054_jwt-ghost-user", lab.stand_in.token_for(&ghost)),
        ("055_jwt-noexp", sign(Algorithm::HS256, json!({"id": lab.user.id}))),
        ("056_jwt-role-claim", sign(Algorithm::HS256, json!({"id": lab.user.id, "role": "ADMIN"}))),
        ("057_jwt-expired-chat", hurried.stand_in.token_for(&lab.user)),
        ("058_jwt-expired-stream", hurried.stand_in.token_for(&lab.user)),
        ("059_jwt-scheme-lowercase", good.clone()),
        ("062_jwt-refresh-as-access", refresh_token(&lab).await),
    ];
    let mut differences = Vec::new();
    for (name, token) in tokens {
        let exchange = exchange(BASE, name);
        let answer = lab.send_as(&exchange, None, &token).await;
        differences.extend(exchange.differences(&answer));
        if exchange.response["body"]["message"] != answer.json()["message"] {
            differences.push(format!("{name}: another reason: {}", answer.text()));
        }
    }
    none(&differences);
}

/// Signs in and returns what is in the cookie.
async fn refresh_token(lab: &Lab) -> String {
    let body = json!({"email": lab.user.email, "password": lab.user.password});
    let answer = post_json(lab.stand_in.addr(), "/api/auth/login", &[], &body).await;
    let cookie = answer.header("set-cookie");
    cookie.strip_prefix("refreshToken=").unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_not_after_signing_out() {
    let lab = Lab::start().await;
    let addr = lab.stand_in.addr();
    let bearer = lab.bearer(&lab.user);
    let refresh = async |token: &str| {
        let cookie = format!("refreshToken={token}; token_provider=librechat");
        request(addr, Method::POST, "/api/auth/refresh", &[("cookie", &cookie)], Bytes::new()).await
    };
    let first = refresh_token(&lab).await;
    let renewed = refresh(&first).await;
    none(&exchange(BASE, "047_auth-refresh").differences(&renewed));
    none(&exchange(BASE, "048_auth-refresh-old-cookie").differences(&refresh(&first).await));

    let second = refresh_token(&lab).await;
    let cookie = format!("refreshToken={second}");
    let headers = [("authorization", bearer.as_str()), ("cookie", cookie.as_str())];
    let out = request(addr, Method::POST, "/api/auth/logout", &headers, Bytes::new()).await;
    none(&exchange(BASE, "397_auth-logout").differences(&out));
    assert_eq!(out.headers.get_all("set-cookie").iter().count(), 5, "every cookie is cleared");
    none(&exchange(BASE, "399_after-logout-refresh").differences(&refresh(&second).await));
}

#[tokio::test]
async fn specs_are_shown_to_people_who_are_signed_in() {
    for (file, enforce) in [(SPECS, false), (SPECS_ENFORCED, true)] {
        let lab = Lab::with_specs(enforce).await;
        let captured = exchange(file, "003_boot-user_api_config");
        none(&captured.differences(&lab.send(&captured, None).await));
        let anonymous = get(lab.stand_in.addr(), "/api/config", &[]).await.json();
        assert!(anonymous.get("modelSpecs").is_none(), "a stranger sees no specs");
        let shown = get(lab.stand_in.addr(), "/api/config", &[("authorization", &lab.bearer(&lab.user))]).await.json();
        assert_eq!(shown["modelSpecs"]["enforce"], enforce);
    }
}

#[tokio::test]
async fn a_validator_saves_the_body_and_a_head_shows_only_the_headers() {
    let lab = Lab::start().await;
    let (addr, bearer) = (lab.stand_in.addr(), lab.bearer(&lab.user));
    let whole = get(addr, "/api/models", &[("authorization", &bearer)]).await;
    let captured = exchange(BASE, "138_etag-models-304");
    let again = get(addr, "/api/models", &[("authorization", &bearer), ("if-none-match", whole.header("etag"))]).await;
    none(&captured.differences(&again));
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    let head = request(addr, Method::HEAD, "/api/models", &[("authorization", &bearer)], Bytes::new()).await;
    assert!(head.body.is_empty());
    for name in ["content-length", "etag", "content-type"] {
        assert_eq!(head.header(name), whole.header(name), "{name}");
    }
    let strict = request(addr, Method::HEAD, "/api/models", &[], Bytes::new()).await;
    assert_eq!(strict.status, StatusCode::UNAUTHORIZED, "a HEAD needs a token too");
}

#[tokio::test]
async fn assets_come_compressed_where_that_is_asked_for() {
    let lab = Lab::start().await;
    let mut differences = Vec::new();
    for name in ["020_asset-gzip", "022_asset-gzip", "023_asset-identity"] {
        let captured = exchange(BASE, name);
        differences.extend(captured.differences(&lab.send(&captured, Some("/assets/app.js")).await));
    }
    none(&differences);
    let plain = get(lab.stand_in.addr(), "/assets/app.js", &[]).await;
    let packed = get(lab.stand_in.addr(), "/assets/app.js", &[("accept-encoding", "gzip")]).await;
    assert_ne!(plain.header("etag"), packed.header("etag"), "each form has a validator of its own");
    assert_eq!(packed.header("content-length"), packed.body.len().to_string());
    assert_eq!(&packed.body[15..packed.body.len() - 8], &plain.body[..], "the same text inside");
}

#[tokio::test]
async fn uploads_are_counted_and_images_are_served() {
    let lab = Lab::start().await;
    let captured = exchange(BASE, "319_file-upload-image");
    let answer = lab.send(&captured, None).await;
    none(&captured.differences(&answer));
    let uploaded = answer.json();
    assert_eq!(uploaded["bytes"], captured.body().len(), "every byte of the form is counted");
    let image = exchange(BASE, "320_file-image-get");
    let served = lab.send(&image, uploaded["filepath"].as_str()).await;
    none(&image.differences(&served).into_iter().filter(|line| !line.contains(": text:")).collect::<Vec<_>>());

    let large = Bytes::from(vec![b'x'; 20 * 1024 * 1024]);
    let headers = [("authorization", lab.bearer(&lab.user)), ("content-type", "multipart/form-data".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = request(lab.stand_in.addr(), Method::POST, "/api/files", &headers, large.clone()).await;
    assert_eq!(answer.json()["bytes"], large.len());
    let seen = lab.stand_in.seen().pop().unwrap();
    assert_eq!(seen.length, large.len());
    assert!(seen.body.len() < large.len(), "not all of it is kept");
}

#[tokio::test]
async fn what_was_seen_is_what_was_sent() {
    let lab = Lab::start().await;
    let target = "/API/models/?refresh=true&x=%2e%2E";
    get(lab.stand_in.addr(), target, &[("X-Twice", "1"), ("x-twice", "2")]).await;
    post_json(lab.stand_in.addr(), "/api/nope", &[], &json!({"a": 1})).await;
    let seen = lab.stand_in.seen();
    assert_eq!((&seen[0].method, seen[0].target.as_str()), (&Method::GET, target));
    assert_eq!(seen[0].headers.get_all("x-twice").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((seen[1].body.as_ref(), seen[1].length), (br#"{"a":1}"#.as_slice(), 7));
    lab.stand_in.forget();
    assert!(lab.stand_in.seen().is_empty());
}

#[tokio::test]
async fn the_defaults_hold_two_people_and_the_captured_catalogue() {
    let stand_in = StandIn::start(tollgate::demo::StandInOptions::default()).await.unwrap();
    let people = stand_in.options().people.clone();
    assert_eq!(people.iter().map(|person| person.role.as_str()).collect::<Vec<_>>(), ["ADMIN", "USER"]);
    let bearer = format!("Bearer {}", stand_in.token_for(&people[1]));
    let models = get(stand_in.addr(), "/api/models", &[("authorization", &bearer)]).await.json();
    let captured = exchange(BASE, "068_boot_api_models").response["body"].take();
    none(&compare::shape(&captured, &models));
    for endpoint in ["openAI", "MindRoom"] {
        assert_eq!(models[endpoint], captured[endpoint], "{endpoint} is listed whole");
    }
}

#[tokio::test]
async fn a_stopped_stand_in_is_gone() {
    let lab = Lab::start().await;
    let (addr, bearer) = (lab.stand_in.addr(), lab.bearer(&lab.user));
    let body = json!({"text": "[[words=1000 delay=1000]]", "endpoint": "openAI", "model": "o1"});
    let started = post_json(addr, "/api/agents/chat", &[("authorization", &bearer)], &body).await.json();
    let path = format!("/api/agents/chat/stream/{}", started["streamId"].as_str().unwrap());
    let mut stream = open(addr, Method::GET, &path, &[("authorization", &bearer)], Bytes::new()).await;
    assert!(stream.next().await.is_some(), "the stream has begun");
    lab.stand_in.stop().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "nobody listens any more");
}
