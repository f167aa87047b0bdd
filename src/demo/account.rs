//! Signing in and out, and what belongs to one person: account, role, balance.

use http::header::COOKIE;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::answer::Answer;
use super::options::Person;
use super::state::{State, iso, lock, now};
use super::token;

/// The cookies that a sign-out clears, in LibreChat's order.
const COOKIES: [&str; 5] =
    ["refreshToken", "openid_access_token", "openid_id_token", "openid_user_id", "token_provider"];

/// `POST /api/auth/login`.
pub(super) fn login(state: &State, body: Option<&Value>) -> Answer {
    let field = |name: &str| body.and_then(|body| body.get(name)).and_then(Value::as_str).unwrap_or_default();
    let email = field("email").to_lowercase();
    match state.options.people.iter().find(|person| person.email.to_lowercase() == email) {
        None => Answer::json(StatusCode::NOT_FOUND, &json!({"message": "Email does not exist."})),
        Some(person) if person.password != field("password") => {
            Answer::json(StatusCode::NOT_FOUND, &json!({"message": "Incorrect password."}))
        }
        Some(person) => {
            let mut user = document(state, person);
            if let Some(fields) = user.as_object_mut() {
                fields.insert("id".to_owned(), person.id.clone().into());
            }
            signed_in(state, person, user)
        }
    }
}

/// `POST /api/auth/refresh`. A refresh token is good once.
pub(super) fn refresh(state: &State, headers: &HeaderMap) -> Answer {
    let Some(old) = cookie(headers, "refreshToken").filter(|token| !token.is_empty()) else {
        return Answer::text(StatusCode::OK, "Refresh token not provided");
    };
    let Some(id) = token::refresh_owner(&old, &state.options.jwt_refresh_secret, now()) else {
        return Answer::text(StatusCode::FORBIDDEN, "Invalid refresh token");
    };
    let known = lock(&state.sessions).remove(&old).is_some();
    match state.person(&id).filter(|_| known) {
        Some(person) => signed_in(state, person, document(state, person)),
        None => Answer::text(StatusCode::UNAUTHORIZED, "Refresh token expired or not found for this user"),
    }
}

/// `POST /api/auth/logout`. The access token stays good until it ends (capture `398_after-logout-access`).
pub(super) fn logout(state: &State, headers: &HeaderMap) -> Answer {
    if let Some(token) = cookie(headers, "refreshToken") {
        lock(&state.sessions).remove(&token);
    }
    let answer = Answer::ok(&json!({"message": "Logout successful"}));
    COOKIES.iter().fold(answer, |answer, name| {
        answer.with_cookie(&format!("{name}=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT"))
    })
}

/// `GET /api/user`.
pub(super) fn user(state: &State, person: &Person) -> Answer {
    let mut user = json!({"_id": person.id, "id": person.id});
    if let (Some(fields), Value::Object(rest)) = (user.as_object_mut(), document(state, person)) {
        fields.extend(rest);
        fields.shift_remove("refreshToken");
    }
    Answer::ok(&user)
}

/// `GET /api/balance`.
pub(super) fn balance(state: &State, person: &Person) -> Answer {
    let credits = state.balance(&person.id);
    Answer::ok(&json!({"user": person.id, "__v": 0, "autoRefillEnabled": false, "tokenCredits": credit(credits)}))
}

/// Credits as JavaScript writes them: without decimals where there are none.
pub(super) fn credit(credits: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "guarded: the number is whole and far below 2^53")]
    if credits.fract() == 0.0 && credits.abs() < 1e15 { json!(credits as i64) } else { json!(credits) }
}

/// `GET /api/roles/:role`: an administrator may read any role, everybody else their own.
pub(super) fn role(state: &State, person: &Person, name: &str) -> Answer {
    let exists = ["USER", "ADMIN"].contains(&name) || state.options.people.iter().any(|person| person.role == name);
    if person.role != "ADMIN" && person.role != name {
        Answer::json(StatusCode::FORBIDDEN, &json!({"message": "Unauthorized"}))
    } else if exists {
        Answer::ok(&json!({
            "_id": "6b0000000000000000000c03", "name": name, "description": "", "permissions": permissions(),
        }))
    } else {
        Answer::json(StatusCode::NOT_FOUND, &json!({"message": "Role not found"}))
    }
}

fn permissions() -> Value {
    json!({
        "BOOKMARKS": {"USE": true},
        "PROMPTS": {"USE": true, "CREATE": true, "SHARE": false, "SHARE_PUBLIC": false},
        "MEMORIES": {"USE": true, "CREATE": true, "UPDATE": true, "READ": true, "OPT_OUT": true},
        "AGENTS": {"USE": true, "CREATE": true, "SHARE": true, "SHARE_PUBLIC": true},
        "MULTI_CONVO": {"USE": true},
        "TEMPORARY_CHAT": {"USE": true},
        "RUN_CODE": {"USE": true},
        "WEB_SEARCH": {"USE": true},
        "PEOPLE_PICKER": {"VIEW_USERS": false, "VIEW_GROUPS": false, "VIEW_ROLES": false},
        "MARKETPLACE": {"USE": false},
        "FILE_SEARCH": {"USE": true},
        "FILE_CITATIONS": {"USE": true},
        "MCP_SERVERS": {"USE": true, "CREATE": false, "SHARE": false, "SHARE_PUBLIC": false},
        "REMOTE_AGENTS": {"USE": true, "CREATE": true, "SHARE": true, "SHARE_PUBLIC": true},
        "SKILLS": {"USE": true, "CREATE": true, "SHARE": false, "SHARE_PUBLIC": false},
    })
}

fn signed_in(state: &State, person: &Person, user: Value) -> Answer {
    let time = now();
    let lifetime = i64::try_from(state.options.token_lifetime.as_secs()).unwrap_or(i64::MAX);
    let access = token::access(person, &state.options.jwt_secret, time, lifetime);
    let refresh = token::refresh(person, &state.options.jwt_refresh_secret, time);
    lock(&state.sessions).insert(refresh.clone(), person.id.clone());
    let end = jiff::Timestamp::from_second(time.as_second().saturating_add(token::REFRESH_SECONDS)).unwrap_or(time);
    let rest = format!("Path=/; Expires={}; HttpOnly; SameSite=Strict", end.strftime("%a, %d %b %Y %H:%M:%S GMT"));
    Answer::ok(&json!({"token": access, "user": user}))
        .with_cookie(&format!("refreshToken={refresh}; {rest}"))
        .with_cookie(&format!("token_provider=librechat; {rest}"))
}

fn document(state: &State, person: &Person) -> Value {
    let time = iso(state.started);
    json!({
        "_id": person.id, "name": person.name, "username": person.name.to_lowercase(), "email": person.email,
        "emailVerified": true, "avatar": null, "provider": "local", "role": person.role, "plugins": [],
        "twoFactorEnabled": false, "termsAccepted": false,
        "personalization": {"memories": true, "_id": "6b0000000000000000000d04"},
        "refreshToken": [], "favorites": [], "skillStates": {}, "createdAt": time, "updatedAt": time,
    })
}

/// The first cookie of this name (CONTRACT.md A.2).
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let header = headers.get(COOKIE)?.to_str().ok()?;
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}
