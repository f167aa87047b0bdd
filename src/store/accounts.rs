//! What LibreChat keeps about money and messages (CONTRACT.md E.1, E.4, appendix 2). Reads only.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Fields, StoreError};

/// Most rows of `transactions` that one question gives.
pub const MOST_ROWS: usize = 10_000;

/// Most messages of a conversation that one question gives.
pub const MOST_MESSAGES: usize = 2_000;

/// Most bytes of rows or messages (as BSON) that one question gives.
pub const MOST_BYTES: usize = 8 * 1024 * 1024;

/// Most conversations of one question for rows.
pub const MOST_CONVERSATIONS: usize = 1_000;

/// Longest id of a conversation that rows are asked about, in bytes. LibreChat's own are UUIDs; a client may send any text.
pub const LONGEST_CONVERSATION: usize = 256;

/// Documents in the order that the question promises.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Each with those of the promised members that it has.
    pub documents: Vec<Fields>,
    /// Whether there are more that are not here, because of a bound.
    pub cut: bool,
}

/// LibreChat's balances, transactions and messages: always the newest word, nothing is remembered.
///
/// Numbers come as exactly as they are stored: a 32-bit or 64-bit integer or a double as a JSON number, a decimal as
/// `{"$numberDecimal": "1.5"}`, what is not a number as `{"$numberDouble": "NaN"}`; ids as `{"$oid": ...}`, times as
/// `{"$date": milliseconds}`.
#[async_trait]
pub trait Accounts: Send + Sync {
    /// The balance of the user with this id: `user`, `tokenCredits`, `autoRefillEnabled`, `refillIntervalValue`,
    /// `refillIntervalUnit`, `lastRefill` and `refillAmount`, each only where the document has it. None where LibreChat keeps
    /// none (it makes one at sign-in, CONTRACT.md E.1), also for an id that is not an ObjectId.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer; also where the user has two balances, of which LibreChat would take either.
    async fn balance(&self, user: &str) -> Result<Option<Fields>, StoreError>;

    /// The rows that LibreChat has written for runs in these conversations since this moment (included): `_id`, `user`,
    /// `conversationId`, `messageId`, `tokenType`, `model`, `context`, `rate`, `rawAmount`, `tokenValue`, `inputTokens`,
    /// `writeTokens`, `readTokens` and `createdAt`, each only where the row has it. The oldest first, at most [`MOST_ROWS`]
    /// and [`MOST_BYTES`]; where it is cut, the newest are missing. One question to the store, however many conversations; a
    /// conversation that nothing was written for gives nothing, nor does one with an id beyond [`LONGEST_CONVERSATION`].
    /// LibreChat's clock says when a row was written, not the caller's.
    ///
    /// Whose a row is says its `user`: callers name their conversations themselves, so the same name may be two people's.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer, or where more than [`MOST_CONVERSATIONS`] are asked about.
    async fn transactions(&self, conversations: &[&str], since: Timestamp) -> Result<Page, StoreError>;

    /// The same for answers: the rows of these users with one of these as their `messageId`, whatever their conversation. LibreChat's
    /// index is on the user alone, so that all rows of these users are looked through. A user's id that is not an ObjectId gives
    /// nothing, nor does an answer's beyond [`LONGEST_CONVERSATION`].
    ///
    /// # Errors
    /// As [`Accounts::transactions`]; [`MOST_CONVERSATIONS`] is also the most users, and the most answers.
    async fn transactions_of(&self, users: &[&str], answers: &[&str], since: Timestamp) -> Result<Page, StoreError>;

    /// The messages of this user in this conversation, all branches: `messageId`, `parentMessageId`, `tokenCount`,
    /// `isCreatedByUser`, `text`, `content` and `files`, each only where the message has it. The newest first, at most
    /// [`MOST_MESSAGES`] and [`MOST_BYTES`]; where it is cut, the oldest are missing. None for an id that is not an ObjectId.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn messages(&self, user: &str, conversation: &str) -> Result<Page, StoreError>;

    /// Those of them that LibreChat has written since this moment (included), by its clock, and those with this id: `messageId`,
    /// `parentMessageId`, `isCreatedByUser`, `createdAt`, `unfinished`, `text` and `content`. Else as [`Accounts::messages`].
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot answer.
    async fn messages_since(
        &self,
        user: &str,
        conversation: &str,
        id: Option<&str>,
        since: Timestamp,
    ) -> Result<Page, StoreError>;
}
