//! Where Tollgate looks people up and keeps its own data: small traits, and the stores behind them.
//!
//! [`embedded`] is a SQLite file, the default: a product, not a mock. [`mongo`] is MongoDB: LibreChat's database for the
//! directory, the stored agents and the accounts (read only), a database of Tollgate's own for records. Both pass one contract
//! suite, agents and accounts apart: those are LibreChat's, so that only its own database knows them.
//!
//! What limits count is kept apart ([`counters`]): in [`memory`], with a journal in the embedded store's directory, or in
//! [`redis`], where several processes count together. These two have a contract suite of their own.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};

pub mod accounts;
mod charged;
pub mod counters;
mod daily;
pub mod diary;
pub mod embedded;
mod facts;
pub mod ledger;
pub mod memory;
pub mod mongo;
pub mod overrides;
pub mod own;
pub mod redis;
mod subject;
pub mod windows;

pub use accounts::{Accounts, Page};
pub use daily::{DayCheck, DayChecked};
pub use ledger::{
    Daily, DayRow, Days, ERASED, Erased, Filter, Found, Inspected, InspectedDays, Keep, Ledger, Mark, Order, Place,
    Row, SLACK, Span, Tomb, Unread,
};
pub use subject::{Holder, Subject, normal_issuer};

/// A person as the directory knows them at the moment of the look-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// LibreChat's `users._id`, 24 hex digits in lower case.
    pub id: Box<str>,
    /// E-mail address in lower case.
    pub email: Option<Box<str>>,
    /// `users.role`; `None` where the record has no role (LibreChat then writes `USER`, CONTRACT.md A.2 a).
    pub role: Option<Box<str>>,
    /// Names of the groups that list the person as a member (CONTRACT.md A.3).
    pub groups: Vec<Box<str>>,
}

/// Answers who someone is. Reads only.
#[async_trait]
pub trait Directory: Send + Sync {
    /// The person with this LibreChat user id, or `None` where there is none (also for an id that is not an ObjectId).
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; callers then refuse, they never guess.
    async fn person(&self, id: &str) -> Result<Option<Person>, StoreError>;

    /// The person whom LibreChat finds for this subject of the identity provider (CONTRACT.md A.2 b), as the records stand.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; callers then refuse, they never guess.
    async fn holder(&self, subject: &Subject) -> Result<Holder, StoreError>;

    /// Whether the directory answers now.
    ///
    /// # Errors
    /// [`StoreError`] saying why not.
    async fn ping(&self) -> Result<(), StoreError>;
}

/// Fields of a document of LibreChat's, as JSON. What JSON has no word for (an id, a time, a number that is none) is an
/// object with one key that starts with `$`, so that a strict reader takes it for nothing else.
pub type Fields = Map<String, Value>;

/// LibreChat's stored agents, and the keys of its remote-agent API (CONTRACT.md B.4, B.6, appendix 2). Reads only, and
/// always the newest word: nothing is remembered, so that a changed agent is judged by what it is now.
#[async_trait]
pub trait Agents: Send + Sync {
    /// What the agents with these ids say about what they run: `id`, `provider`, `model`, `model_parameters`, `tools`,
    /// `skills`, `skills_enabled`, `artifacts`, `edges`, `agent_ids` and `subagents`, each only where the document has it.
    /// In no order; an id that no agent has gives nothing, an id of several tenants gives several documents. One question
    /// to the store, however many ids.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; callers then refuse, they never guess.
    async fn agents(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError>;

    /// What the agents with these ids say to their models: `id`, `instructions`, `additional_instructions`,
    /// `model_parameters`, `tools` and `artifacts`, each only where the document has it. As [`Self::agents`] otherwise. These
    /// texts may be long, so that they are asked for only where somebody counts them.
    ///
    /// # Errors
    /// [`StoreError`] as above.
    async fn briefs(&self, ids: &[Box<str>]) -> Result<Vec<Fields>, StoreError>;

    /// One of an agent's earlier states, whole: `versions[index]`. None where there is no such agent or no such version.
    /// An id of several tenants gives several.
    ///
    /// # Errors
    /// [`StoreError`] as above.
    async fn versions(&self, id: &str, index: u32) -> Result<Vec<Fields>, StoreError>;

    /// Whose key of the remote-agent API has this hash (SHA-256 of the key, 64 hex digits in lower case). None where
    /// LibreChat keeps no such key. Whether it has expired is for the caller to say, who knows the time.
    ///
    /// # Errors
    /// [`StoreError`] as above; also where two keys have the hash.
    async fn api_key(&self, hash: &str) -> Result<Option<ApiKey>, StoreError>;
}

/// A key of the remote-agent API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its own id, which is no secret: `agentapikeys._id`, 24 hex digits in lower case.
    pub id: Box<str>,
    /// Whose it is: `users._id`, 24 hex digits in lower case.
    pub user: Box<str>,
    /// When it stops being accepted; none where it does not.
    pub expires: Option<Timestamp>,
}

/// A store could not do its work.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{store}: {message}")]
pub struct StoreError {
    /// Which store: `mongodb`, `embedded`, `memory`, `redis`.
    pub store: &'static str,
    /// What went wrong, without secrets (no connection string, no password).
    pub message: String,
    /// Whether trying again later may succeed.
    pub transient: bool,
}

// === helpers ===

/// The id in the form that stores keep, lower case; `None` where it is not an ObjectId (24 hex digits).
///
/// LibreChat's ids come out of tokens, where MongoDB's driver wrote them in lower case; mongoose would also take 12
/// characters of any kind as an id. No user has one, so they name nobody here.
pub(crate) fn object_id(id: &str) -> Option<String> {
    (id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| id.to_ascii_lowercase())
}
