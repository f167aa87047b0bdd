//! Two kinds of tokens side by side: LibreChat's own, and those of the identity provider with the cookies that belong to them.
//!
//! Which kind a token is, its own header says; a token is never tried as both.

use std::sync::Arc;

use http::HeaderMap;
use quick_cache::sync::Cache;

use super::claimed::Claimed;
use super::cookies;
use super::jose::Jws;
use super::oidc::{Login, Oidc};
use super::secret::Secret;
use super::token::{self, Bearer, Beside, Federated, TokenFault, Tokens};
use super::token::{authorization, the_only_one, token_of};
use crate::clock::Clock;
use crate::policy::Snapshot;
use crate::policy::mapping::TokenKind;

/// How many signed user ids are remembered.
const REMEMBERED: usize = 10_000;

/// Longest signed user id that is looked at, in bytes. LibreChat's have about 200.
const LONGEST: usize = 2 * 1024;

/// LibreChat's tokens and those of an identity provider.
pub struct Federation {
    oidc: Arc<Oidc>,
    refresh_secret: Secret,
    clock: Clock,
    /// The users that signed ids name, and when the ids end.
    users: Cache<Box<str>, (Arc<str>, i64)>,
}

// === impl Federation ===

impl Federation {
    /// `refresh_secret` is LibreChat's `JWT_REFRESH_SECRET`, under which it signs the cookie `openid_user_id`.
    pub fn new(oidc: Arc<Oidc>, refresh_secret: &str, clock: &Clock) -> Self {
        let refresh_secret = Secret::new(refresh_secret);
        Self { oidc, refresh_secret, clock: clock.clone(), users: Cache::new(REMEMBERED) }
    }

    /// The bearer by whichever kind of token it is. No I/O.
    pub(super) fn bearer(&self, headers: &HeaderMap, own: &Tokens) -> Result<Arc<Bearer>, TokenFault> {
        let value = the_only_one(headers)?;
        if let Some(known) = own.remembered(value) {
            return known;
        }
        let token = token_of(value)?;
        if is_librechats(token) {
            return own.read(headers);
        }
        self.with_cookies(headers, token, self.oidc.read(token)?)
    }

    /// The bearer of a token of the identity provider, after a look for its key.
    pub(super) async fn bearer_with_new_keys(&self, headers: &HeaderMap) -> Result<Arc<Bearer>, TokenFault> {
        let token = token_of(the_only_one(headers)?)?;
        let login = self.oidc.read_with_new_keys(token).await?;
        self.with_cookies(headers, token, login)
    }

    /// The user is the one whom LibreChat's own cookie names: without it LibreChat would not take the token. That the token leads to
    /// the same user is for the directory to say.
    fn with_cookies(&self, headers: &HeaderMap, token: &str, login: Arc<Login>) -> Result<Arc<Bearer>, TokenFault> {
        let signed = cookies::signed_user(headers).ok_or(TokenFault::Cookies)?;
        let user = self.user(&signed)?;
        let (expires, authorization) = (login.expires, authorization(token)?);
        let beside = |name: &str| cookies::value(headers, name).filter(|token| token.len() <= token::LONGEST);
        let beside = Beside {
            id: beside("openid_id_token").map(Into::into),
            access: beside("openid_access_token").map(Into::into),
        };
        let federated = Some(Federated { login, signed_user: signed.into(), beside });
        Ok(Arc::new(Bearer { user, authorization, federated, expires }))
    }

    /// What is proven of the bearer's claims, as far as the policy asks for them.
    pub(super) async fn claims(&self, bearer: &Bearer, policy: &Snapshot) -> Claimed {
        let Some(Federated { login, beside, .. }) = &bearer.federated else { return Claimed::default() };
        let mut claimed = Claimed::default();
        let (own, other, token) = if login.is_access {
            (&mut claimed.access, &mut claimed.id, &beside.id)
        } else {
            (&mut claimed.id, &mut claimed.access, &beside.access)
        };
        *own = Some(Arc::clone(login));
        // A token beside the bearer token is checked like one, and must be about the same person and of the other kind.
        let found = token.as_deref().and_then(|token| self.oidc.read(token).ok());
        *other = found.filter(|found| {
            found.is_access != login.is_access
                && (&found.subject.issuer, &found.subject.id) == (&login.subject.issuer, &login.subject.id)
        });
        // An access token may also be one that only the provider can read.
        let own = bearer.authorization.to_str().ok().and_then(|value| value.strip_prefix("Bearer "));
        let access = if login.is_access { own } else { beside.access.as_deref() };
        if policy.asks_for(TokenKind::Userinfo)
            && let Some(access) = access
        {
            claimed.userinfo = self.oidc.userinfo(&login.subject, access).await;
        }
        claimed
    }

    fn user(&self, signed: &str) -> Result<Arc<str>, TokenFault> {
        let now = self.clock.now().as_second();
        if signed.len() > LONGEST {
            return Err(TokenFault::Cookies);
        }
        if let Some((user, until)) = self.users.get(signed) {
            return if until > now { Ok(user) } else { Err(TokenFault::Cookies) };
        }
        let (user, until) = self.refresh_secret.user(signed, now).map_err(|_| TokenFault::Cookies)?;
        self.users.insert(signed.into(), (user.clone(), until));
        Ok(user)
    }
}

/// Whether a token says that it is signed with a shared secret: those are LibreChat's, or nobody's.
fn is_librechats(token: &str) -> bool {
    Jws::read(token).is_ok_and(|jws| jws.algorithm.starts_with("HS"))
}
