//! Changing who somebody is. Who may do what follows from it, so the record tells of each change: before it is made, so that there is
//! none that the record does not tell of.

use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::{Set, nobody};
use crate::cli::record::Failure;
use crate::cli::record::deed::{deed, signer, signer_or_new, write};
use crate::cli::record::place::{Place, StoreName};
use crate::clock::Clock;
use crate::record::entry::{Changed, Rights};
use crate::record::heads::Signer;
use crate::record::{About, Happened};
use crate::store::embedded::Embedded;
use crate::store::{Ledger, Person};

/// The record that a change is told in.
struct Book<'a> {
    store: &'static str,
    ledger: Arc<dyn Ledger>,
    signer: Signer,
    clock: &'a Clock,
}

/// Adds or changes a person, and gives what became of it. Where nothing changes, nothing is told.
pub(super) async fn set(
    set: &Set,
    store: &Embedded,
    place: &mut Place,
    key: Option<&Path>,
    clock: &Clock,
) -> Result<Person, Failure> {
    let before = store.find_person(&set.id)?;
    let account = store.account(&set.id)?;
    let person = set.apply(before.clone());
    let wanted = if set.no_account { None } else { set.account().or_else(|| account.clone()) };
    let changed = changed(before.as_ref(), &person, wanted != account);
    if before.is_some() && changed.is_empty() {
        return Ok(person);
    }
    let about = About::UserSet { changed, before: before.as_ref().map(rights), after: rights(&person) };
    let book = Book::open(place, key, clock).await?;
    let told = book.tell(Happened::UserSet, &person.id, about).await?;
    let done = store
        .put_person(&person)
        .and_then(|()| if wanted == account { Ok(()) } else { store.link_person(&person.id, wanted.as_ref()) });
    match done {
        Ok(()) => Ok(person),
        Err(error) => Err(book.take_back(Happened::UserSet, &person.id, told, error.into()).await),
    }
}

/// Removes a person.
pub(super) async fn remove(
    id: &str,
    store: &Embedded,
    place: &mut Place,
    key: Option<&Path>,
    clock: &Clock,
) -> Result<(), Failure> {
    let before = store.find_person(id)?.ok_or_else(|| nobody(id))?;
    let book = Book::open(place, key, clock).await?;
    let told = book.tell(Happened::UserRemoved, id, About::UserRemoved { before: rights(&before) }).await?;
    match store.remove_person(id) {
        Ok(true) => Ok(()),
        // Another command was faster, and told so.
        Ok(false) => Err(book.take_back(Happened::UserRemoved, id, told, nobody(id)).await),
        Err(error) => Err(book.take_back(Happened::UserRemoved, id, told, error.into()).await),
    }
}

// === impl Book ===

impl<'a> Book<'a> {
    async fn open(place: &mut Place, key: Option<&Path>, clock: &'a Clock) -> Result<Self, Failure> {
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

    async fn tell(&self, action: Happened, user: &str, about: About) -> Result<Uuid, Failure> {
        let id = Uuid::now_v7();
        let event = deed(id, self.clock.now(), action, Some(user), about);
        let written = write(&event, (self.store, &self.ledger), &self.signer).await;
        written.map_err(|failure| Failure::Failed(unrecorded(&failure.to_string())))?;
        Ok(id)
    }

    /// What was told was not done: the record tells that, too.
    async fn take_back(&self, action: Happened, user: &str, told: Uuid, failure: Failure) -> Failure {
        match self.tell(action, user, About::NotDone { failed: told }).await {
            Ok(_) => failure,
            Err(_) => Failure::Failed(format!(
                "{failure}; the record tells in event {told} that it was done, and could not be told otherwise"
            )),
        }
    }
}

// === helpers ===

/// Which members change.
fn changed(before: Option<&Person>, after: &Person, account: bool) -> Vec<Changed> {
    let differs = |of: fn(&Person, &Person) -> bool| match before {
        Some(before) => of(before, after),
        None => of(&Person { id: after.id.clone(), email: None, role: None, groups: vec![] }, after),
    };
    let members = [
        (Changed::Email, differs(|a, b| a.email != b.email)),
        (Changed::Role, differs(|a, b| a.role != b.role)),
        (Changed::Groups, differs(|a, b| a.groups != b.groups)),
        (Changed::Account, account),
    ];
    members.into_iter().filter_map(|(member, changed)| changed.then_some(member)).collect()
}

/// What of a person the record tells: no address, no account, which are not in the record otherwise.
fn rights(person: &Person) -> Rights {
    Rights { groups: person.groups.clone(), role: person.role.clone() }
}

fn unrecorded(why: &str) -> String {
    format!("nothing was changed, for the record cannot tell of it: {why}")
}
