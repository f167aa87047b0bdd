use std::sync::Arc;

use jiff::Timestamp;

use super::*;
use crate::record::samples::turn;
use crate::store::embedded::Embedded;
use crate::store::{Filter, Ledger};

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the keeper ends with the test")]
async fn what_is_too_old_goes_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Embedded::open(directory.path()).unwrap());
    let lines: Vec<_> = (0..2_500).map(|n| turn(n).line().unwrap()).collect();
    store.append(&lines).await.unwrap();
    let clock = Clock::manual("2027-03-01T00:00:00Z".parse::<Timestamp>().unwrap());
    let keep = Keep { usage: Some(Duration::from_secs(86_400)), ..Keep::default() };
    let kept = Kept { sink: "embedded", ledger: store.clone() };
    let keeper = tokio::spawn(Keeper::new(kept, keep, &clock).run());
    // More than two steps' worth.
    while !store.find(&Filter::default(), None, 1).await.unwrap().lines.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    keeper.abort();
}
