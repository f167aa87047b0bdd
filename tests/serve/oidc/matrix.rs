//! Tokens that must not count, by name: each is answered alike, and for each the record says what was wrong.

use jsonwebtoken::Algorithm;
use jsonwebtoken::jwk::Jwk;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::*;
use crate::idp::{decoded, encoded};

/// An RSA key of 1024 bits, and a token that it has truly signed.
const SMALL: &str = "x5vZWpbmO8dZ1y7sAaaMbcMPAfhZRfl0P65FbmYZr7HdHmuTdFDLwoqprHfrAqsC4vZHYkacxaylZMYtMc5F783NN975YSqEOzz2M9usWSgF\
    PTZBi-LBzo_4B1KKIOGZgKUw_28AqsjFo7A8TzY6OlkdqaUtl72Mxbccm-UB9Ys";
const SMALL_SIGNED: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCIsImtpZCI6InNtYWxsIn0.eyJpc3MiOiJodHRwczovL2lkcC5sYWIudGVzdC9yZWFsbXMvbGF\
    iIiwiYXVkIjoibGlicmVjaGF0Iiwic3ViIjoic3ViLW9mLWJvYiIsImV4cCI6NDAwMDAwMDAwMH0.twEu1QhcHU4_Z75wmEe09Fxg7LWpq27xBZmWQtjtSVXzBMEkwlfBw\
    Zqon14tg_Q5LXlGpoGqXM7nO-25NuE33CpRsCooJWHKwsM_ABeBp_lljb-iqpsnN149KHjzkeEy5df1KPMye076BfC36orGAHdm62e_d2vTSs9H0RDUX24";

/// A token that does not count.
struct Bad {
    name: &'static str,
    token: String,
    /// The cookies beside it, where they are not Bob's own.
    cookies: Option<String>,
    code: &'static str,
}

fn bad(name: &'static str, token: String, code: &'static str) -> Bad {
    Bad { name, token, cookies: None, code }
}

/// The keys that are published, good and bad.
struct Keys {
    rsa: Signer,
    curve: Signer,
    twin: Signer,
    encrypts: Signer,
    bound: Signer,
    stranger: Signer,
}

impl Keys {
    fn new() -> Self {
        Self {
            rsa: Signer::rsa("rsa"),
            curve: Signer::p256("curve"),
            twin: Signer::p256("twin"),
            encrypts: Signer::rsa("encrypts"),
            bound: Signer::rsa("bound"),
            stranger: Signer::rsa("rsa"),
        }
    }

    fn published(&self) -> Vec<Value> {
        let mut encrypts = self.encrypts.jwk();
        encrypts["use"] = json!("enc");
        let mut bound = self.bound.jwk();
        bound["alg"] = json!("RS512");
        let one = {
            let mut one = self.rsa.jwk();
            one["kid"] = json!("one");
            one["e"] = json!("AQ");
            one
        };
        let small = json!({"kty": "RSA", "use": "sig", "kid": "small", "n": SMALL.replace(' ', ""), "e": "AQAB"});
        vec![self.rsa.jwk(), self.curve.jwk(), self.twin.jwk(), Signer::p256("twin").jwk(), encrypts, bound, one, small]
    }
}

/// The signature that needs no private key where the exponent is 1: the padded digest itself (RFC 8017 9.2).
fn signature_for_exponent_one(message: &str) -> String {
    let mut padded = vec![0, 1];
    padded.extend([0xff].repeat(256 - 3 - 19 - 32));
    padded.extend([0, 0x30, 0x31, 0x30, 0x0d, 6, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1, 5, 0, 4, 0x20]);
    // Two bytes at the start, the filling, a zero, 19 bytes that name the digest, the digest.
    padded.truncate(256 - 32);
    padded.extend(Sha256::digest(message.as_bytes()));
    assert_eq!(padded.len(), 256);
    encoded(&padded)
}

fn unsigned(header: &Value) -> String {
    format!("{}.{}.c2lnbmF0dXJl", encoded(header.to_string().as_bytes()), encoded(claims().to_string().as_bytes()))
}

/// The algorithm that a token says it is signed with.
fn algorithms(keys: &Keys, secret: &str) -> Vec<Bad> {
    let jwk = keys.rsa.jwk();
    let public: Jwk = serde_json::from_value(jwk.clone()).expect("a key");
    let (n, e) = (decoded(jwk["n"].as_str().expect("text")), decoded(jwk["e"].as_str().expect("text")));
    let der = public_der(&n, &e);
    let pem = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", base64_lines(&der));
    let under = |secret: &[u8]| shared(secret, &with(json!({"id": "6b012e4109cc968f8a928bce"})));
    let zero = |signature: &str| {
        let good = keys.curve.token(&claims());
        format!("{}.{signature}", good.rsplit_once('.').expect("a token").0)
    };
    let mut all: Vec<Bad> = [("none", "alg none"), ("None", "alg None"), ("nOnE", "alg nOnE"), ("", "alg empty")]
        .map(|(alg, name)| bad(name, unsigned(&json!({"alg": alg, "kid": "rsa"})), "identity.signature"))
        .into();
    all.extend([
        bad("alg missing", unsigned(&json!({"kid": "rsa"})), "identity.malformed"),
        bad("alg a number", unsigned(&json!({"alg": 256, "kid": "rsa"})), "identity.malformed"),
        bad("HS256 under the public key, PEM", under(pem.as_bytes()), "identity.signature"),
        bad("HS256 under the public key, DER", under(&der), "identity.signature"),
        bad("HS256 under the public key, JWK", under(jwk.to_string().as_bytes()), "identity.signature"),
        bad(
            "HS256 under the public key, its numbers",
            under(serde_json::to_string(&public).expect("JSON").as_bytes()),
            "identity.signature",
        ),
        bad("HS256 under nothing", under(b""), "identity.signature"),
        bad("HS256 of another LibreChat", under(b"the secret of another LibreChat"), "identity.signature"),
        bad("HS256 of the secret before", under(format!("{secret}-of-yesterday").as_bytes()), "identity.signature"),
        bad(
            "a refresh token",
            shared(
                REFRESH_SECRET.as_bytes(),
                &json!({"id": "6b012e4109cc968f8a928bce", "sessionId": "s", "exp": LATER}),
            ),
            "identity.signature",
        ),
        bad(
            "the cookie's token",
            shared(REFRESH_SECRET.as_bytes(), &json!({"id": "6b012e4109cc968f8a928bce", "exp": LATER})),
            "identity.signature",
        ),
        bad(
            "an algorithm that is not allowed",
            keys.rsa.signed(r#"{"alg":"PS256","kid":"rsa"}"#, claims().to_string().as_bytes(), Algorithm::PS256),
            "identity.signature",
        ),
        bad(
            "ES256 by an RSA key",
            keys.rsa.token_with(&json!({"alg": "ES256", "kid": "rsa"}), &claims()),
            "identity.signature",
        ),
        bad(
            "RS256 by a curve's key",
            keys.curve.token_with(&json!({"alg": "RS256", "kid": "curve"}), &claims()),
            "identity.signature",
        ),
        bad("an algorithm that is not the key's", keys.bound.token(&claims()), "identity.signature"),
        bad("ES256 with r = s = 0", zero(&encoded(&[0; 64])), "identity.signature"),
        bad("ES256 with zeros as a sequence", zero(&encoded(&[0x30, 6, 2, 1, 0, 2, 1, 0])), "identity.signature"),
        bad("ES256 without r and s", zero(&encoded(&[0])), "identity.signature"),
        bad("another key's signature", keys.stranger.token(&claims()), "identity.signature"),
        bad("a broken signature", broken(&keys.rsa.token(&claims())), "identity.signature"),
    ]);
    all
}

/// The key that a token says it is signed by, or brings along.
fn named_keys(keys: &Keys, listener: &str) -> Vec<Bad> {
    let rsa = &keys.rsa;
    let named = |kid: Value| rsa.token_with(&json!({"alg": "RS256", "kid": kid}), &claims());
    let brings = |member: &str, what: Value| {
        let mut header = json!({"alg": "RS256", "kid": "rsa"});
        header[member] = what;
        rsa.token_with(&header, &claims())
    };
    let one = {
        let start =
            format!("{}.{}", encoded(br#"{"alg":"RS256","kid":"one"}"#), encoded(claims().to_string().as_bytes()));
        let signature = signature_for_exponent_one(&start);
        format!("{start}.{signature}")
    };
    vec![
        bad("kid missing", rsa.token_with(&json!({"alg": "RS256"}), &claims()), "identity.malformed"),
        bad("kid unknown", named(json!("unknown")), "identity.key"),
        bad("kid a path", named(json!("../../dev/null")), "identity.key"),
        bad("kid a query", named(json!("' UNION SELECT 'key' --")), "identity.key"),
        bad("kid with a NUL", named(json!("rsa\u{0}")), "identity.key"),
        bad("kid empty", named(json!("")), "identity.key"),
        bad("kid of 5,000 letters", named(json!("k".repeat(5_000))), "identity.malformed"),
        bad("kid a list", named(json!(["rsa"])), "identity.malformed"),
        bad("kid an object", named(json!({"$ne": ""})), "identity.malformed"),
        bad("kid of two keys", keys.twin.token(&claims()), "identity.key"),
        bad("kid of a key for encryption", keys.encrypts.token(&claims()), "identity.key"),
        bad("RSA with the exponent 1", one, "identity.key"),
        bad("RSA of 1024 bits", SMALL_SIGNED.replace(' ', ""), "identity.key"),
        bad("jku", brings("jku", json!(format!("{listener}/jwks"))), "identity.extension"),
        bad("x5u", brings("x5u", json!(format!("{listener}/certificate"))), "identity.extension"),
        bad("x5c", brings("x5c", json!(["MIIB"])), "identity.extension"),
        bad("jwk", brings("jwk", keys.rsa.jwk()), "identity.extension"),
    ]
}

/// When a token holds.
fn times(keys: &Keys) -> Vec<Bad> {
    let says = |more: Value| keys.rsa.token(&with(more));
    let raw = |exp: &str| {
        let text = claims().to_string().replace(&LATER.to_string(), exp);
        keys.rsa.signed(r#"{"alg":"RS256","kid":"rsa"}"#, text.as_bytes(), Algorithm::RS256)
    };
    vec![
        bad("ended a second ago", says(json!({"exp": now() - 1})), "identity.expired"),
        bad("exp now", says(json!({"exp": now()})), "identity.expired"),
        bad("exp negative", says(json!({"exp": -1})), "identity.expired"),
        bad("exp missing", says(json!({"exp": null})), "identity.endless"),
        bad("exp null", raw("null"), "identity.malformed"),
        bad("exp a fraction", raw("4000000000.5"), "identity.malformed"),
        bad("exp text", raw("\"4000000000\""), "identity.malformed"),
        bad("exp 2^63", raw("9223372036854775808"), "identity.malformed"),
        bad("exp 1e300", raw("1e300"), "identity.malformed"),
        bad("exp a list", raw("[4000000000]"), "identity.malformed"),
        bad("nbf to come", says(json!({"nbf": now() + 30})), "identity.early"),
        bad("nbf text", says(json!({"nbf": "0"})), "identity.malformed"),
        bad("issued an hour from now", says(json!({"iat": now() + 3_600})), "identity.early"),
        bad("iat text", says(json!({"iat": "now"})), "identity.malformed"),
    ]
}

/// Whose token it is, for whom and about whom. The first eight are those that the library takes although it is told what is wanted.
fn parties(keys: &Keys) -> Vec<Bad> {
    let says = |more: Value| keys.rsa.token(&with(more));
    vec![
        bad("confusion: iss a number", says(json!({"iss": 123})), "identity.issuer"),
        bad("confusion: iss an object", says(json!({"iss": {"a": 1}})), "identity.issuer"),
        bad("confusion: iss missing", says(json!({"iss": null})), "identity.issuer"),
        bad("confusion: iss a list", says(json!({"iss": ["https://evil.test", ISSUER]})), "identity.issuer"),
        bad("confusion: aud missing", says(json!({"aud": null})), "identity.audience"),
        bad("confusion: aud a number", says(json!({"aud": 5})), "identity.audience"),
        bad("confusion: aud a list with a number", says(json!({"aud": [AUDIENCE, 5]})), "identity.audience"),
        bad("confusion: sub a number", says(json!({"sub": 7})), "identity.subject"),
        bad("another issuer", says(json!({"iss": "https://evil.test"})), "identity.issuer"),
        bad("another tenant", says(json!({"iss": "https://idp.lab.test/realms/other"})), "identity.issuer"),
        bad("an issuer that only begins alike", says(json!({"iss": format!("{ISSUER}.evil.test")})), "identity.issuer"),
        bad("another audience", says(json!({"aud": "grafana"})), "identity.audience"),
        bad("other audiences", says(json!({"aud": ["grafana", "LibreChat"]})), "identity.audience"),
        bad("no audience in the list", says(json!({"aud": []})), "identity.audience"),
        bad(
            "several audiences, issued to another",
            says(json!({"aud": [AUDIENCE, "x"], "azp": "x"})),
            "identity.audience",
        ),
        bad("sub missing", says(json!({"sub": null})), "identity.subject"),
        bad("sub empty", says(json!({"sub": ""})), "identity.subject"),
        bad("sub an object", says(json!({"sub": {"$ne": null}})), "identity.subject"),
        bad("sub of 256 letters", says(json!({"sub": "s".repeat(256)})), "identity.subject"),
        bad("oid a number", says(json!({"oid": 1})), "identity.subject"),
        bad(
            "a logout token",
            says(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}})),
            "identity.extension",
        ),
        bad("a sub that nobody has", says(json!({"sub": "nobody"})), "identity.no-user"),
    ]
}

/// What kind of thing the token is at all.
fn forms(keys: &Keys) -> Vec<Bad> {
    let rsa = &keys.rsa;
    let header = |header: &str| rsa.signed(header, claims().to_string().as_bytes(), Algorithm::RS256);
    let good = rsa.token(&claims());
    let (start, signature) = good.rsplit_once('.').expect("a token");
    let (head, _) = start.split_once('.').expect("a token");
    let twice = claims().to_string().replacen('{', "{\"sub\":\"somebody\",", 1);
    vec![
        bad(
            "encrypted",
            format!("{}.a.b.c.d", encoded(br#"{"alg":"RSA-OAEP","enc":"A256GCM","kid":"rsa"}"#)),
            "identity.malformed",
        ),
        bad("enc in a signed token", header(r#"{"alg":"RS256","kid":"rsa","enc":"A256GCM"}"#), "identity.extension"),
        bad("nested", header(r#"{"alg":"RS256","kid":"rsa","cty":"JWT"}"#), "identity.extension"),
        bad("detached", format!("{head}..{signature}"), "identity.malformed"),
        bad("b64 false", header(r#"{"alg":"RS256","kid":"rsa","b64":false,"crit":["b64"]}"#), "identity.extension"),
        bad("b64 false, not critical", header(r#"{"alg":"RS256","kid":"rsa","b64":false}"#), "identity.extension"),
        bad("crit", header(r#"{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}"#), "identity.extension"),
        bad("crit empty", header(r#"{"alg":"RS256","kid":"rsa","crit":[]}"#), "identity.extension"),
        bad("zip", header(r#"{"alg":"RS256","kid":"rsa","zip":"DEF"}"#), "identity.extension"),
        bad(
            "a logout token by its type",
            header(r#"{"alg":"RS256","kid":"rsa","typ":"logout+jwt"}"#),
            "identity.extension",
        ),
        bad("typ a number", header(r#"{"alg":"RS256","kid":"rsa","typ":1}"#), "identity.malformed"),
        bad("alg twice", header(r#"{"alg":"none","alg":"RS256","kid":"rsa"}"#), "identity.malformed"),
        bad("kid twice", header(r#"{"alg":"RS256","kid":"x","k\u0069d":"rsa"}"#), "identity.malformed"),
        bad(
            "sub twice",
            rsa.signed(r#"{"alg":"RS256","kid":"rsa"}"#, twice.as_bytes(), Algorithm::RS256),
            "identity.malformed",
        ),
        bad(
            "claims that are white space",
            rsa.signed(r#"{"alg":"RS256","kid":"rsa"}"#, b"   ", Algorithm::RS256),
            "identity.malformed",
        ),
        bad(
            "claims that are a list",
            rsa.signed(r#"{"alg":"RS256","kid":"rsa"}"#, b"[{}]", Algorithm::RS256),
            "identity.malformed",
        ),
        bad(
            "claims that are no UTF-8",
            rsa.signed(r#"{"alg":"RS256","kid":"rsa"}"#, b"{\"a\":\"\xff\"}", Algorithm::RS256),
            "identity.malformed",
        ),
        bad("a header that is white space", header("  "), "identity.malformed"),
        bad("8 KiB and one byte", rsa.token(&with(json!({"filler": "x".repeat(8 * 1024)}))), "identity.malformed"),
        bad("five dots", format!("{good}.a.b.c"), "identity.malformed"),
        bad("a dot at the end", format!("{good}."), "identity.malformed"),
        bad("no signature", format!("{start}."), "identity.unsigned"),
        bad("padded", format!("{good}="), "identity.signature"),
        bad("no dot at all", good.replace('.', ""), "identity.malformed"),
    ]
}

/// The cookies beside a good token.
fn beside(keys: &Keys, world: &World) -> Vec<Bad> {
    let token = keys.rsa.token(&claims());
    let good = bob(world);
    let id = &world.person("Bob").id;
    let signed = |secret: &str, claims: Value| {
        format!("token_provider=openid; openid_user_id={}", shared(secret.as_bytes(), &claims))
    };
    let with_cookies = |name, cookies: String, code| Bad { name, token: token.clone(), cookies: Some(cookies), code };
    vec![
        with_cookies("no cookie", String::new(), "identity.cookies"),
        with_cookies("token_provider missing", good.replace("token_provider", "other"), "identity.cookies"),
        with_cookies("token_provider librechat", good.replace("=openid;", "=librechat;"), "identity.cookies"),
        with_cookies("token_provider librechat first", format!("token_provider=librechat; {good}"), "identity.cookies"),
        with_cookies("openid_user_id missing", "token_provider=openid".to_owned(), "identity.cookies"),
        with_cookies(
            "openid_user_id a bare id",
            format!("token_provider=openid; openid_user_id={id}"),
            "identity.cookies",
        ),
        with_cookies(
            "openid_user_id under JWT_SECRET",
            signed(&world.stand_in.options().jwt_secret, json!({"id": id, "exp": LATER})),
            "identity.cookies",
        ),
        with_cookies(
            "openid_user_id ended",
            signed(REFRESH_SECRET, json!({"id": id, "exp": now() - 1})),
            "identity.cookies",
        ),
        with_cookies("openid_user_id without an end", signed(REFRESH_SECRET, json!({"id": id})), "identity.cookies"),
        with_cookies(
            "openid_user_id of no user",
            signed(REFRESH_SECRET, json!({"id": {"$ne": null}, "exp": LATER})),
            "identity.cookies",
        ),
        with_cookies(
            "openid_user_id by the provider",
            format!("token_provider=openid; openid_user_id={token}"),
            "identity.cookies",
        ),
        with_cookies("openid_user_id of somebody else", cookies(&world.person("Ann").id), "identity.mismatch"),
    ]
}

fn broken(token: &str) -> String {
    let (start, signature) = token.rsplit_once('.').expect("a token");
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{start}.{other}{}", signature.get(1..).expect("a signature"))
}

/// An RSA public key in DER (RFC 8017 A.1.1).
fn public_der(n: &[u8], e: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let mut value = vec![0];
        value.extend(number);
        der(2, &value)
    };
    der(0x30, &[integer(n), integer(e)].concat())
}

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len()).expect("short").to_be_bytes();
    [&[tag, 0x82], &length[..], value].concat()
}

fn base64_lines(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_token_that_does_not_count_is_answered_alike_and_goes_no_further() {
    let (librechat, keys) = (librechat().await, Keys::new());
    let idp = Idp::start(keys.published()).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    assert_eq!(
        world.metric("tollgate_oidc_keys").await,
        "3",
        "rsa, curve and the one for RS512: no other key can be used"
    );
    // Whoever follows an address in a token comes here.
    let trap = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let listener = format!("http://{}", trap.local_addr().expect("an address"));
    let secret = world.stand_in.options().jwt_secret.clone();
    let all: Vec<Bad> = [
        algorithms(&keys, &secret),
        named_keys(&keys, &listener),
        times(&keys),
        parties(&keys),
        forms(&keys),
        beside(&keys, &world),
    ]
    .into_iter()
    .flatten()
    .collect();
    let confused = all.iter().filter(|bad| bad.name.starts_with("confusion: ")).count();

    let (good, mine) = (keys.rsa.token(&claims()), bob(&world));
    assert_eq!(send(&world, "good", MODELS, &good, &mine).await.status, 200, "a good token counts");
    assert_eq!(send(&world, "good", MODELS, &keys.curve.token(&claims()), &mine).await.status, 200);
    let before = librechat.heads().len();
    for Bad { name, token, cookies, .. } in &all {
        for (target, what) in [(MODELS, "models"), (CHAT, "chat")] {
            let cookies = cookies.as_deref().unwrap_or(&mine);
            let answer = send(&world, &format!("{name}: {what}"), target, token, cookies).await;
            assert_eq!(answer.status, 401, "{name}: {what}: {}", answer.text());
            assert_eq!(answer.text(), r#"{"message":"Unauthorized"}"#, "{name}: {what}");
            let mut names: Vec<_> = answer.headers.keys().map(|name| name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, ["cache-control", "content-length", "content-type", "date"], "{name}: {what}");
        }
    }
    assert_eq!(librechat.heads().len(), before, "nothing reached LibreChat");
    for Bad { name, code, .. } in &all {
        for what in ["models", "chat"] {
            let entry = world.entry_from(&format!("{name}: {what}")).await;
            assert_eq!((&entry["rules"], &entry["decision"]), (&json!([code]), &json!("deny")), "{name}: {what}");
        }
    }
    let none = tokio::time::timeout(std::time::Duration::from_millis(1), trap.accept()).await;
    assert!(none.is_err(), "an address in a token was followed");
    assert!(idp.asked("/jwks") <= 3, "{} fetches for all the unknown keys", idp.asked("/jwks"));
    assert_eq!(confused, 8);
    assert_eq!(all.len(), 113, "the table of tokens");
}

#[tokio::test]
async fn a_token_with_dots_of_another_script_is_none() {
    let (librechat, signer) = (librechat().await, Signer::rsa("one"));
    let idp = Idp::start(vec![signer.jwk()]).await;
    let mut world = plan(POLICY, &librechat, &idp.jwks()).start().await;
    has_keys(&mut world).await;
    let token = signer.token(&claims()).replace('.', "\u{2024}");
    let head = format!(
        "GET /api/models HTTP/1.1\r\nhost: x\r\ncookie: {}\r\nauthorization: Bearer {token}\r\n\r\n",
        bob(&world)
    );
    let answer = crate::support::send_raw(world.addr, head.as_bytes()).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(answer.starts_with("HTTP/1.1 401 ") || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(librechat.heads().is_empty());
}
