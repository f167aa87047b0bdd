//! LibreChat's balances, transactions and messages, as documents of its database.

use futures_util::TryStreamExt;
use jiff::Timestamp;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::{Cursor, Database};

use super::OPERATION;
use super::directory::fields;
use super::plain::plain;
use crate::store::accounts::{LONGEST_CONVERSATION, MOST_BYTES, MOST_CONVERSATIONS, MOST_MESSAGES, MOST_ROWS};
use crate::store::{Fields, Page, object_id};

const BALANCE: [&str; 7] = [
    "user",
    "tokenCredits",
    "autoRefillEnabled",
    "refillIntervalValue",
    "refillIntervalUnit",
    "lastRefill",
    "refillAmount",
];

const ROW: [&str; 13] = [
    "user",
    "conversationId",
    "messageId",
    "tokenType",
    "model",
    "context",
    "rate",
    "rawAmount",
    "tokenValue",
    "inputTokens",
    "writeTokens",
    "readTokens",
    "createdAt",
];

const MESSAGE: [&str; 7] =
    ["messageId", "parentMessageId", "tokenCount", "isCreatedByUser", "text", "content", "files"];

const ANSWERED: [&str; 7] =
    ["messageId", "parentMessageId", "isCreatedByUser", "createdAt", "unfinished", "text", "content"];

/// The user's balances; there should be one at most.
pub(super) async fn balances(librechat: &Database, user: &str) -> Result<Vec<Fields>, Error> {
    let Some(user) = object_id(user).and_then(|id| ObjectId::parse_str(id).ok()) else { return Ok(Vec::new()) };
    let found = librechat
        .collection::<Document>("balances")
        .find(doc! {"user": user})
        .projection(fields(&BALANCE))
        .limit(2)
        .max_time(OPERATION)
        .await?;
    found.map_ok(plain).try_collect().await
}

pub(super) async fn transactions(
    librechat: &Database,
    conversations: &[&str],
    since: Timestamp,
) -> Result<Page, Error> {
    few_enough("conversations", conversations)?;
    // LibreChat's index is on the conversation alone, so that what lies in them is looked through.
    match short_enough(conversations).as_slice() {
        [] => Ok(Page::default()),
        ids => rows(librechat, doc! {"conversationId": {"$in": ids}}, since).await,
    }
}

pub(super) async fn transactions_of(
    librechat: &Database,
    users: &[&str],
    answers: &[&str],
    since: Timestamp,
) -> Result<Page, Error> {
    few_enough("users", users)?;
    few_enough("answers", answers)?;
    let id = |user: &&str| object_id(user).and_then(|id| ObjectId::parse_str(id).ok());
    let users: Vec<ObjectId> = users.iter().filter_map(id).collect();
    match short_enough(answers).as_slice() {
        ids if !ids.is_empty() && !users.is_empty() => {
            rows(librechat, doc! {"user": {"$in": users}, "messageId": {"$in": ids}}, since).await
        }
        _ => Ok(Page::default()),
    }
}

/// The rows that these conditions hold for, the oldest first.
async fn rows(librechat: &Database, mut of: Document, since: Timestamp) -> Result<Page, Error> {
    let mut members = fields(&ROW);
    members.insert("_id", 1);
    of.insert("createdAt", doc! {"$gte": DateTime::from_millis(since.as_millisecond())});
    let found = librechat
        .collection::<RawDocumentBuf>("transactions")
        .find(of)
        .projection(members)
        .sort(doc! {"createdAt": 1, "_id": 1})
        .limit(one_more(MOST_ROWS))
        .max_time(OPERATION)
        .await?;
    page(found, MOST_ROWS).await
}

fn few_enough(what: &str, asked: &[&str]) -> Result<(), Error> {
    if asked.len() > MOST_CONVERSATIONS {
        let why = format!("rows of more than {MOST_CONVERSATIONS} {what} are asked for at once");
        return Err(Error::custom(why));
    }
    Ok(())
}

fn short_enough<'a>(ids: &[&'a str]) -> Vec<&'a str> {
    ids.iter().filter(|id| id.len() <= LONGEST_CONVERSATION).copied().collect()
}

pub(super) async fn messages(librechat: &Database, user: &str, conversation: &str) -> Result<Page, Error> {
    // A message names its user by the id's text.
    let Some(user) = object_id(user) else { return Ok(Page::default()) };
    newest(librechat, doc! {"conversationId": conversation, "user": user}, &MESSAGE).await
}

pub(super) async fn messages_since(
    librechat: &Database,
    user: &str,
    conversation: &str,
    id: Option<&str>,
    since: Timestamp,
) -> Result<Page, Error> {
    let Some(user) = object_id(user) else { return Ok(Page::default()) };
    let mut those = vec![doc! {"createdAt": doc! {"$gte": DateTime::from_millis(since.as_millisecond())}}];
    those.extend(id.map(|id| doc! {"messageId": id}));
    newest(librechat, doc! {"conversationId": conversation, "user": user, "$or": those}, &ANSWERED).await
}

/// The messages that these conditions hold for, the newest first.
async fn newest(librechat: &Database, of: Document, members: &[&str]) -> Result<Page, Error> {
    let found = librechat
        .collection::<RawDocumentBuf>("messages")
        .find(of)
        .projection(fields(members))
        .sort(doc! {"createdAt": -1, "_id": -1})
        // Whole messages are sorted, and some are long.
        .allow_disk_use(true)
        .limit(one_more(MOST_MESSAGES))
        .max_time(OPERATION)
        .await?;
    page(found, MOST_MESSAGES).await
}

// === helpers ===

/// So many documents, and what tells whether there are more.
fn one_more(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1)
}

/// What is found, within the bounds.
async fn page(mut found: Cursor<RawDocumentBuf>, most: usize) -> Result<Page, Error> {
    let (mut page, mut bytes) = (Page::default(), 0_usize);
    while let Some(document) = found.try_next().await? {
        bytes = bytes.saturating_add(document.as_bytes().len());
        if page.documents.len() == most || bytes > MOST_BYTES {
            page.cut = true;
            break;
        }
        page.documents.push(plain(Document::try_from(&*document)?));
    }
    Ok(page)
}
