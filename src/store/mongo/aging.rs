//! Letting go of what is old: the server does it, by indexes that say how old is too old.

use std::time::Duration;

use mongodb::bson::{Document, doc};
use mongodb::error::Error;
use mongodb::options::IndexOptions;
use mongodb::{Database, IndexModel};

use super::daily::DAILY;
use super::ledger::{AUDIT, HEADS, USAGE, is_missing};
use crate::store::Keep;

/// The longest that the server knows, 68 years: for what is kept forever, as an index cannot be told to stop.
const FOREVER: i64 = 2_147_483_647;

/// Tells the server what to keep; telling it again changes nothing.
pub(super) async fn keep(own: &Database, keep: &Keep) -> Result<(), Error> {
    for (name, member, keep) in [
        (AUDIT, "timestamp", keep.audit),
        (USAGE, "timestamp", keep.usage),
        (HEADS, "timestamp", keep.heads),
        (DAILY, "day", keep.daily),
    ] {
        let seconds = keep.map_or(FOREVER, |keep| i64::try_from(keep.as_secs()).unwrap_or(FOREVER).min(FOREVER));
        let index = doc! {"keyPattern": {member: 1}, "expireAfterSeconds": seconds};
        match own.run_command(doc! {"collMod": name, "index": index}).await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => make(own, name, member, seconds).await?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn make(own: &Database, name: &str, member: &str, seconds: i64) -> Result<(), Error> {
    let options = IndexOptions::builder().expire_after(Duration::from_secs(seconds.unsigned_abs())).build();
    let index = IndexModel::builder().keys(doc! {member: 1}).options(options).build();
    own.collection::<Document>(name).create_index(index).await.map(drop)
}
