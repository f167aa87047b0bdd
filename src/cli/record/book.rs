//! The record that a command tells in what it is about to do: first told, then done, so that there is nothing done that the record does not
//! tell of.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::Failure;
use super::deed::{deed, signer, signer_or_new, write};
use super::place::{Place, StoreName};
use crate::clock::Clock;
use crate::record::heads::Signer;
use crate::record::{About, Happened};
use crate::store::Ledger;

/// The record that a change is told in.
pub struct Book<'a> {
    store: &'static str,
    ledger: Arc<dyn Ledger>,
    signer: Signer,
    clock: &'a Clock,
}

// === impl Book ===

impl<'a> Book<'a> {
    /// Opens the record and the key that signs in it.
    ///
    /// # Errors
    /// [`Failure`] where there is none.
    pub async fn open(place: &mut Place, key: Option<&Path>, clock: &'a Clock) -> Result<Self, Failure> {
        let opened = Self::open_or_say(place, key, clock).await;
        opened.map_err(|failure| match failure {
            Failure::Asked(why) => Failure::Asked(unrecorded(&why)),
            other => Failure::Failed(unrecorded(&other.to_string())),
        })
    }

    async fn open_or_say(place: &mut Place, key: Option<&Path>, clock: &'a Clock) -> Result<Self, Failure> {
        let named = key.or(place.signing_key());
        // People are often there before the first start. The key that is made for them then is the one that Tollgate goes on with.
        let signer = match named {
            None if place.store() == Some(StoreName::Embedded) => signer_or_new(place.data())?,
            named => signer(named, place.data())?,
        };
        Ok(Self { ledger: place.ledger().await?, store: place.store_name(), signer, clock })
    }

    /// Tells that something is about to be done, and gives the event's id.
    ///
    /// # Errors
    /// [`Failure`] where the record does not take it: then it is not to be done.
    pub async fn tell(&self, action: Happened, user: Option<&str>, about: About) -> Result<Uuid, Failure> {
        let id = Uuid::now_v7();
        let event = deed(id, self.clock.now(), action, user, about);
        let written = write(&event, (self.store, &self.ledger), &self.signer).await;
        written.map_err(|failure| Failure::Failed(unrecorded(&failure.to_string())))?;
        Ok(id)
    }

    /// What was told was not done: the record tells that, too.
    pub async fn take_back(&self, action: Happened, user: Option<&str>, told: Uuid, failure: Failure) -> Failure {
        match self.tell(action, user, About::NotDone { failed: told }).await {
            Ok(_) => failure,
            Err(_) => Failure::Failed(format!(
                "{failure}; the record tells in event {told} that it was done, and could not be told otherwise"
            )),
        }
    }
}

// === helpers ===

fn unrecorded(why: &str) -> String {
    format!("nothing was changed, for the record cannot tell of it: {why}")
}
