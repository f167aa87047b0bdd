//! Everybody in the directory under two policies. People for whom the same changes are told together.

use std::collections::HashMap;

use serde::Serialize;

use super::Pair;
use crate::cli::record::place::Place;
use crate::cli::record::progress::Progress;
use crate::cli::record::{Desk, Failure};
use crate::identity::caller_of;
use crate::policy::explain::difference::{Changes, Universe};
use crate::store::Person;

/// People of a page.
const PAGE: usize = 1_000;

/// Names of people for whom the same changes, where not all are asked for.
pub(super) const EXAMPLES: usize = 5;

/// So many ways to stand in the policies are remembered.
const REMEMBERED: usize = 10_000;

/// What changes for whom.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Everybody in the directory.
    pub(super) count: u64,
    /// Those for whom something changes, most people first.
    pub(super) classes: Vec<Class>,
}

/// People for whom the same changes.
#[derive(Debug, Serialize)]
pub(super) struct Class {
    /// How many they are.
    pub(super) people: u64,
    /// Some of them, or all: e-mail addresses, or ids where there is none.
    pub(super) names: Vec<String>,
    /// What changes.
    #[serde(flatten)]
    pub(super) changes: Changes,
}

/// The comparison so far.
pub(super) struct Comparison<'a> {
    pair: Pair<'a>,
    universe: &'a Universe,
    most: usize,
    found: People,
    /// Which class, by how somebody stands in both policies; none where nothing changes.
    standings: HashMap<String, Option<usize>>,
    /// Which class, by what changes.
    classes: HashMap<String, usize>,
}

// === impl People ===

impl People {
    /// Goes through the directory.
    pub(super) async fn compare(
        pair: Pair<'_>,
        universe: &Universe,
        most: usize,
        place: &mut Place,
        desk: &mut Desk<'_>,
    ) -> Result<Self, Failure> {
        let directory = place.people().await?;
        let mut progress = Progress::of("people", &mut *desk.err, desk.terminal.err, &desk.clock, "compared");
        let mut comparison = Comparison::new(pair, universe, most);
        let mut after: Option<Box<str>> = None;
        loop {
            let page = directory.after(after.as_deref(), PAGE).await?;
            let whole = page.len() == PAGE;
            after = page.last().map(|person| person.id.clone());
            for person in page {
                comparison.add(person)?;
                progress.step();
            }
            if !whole {
                return Ok(comparison.end());
            }
        }
    }

    /// How many people have something changed for them.
    pub(super) fn changed(&self) -> u64 {
        self.classes.iter().map(|class| class.people).sum()
    }
}

// === impl Comparison ===

impl<'a> Comparison<'a> {
    pub(super) fn new(pair: Pair<'a>, universe: &'a Universe, most: usize) -> Self {
        Self { pair, universe, most, found: People::default(), standings: HashMap::new(), classes: HashMap::new() }
    }

    /// Compares for one more.
    pub(super) fn add(&mut self, person: Person) -> Result<(), Failure> {
        self.found.count = self.found.count.saturating_add(1);
        let mut caller = caller_of(person);
        // The order of groups decides nothing but which statement is named first.
        let mut groups = caller.groups.to_vec();
        groups.sort_unstable();
        caller.groups = groups.into();
        let Pair { before, after } = self.pair;
        let standing = format!("{} / {}", before.standing(&caller), after.standing(&caller));
        let class = match self.standings.get(&standing) {
            Some(class) => *class,
            None => {
                let class = self.class(Changes::between(before, after, self.universe, &caller))?;
                if self.standings.len() >= REMEMBERED {
                    self.standings.clear();
                }
                self.standings.insert(standing, class);
                class
            }
        };
        if let Some(class) = class.and_then(|class| self.found.classes.get_mut(class)) {
            class.people = class.people.saturating_add(1);
            if class.names.len() < self.most {
                class.names.push(caller.email.map_or_else(|| caller.user.to_string(), String::from));
            }
        }
        Ok(())
    }

    fn class(&mut self, changes: Changes) -> Result<Option<usize>, Failure> {
        if changes.is_empty() {
            return Ok(None);
        }
        let written = serde_json::to_string(&changes).map_err(|error| Failure::Failed(error.to_string()))?;
        let classes = &mut self.found.classes;
        Ok(Some(*self.classes.entry(written).or_insert_with(|| {
            classes.push(Class { people: 0, names: Vec::new(), changes });
            classes.len() - 1
        })))
    }

    pub(super) fn end(mut self) -> People {
        self.found.classes.sort_by_key(|class| std::cmp::Reverse(class.people));
        self.found
    }
}
