//! What a token would become: read, looked up and mapped by the code that serves requests.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};

use super::Finding;
use crate::clock::Clock;
use crate::config::Settings;
use crate::identity::{Bearer, Identity, KeyFault, Kind, TokenFault, Told, Unknown};
use crate::policy::mapping::Applied;
use crate::policy::{Caller, Mode, Snapshot};

/// Credentials, as a client sends them.
pub struct Credentials {
    headers: HeaderMap,
    token: String,
}

/// What became of credentials.
#[derive(Debug)]
pub struct Standing {
    /// What kind of credential it is.
    pub kind: Kind,
    /// What was found on the way, in its order.
    pub findings: Vec<Finding>,
    /// Who it is, where that is known.
    pub shown: Option<Shown>,
    /// What `serve` would answer.
    pub answer: String,
}

/// Who somebody is.
#[derive(Debug)]
pub struct Shown {
    /// As the directory has them.
    pub directory: Arc<Caller>,
    /// As the policy sees them.
    pub caller: Arc<Caller>,
    /// What each rule of the mappings made of it.
    pub applied: Vec<Applied>,
}

// === impl Credentials ===

impl Credentials {
    /// Reads a token or a key by itself, or the lines of a request's head (`Authorization: ...`, `Cookie: ...`).
    ///
    /// # Errors
    /// What is wrong with the text; nothing of it is in the message.
    pub fn read(text: &str) -> Result<Self, String> {
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let mut headers = HeaderMap::new();
        for line in &lines {
            let Some((name, value)) = line.split_once(": ") else { continue };
            let name =
                HeaderName::try_from(name.trim()).map_err(|_| "a line has a name that no header has".to_owned())?;
            let value = HeaderValue::try_from(value.trim()).map_err(|_| format!("the header {name} cannot be sent"))?;
            headers.append(name, value);
        }
        if let ([line], true) = (lines.as_slice(), headers.is_empty()) {
            let token = line.strip_prefix("Bearer ").unwrap_or(line);
            let value = HeaderValue::try_from(format!("Bearer {token}"));
            headers.insert(
                header::AUTHORIZATION,
                value.map_err(|_| "the token has characters that no token has".to_owned())?,
            );
        }
        let authorization = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some(authorization) = authorization else {
            return Err(
                "there is no token in it: write the token alone, or the lines \"Authorization: Bearer ...\" and \
                        \"Cookie: ...\" of a request"
                    .to_owned(),
            );
        };
        let token = authorization.split_once(' ').map_or(authorization, |(_, token)| token).to_owned();
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        Ok(Self { headers, token })
    }
}

pub(super) async fn look(
    identity: &Option<Identity>,
    policy: &Snapshot,
    shown: &Credentials,
    settings: &Settings,
    clock: &Clock,
) -> Standing {
    let kind = Kind::of(&shown.token);
    let mut standing = Standing { kind, findings: Vec::new(), shown: None, answer: String::new() };
    let Some(identity) = identity else {
        standing.answer = "nothing: there is nobody to ask who this is".to_owned();
        return standing;
    };
    let read = match kind {
        Kind::Key => by_key(identity, shown, &mut standing).await,
        _ => by_token(identity, shown, settings, clock, &mut standing).await,
    };
    if let Some(bearer) = read {
        person(identity, policy, &bearer, &mut standing).await;
    }
    standing
}

async fn by_key(identity: &Identity, shown: &Credentials, standing: &mut Standing) -> Option<Arc<Bearer>> {
    match identity.key(&shown.headers).await {
        Ok(holder) => {
            standing.findings.push(Finding::ok("key", "LibreChat has this key".to_owned()));
            Some(holder.bearer)
        }
        Err(fault) => {
            let (found, advice) = match &fault {
                KeyFault::Unknown => ("LibreChat has no such key".to_owned(), "make a new one in LibreChat"),
                KeyFault::Expired => ("the key has expired".to_owned(), "make a new one in LibreChat"),
                KeyFault::NoStore => {
                    ("keys are in LibreChat's database, which is not configured".to_owned(), "set MONGO_URI")
                }
                KeyFault::NoAnswer(error) => (error.to_string(), "start MongoDB, or correct MONGO_URI"),
                _ => (
                    "it has another form than LibreChat's keys".to_owned(),
                    "copy it whole: sk- and hexadecimal digits",
                ),
            };
            standing.findings.push(Finding::fault("key", found, advice));
            standing.answer = match fault {
                KeyFault::NoAnswer(_) => format!("503 {}", fault.code()),
                KeyFault::NoStore => "403 surface.remote_api".to_owned(),
                _ => format!("401 {}", fault.code()),
            };
            None
        }
    }
}

async fn by_token(
    identity: &Identity,
    shown: &Credentials,
    settings: &Settings,
    clock: &Clock,
    standing: &mut Standing,
) -> Option<Arc<Bearer>> {
    // As a request is read: the one fault that is waited for is a key that is not known yet.
    let read = match identity.bearer(&shown.headers) {
        Err(TokenFault::Key) => identity.bearer_with_new_keys(&shown.headers).await,
        read => read,
    };
    match read {
        Ok(bearer) => {
            let until = Told::of(&shown.token).expires.map_or_else(String::new, |at| {
                let left = at.saturating_sub(clock.now().as_second());
                format!(", and holds for another {}", span(left))
            });
            standing.findings.push(Finding::ok("token", format!("its signature is good{until}")));
            Some(bearer)
        }
        Err(fault) => {
            let told = Told::of(&shown.token);
            let (found, advice) = why(fault, &told, settings, clock.now());
            standing.findings.push(Finding::fault("token", found, &advice));
            standing.answer = format!("401 {}", fault.code());
            None
        }
    }
}

/// Why a token does not count, and what to do about it.
fn why(fault: TokenFault, told: &Told, settings: &Settings, now: Timestamp) -> (String, String) {
    let sign_in = "sign in to LibreChat again and take the newest token";
    let oidc = settings.oidc.as_ref().map(|oidc| &oidc.trust);
    let named = |text: &Option<Box<str>>| text.as_deref().map_or("none".to_owned(), |text| format!("{text:?}"));
    let (found, advice) = match fault {
        TokenFault::Missing => ("there is no bearer token".to_owned(), "write \"Authorization: Bearer ...\"".to_owned()),
        TokenFault::Malformed => {
            ("it cannot be read as a signed token".to_owned(), "copy it whole, without anything around it".to_owned())
        }
        TokenFault::Unsigned => ("it has no signature".to_owned(), sign_in.to_owned()),
        TokenFault::Signature if told.algorithm.as_deref().is_some_and(|name| name.starts_with("HS")) => (
            "its signature is not made with the JWT_SECRET that Tollgate has".to_owned(),
            "give Tollgate the JWT_SECRET of LibreChat's .env; a refresh token is none".to_owned(),
        ),
        TokenFault::Signature => (
            format!("its signature, by {}, is not good", named(&told.algorithm)),
            "look at oidc.algorithms, and whether the token is this provider's".to_owned(),
        ),
        TokenFault::Expired => {
            let since = told.expires.map(|at| span(now.as_second().saturating_sub(at)));
            (since.map_or("it has ended".to_owned(), |since| format!("it ended {since} ago")), sign_in.to_owned())
        }
        TokenFault::Endless => ("it says no end (exp)".to_owned(), sign_in.to_owned()),
        TokenFault::Early => {
            let until = told.begins.map(|at| span(at.saturating_sub(now.as_second())));
            let found = until.map_or("it does not hold yet".to_owned(), |until| format!("it holds only in {until}"));
            (found, "keep the clocks of all machines by NTP".to_owned())
        }
        TokenFault::Nobody => ("it names no user of LibreChat".to_owned(), sign_in.to_owned()),
        TokenFault::Extension => (
            "its header makes it another kind of token, or brings a key".to_owned(),
            "take the id token or the access token of the sign-in".to_owned(),
        ),
        TokenFault::Key => (
            format!("its key {} is none of the provider's keys that could be fetched", named(&told.key)),
            "look at the line \"identity provider\" above, and whether the token is of the same provider".to_owned(),
        ),
        TokenFault::Issuer => {
            let wanted = oidc.map_or("none is configured".to_owned(), |trust| format!("{:?} is wanted", trust.issuer));
            (format!("its issuer is {}, where {wanted}", named(&told.issuer)), "correct oidc.issuer".to_owned())
        }
        TokenFault::Audience => {
            let wanted = oidc.map(|trust| format!("{:?}", trust.audiences)).unwrap_or_default();
            let found = format!("it is for {:?}, where one of {wanted} is wanted", told.audience);
            (found, "correct oidc.client_id or oidc.audience, or take a token for LibreChat".to_owned())
        }
        TokenFault::Subject => ("it says in no right way whom it is about".to_owned(), sign_in.to_owned()),
        TokenFault::Cookies => (
            "the token itself is good, and without LibreChat's cookies nobody's".to_owned(),
            "hand in the line \"Cookie: ...\" of the same request, too: LibreChat needs openid_user_id and token_provider".to_owned(),
        ),
        TokenFault::Mismatch => ("it is about somebody else than its cookies".to_owned(), sign_in.to_owned()),
        TokenFault::Unlinked => ("its account is not linked to this user".to_owned(), sign_in.to_owned()),
    };
    // Without a provider every token counts as LibreChat's own.
    let is_foreign = oidc.is_none() && told.algorithm.as_deref().is_some_and(|name| !name.starts_with("HS"));
    match is_foreign {
        true => (format!("{found}: it is an identity provider's, and none is configured"), "configure oidc".to_owned()),
        false => (found, advice),
    }
}

async fn person(identity: &Identity, policy: &Snapshot, bearer: &Bearer, standing: &mut Standing) {
    let directory = match identity.caller(bearer).await {
        Ok(caller) => caller,
        Err(unknown) => {
            let (found, advice, answer) = match unknown {
                Unknown::Nobody => (
                    format!("the directory has no user {}", bearer.user),
                    "look whether MONGO_URI names the database of this LibreChat",
                    "401 identity.no-user",
                ),
                Unknown::Unlinked => (
                    "LibreChat has not linked this account of the provider to anybody yet".to_owned(),
                    "sign in to LibreChat with it once",
                    "401 identity.unlinked",
                ),
                Unknown::Another => (
                    "the account of the provider is another user's than the cookie names".to_owned(),
                    "sign out and in again",
                    "401 identity.mismatch",
                ),
                Unknown::NoAnswer(error) => (error.to_string(), "start the directory", "503 directory.down"),
            };
            standing.findings.push(Finding::fault("person", found, advice));
            answer.clone_into(&mut standing.answer);
            return;
        }
    };
    standing.findings.push(Finding::ok("person", format!("the directory has the user {}", directory.user)));
    let claims = identity.claims(bearer, policy).await;
    let applied = policy.applied(&directory, &claims);
    let caller = identity.mapped(bearer, Arc::clone(&directory), policy).await;
    standing.answer = match (policy.turned_away(&caller), policy.mode()) {
        (Some(rule), Mode::Enforce) => {
            standing.findings.push(Finding::fault("policy", format!("{rule} turns this person away"), ""));
            format!("403 {rule}")
        }
        (Some(rule), Mode::Shadow) => {
            let found = format!("{rule} would turn this person away; shadow mode lets them pass");
            standing.findings.push(Finding::warning("policy", found, "expect this before mode: enforce"));
            "what LibreChat answers".to_owned()
        }
        (None, _) => "what LibreChat answers, as far as the policy allows it (tollgate explain shows that)".to_owned(),
    };
    standing.shown = Some(Shown { directory, caller, applied });
}

/// So many seconds, for people.
fn span(seconds: i64) -> String {
    let span = SignedDuration::from_secs(seconds.max(0));
    let (hours, minutes) = (span.as_hours(), span.as_mins() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{} s", span.as_secs()),
        (0, minutes) => format!("{minutes} min {} s", span.as_secs() % 60),
        (hours, minutes) if hours < 48 => format!("{hours} h {minutes} min"),
        (hours, _) => format!("{} days", hours / 24),
    }
}
