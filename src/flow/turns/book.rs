//! The open turns, and how they are found: by age, by user, and by stream.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};
use uuid::Uuid;

use super::Turn;
use crate::identity::Bearer;

/// A user and a conversation.
pub(super) type Key = (Arc<str>, Arc<str>);

/// The open turns.
#[derive(Default)]
pub(super) struct Book {
    /// All of them, the oldest first.
    all: IndexMap<Uuid, Arc<Turn>>,
    /// Those whose stream is known, by user and stream; the last one has its name at LibreChat.
    streams: IndexMap<Key, Vec<Arc<Turn>>>,
    /// Who has any.
    people: IndexMap<Arc<str>, Person>,
    /// Conversations in which a turn is on its way to LibreChat.
    starting: IndexSet<Key>,
}

/// Somebody who has open turns.
#[derive(Default)]
struct Person {
    /// The newest token that was seen; none where Tollgate has started anew, and for keys.
    bearer: Option<Arc<Bearer>>,
    turns: IndexMap<Uuid, Arc<Turn>>,
}

// === impl Book ===

impl Book {
    /// How many are open.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether this is one of them.
    pub(super) fn has(&self, turn: &Turn) -> bool {
        self.all.contains_key(&turn.id)
    }

    /// All of them, the oldest first.
    pub(super) fn all(&self) -> Vec<Arc<Turn>> {
        self.all.values().cloned().collect()
    }

    /// The one that has been open for longest.
    pub(super) fn oldest(&self) -> Option<Arc<Turn>> {
        self.all.first().map(|(_, turn)| Arc::clone(turn))
    }

    /// Those of this user.
    pub(super) fn of(&self, user: &str) -> impl Iterator<Item = &Arc<Turn>> {
        self.people.get(user).into_iter().flat_map(|person| person.turns.values())
    }

    /// Those of this user in this conversation, the newest last.
    pub(super) fn of_stream(&self, user: &Arc<str>, stream: &Arc<str>) -> &[Arc<Turn>] {
        self.streams.get(&(Arc::clone(user), Arc::clone(stream))).map_or(&[], Vec::as_slice)
    }

    /// The one that has this stream.
    pub(super) fn newest(&self, user: &Arc<str>, stream: &str) -> Option<Arc<Turn>> {
        self.of_stream(user, &Arc::from(stream)).last().cloned()
    }

    /// The newest token of this user.
    pub(super) fn bearer(&self, user: &str) -> Option<Arc<Bearer>> {
        self.people.get(user)?.bearer.clone()
    }

    /// Adds a turn.
    pub(super) fn add(&mut self, turn: &Arc<Turn>) {
        self.all.insert(turn.id, Arc::clone(turn));
        let person = self.people.entry(Arc::clone(&turn.caller.user)).or_default();
        person.turns.insert(turn.id, Arc::clone(turn));
        if let Some(bearer) = &turn.bearer {
            person.met(bearer);
        }
    }

    /// Its stream is known.
    pub(super) fn name(&mut self, turn: &Arc<Turn>, stream: &Arc<str>) {
        let same = self.streams.entry((Arc::clone(&turn.caller.user), Arc::clone(stream))).or_default();
        if same.iter().any(|other| other.id == turn.id) {
            return;
        }
        same.iter().for_each(|older| older.supersede());
        same.push(Arc::clone(turn));
    }

    /// Takes a turn out.
    pub(super) fn remove(&mut self, turn: &Arc<Turn>) {
        self.all.shift_remove(&turn.id);
        if let Some(person) = self.people.get_mut(&turn.caller.user) {
            person.turns.shift_remove(&turn.id);
            if person.turns.is_empty() {
                self.people.swap_remove(&turn.caller.user);
            }
        }
        let Some(stream) = turn.stream() else { return };
        let key = (Arc::clone(&turn.caller.user), stream);
        if let Some(same) = self.streams.get_mut(&key) {
            same.retain(|other| other.id != turn.id);
            if same.is_empty() {
                self.streams.swap_remove(&key);
            }
        }
    }

    /// This user's token. Whether it is new for somebody who has open turns.
    pub(super) fn met(&mut self, bearer: &Arc<Bearer>) -> bool {
        self.people.get_mut(&bearer.user).is_some_and(|person| person.met(bearer))
    }

    /// A turn is on its way to this conversation. Whether none was before.
    pub(super) fn reserve(&mut self, key: &Key) -> bool {
        self.starting.insert(key.clone())
    }

    /// It has arrived, or will not.
    pub(super) fn free(&mut self, key: &Key) {
        self.starting.swap_remove(key);
    }
}

// === impl Person ===

impl Person {
    fn met(&mut self, bearer: &Arc<Bearer>) -> bool {
        let same = |known: &Arc<Bearer>| Arc::ptr_eq(known, bearer) || known.authorization == bearer.authorization;
        if self.bearer.as_ref().is_some_and(same) {
            return false;
        }
        self.bearer = Some(Arc::clone(bearer));
        self.turns.values().for_each(|turn| turn.may_be_asked());
        true
    }
}
