//! The cases that pin what the fork allows.
//!
//! Where all who can ask and all models fit into one table, that is it. Otherwise each role and each group alone come first, with all
//! models, and then each two groups with the models in which their lists can differ. What has no room is told, never dropped in silence.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::made::quoted;
use crate::policy::fork::{Entry, Fork};

/// Most cells of a single table of everybody and everything, and of all tables of two groups.
const MOST_CELLS: usize = 20_000;

/// Most cells of the table of roles and groups alone.
const MOST_ALONE: usize = 40_000;

/// Most bytes of the file: a case file of more than a mebibyte is not read.
const LARGEST: usize = 900 * 1024;

/// A model that no list names.
const UNLISTED: &str = "a-model-that-no-list-names";

/// Endpoints of which one may be listed nowhere.
const PROBES: [&str; 5] = ["openAI", "anthropic", "google", "bedrock", "azureOpenAI"];

/// The name of the table.
const NAME: &str = "What the fork allows";

/// The cases.
#[derive(Debug)]
pub(super) struct Pinned {
    /// The file.
    pub(super) text: String,
    /// How many cases it has.
    pub(super) cells: usize,
    /// What no case pins.
    pub(super) left_out: Vec<String>,
}

/// A model of an endpoint.
type Model<'a> = (&'a str, &'a str);

/// Somebody who asks.
struct Asker<'a> {
    name: String,
    role: &'a str,
    groups: Vec<&'a str>,
    /// The entries that are about them.
    entries: Vec<&'a Entry>,
}

/// The tables so far.
struct Tables<'a> {
    fork: &'a Fork,
    callers: String,
    matrices: String,
    /// Of tables and of callers.
    names: BTreeSet<String>,
    cells: usize,
}

/// The cases.
pub(super) fn cases(fork: &Fork) -> Pinned {
    let (models, other) = (models(fork), role_without_entry(fork));
    let alone = alone(fork, &other);
    let pairs = || pairs(fork, &other);
    let mut tables = Tables { fork, callers: String::new(), matrices: String::new(), names: BTreeSet::new(), cells: 0 };
    let mut left_out = Vec::new();
    let groups = fork.groups.len();
    let all = groups * groups.saturating_sub(1) / 2;
    let is_small = (alone.len() + all).saturating_mul(models.len()) <= MOST_CELLS;
    let everybody: Vec<Asker<'_>> = if is_small { pairs().collect() } else { Vec::new() };
    let everybody: Vec<&Asker<'_>> = alone.iter().chain(&everybody).collect();
    if is_small && tables.push(NAME, &everybody, &models, MOST_CELLS) {
        return tables.into_pinned(left_out);
    }
    let alone: Vec<&Asker<'_>> = alone.iter().collect();
    if !tables.push(NAME, &alone, &models, MOST_ALONE) {
        left_out.push(tables.each_alone(&alone, &models));
    }
    left_out.extend(tables.two_by_two(pairs(), all));
    tables.into_pinned(left_out)
}

/// Every model that is listed, of each listed endpoint one that is not, and one of an endpoint that is not.
fn models(fork: &Fork) -> Vec<Model<'_>> {
    let mut models: BTreeSet<Model<'_>> = fork.roles.iter().chain(&fork.groups).flat_map(differing).collect();
    models.insert(open(fork));
    models.into_iter().collect()
}

/// The models that this entry's lists are about: those that they name, and of each endpoint one that they do not.
fn differing(entry: &Entry) -> impl Iterator<Item = Model<'_>> {
    // What is listed for agents is no model.
    let lists = entry.endpoints.iter().flatten().filter(|listed| &*listed.endpoint != "agents");
    lists.flat_map(|listed| {
        listed.models.iter().map(|model| &**model).chain([UNLISTED]).map(|model| (&*listed.endpoint, model))
    })
}

/// A model of an endpoint that is listed nowhere.
fn open(fork: &Fork) -> Model<'static> {
    let is_listed = |probe: &str| {
        let mut lists = fork.roles.iter().chain(&fork.groups).flat_map(|entry| entry.endpoints.iter().flatten());
        lists.any(|listed| &*listed.endpoint == probe)
    };
    (PROBES.into_iter().find(|probe| !is_listed(probe)).unwrap_or("Some other endpoint"), UNLISTED)
}

/// The name of a role that has no entry.
fn role_without_entry(fork: &Fork) -> String {
    let mut other = "A role without an entry".to_owned();
    while fork.roles.iter().any(|entry| *entry.name == *other) {
        other.push('!');
    }
    other
}

/// Each role, one that has no entry, and each group alone.
fn alone<'a>(fork: &'a Fork, other: &'a str) -> Vec<Asker<'a>> {
    let role = |name: &'a str, entries| Asker { name: format!("role {name}"), role: name, groups: vec![], entries };
    let roles = fork.roles.iter().map(|entry| role(&entry.name, vec![entry]));
    let group = |entry: &'a Entry| asker(fork, other, format!("group {}", entry.name), vec![entry]);
    roles.chain([role(other, vec![])]).chain(fork.groups.iter().map(group)).collect()
}

/// Each two groups.
fn pairs<'a>(fork: &'a Fork, other: &'a str) -> impl Iterator<Item = Asker<'a>> {
    fork.groups.iter().enumerate().flat_map(move |(index, one)| {
        fork.groups.iter().skip(index + 1).map(move |second| {
            asker(fork, other, format!("groups {} and {}", one.name, second.name), vec![one, second])
        })
    })
}

/// Somebody of these groups, and of the first role.
fn asker<'a>(fork: &'a Fork, other: &'a str, name: String, groups: Vec<&'a Entry>) -> Asker<'a> {
    let role = fork.roles.first().map_or(other, |entry| &entry.name);
    Asker { name, role, groups: groups.iter().map(|entry| &*entry.name).collect(), entries: groups }
}

// === impl Tables ===

impl<'a> Tables<'a> {
    /// Adds a table of these callers and models; not where it would have more cells than that, or the file too many bytes. Writing to a
    /// string cannot fail.
    fn push(&mut self, name: &str, askers: &[&Asker<'a>], models: &[Model<'_>], most: usize) -> bool {
        let cells = askers.len().saturating_mul(models.len());
        if cells > most {
            return false;
        }
        let name = self.fresh(name);
        let names: Vec<String> = askers.iter().map(|asker| self.fresh(&asker.name)).collect();
        let list = |items: Vec<String>| items.join(", ");
        let pair = |(endpoint, model): &Model<'_>| quoted(&format!("{endpoint}|{model}"));
        let (mut callers, mut matrix) = (String::new(), format!("  - name: {}\n", quoted(&name)));
        let shown: Vec<String> = names.iter().map(|name| quoted(name)).collect();
        let _ = writeln!(matrix, "    callers: [{}]", shown.join(", "));
        let _ = writeln!(matrix, "    models: [{}]\n    allow:", list(models.iter().map(pair).collect()));
        for (asker, name) in askers.iter().zip(&shown) {
            let groups = list(asker.groups.iter().map(|group| quoted(group)).collect());
            let _ = writeln!(callers, "  {name}: {{ role: {}, groups: [{groups}] }}", quoted(asker.role));
            let may = |(endpoint, model): &&Model<'_>| self.fork.allows(asker.role, &asker.groups, endpoint, model);
            let allowed: Vec<String> = models.iter().filter(may).map(pair).collect();
            let _ = match allowed.len() == models.len() {
                true => writeln!(matrix, "      {name}: all"),
                false => writeln!(matrix, "      {name}: [{}]", list(allowed)),
            };
        }
        if self.callers.len() + self.matrices.len() + callers.len() + matrix.len() > LARGEST {
            return false;
        }
        self.callers.push_str(&callers);
        self.matrices.push_str(&matrix);
        self.cells += cells;
        true
    }

    /// The name, or one like it that nothing has yet: groups may be called as two groups are here.
    fn fresh(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.names.insert(name.clone()) {
            name.push('!');
        }
        name
    }

    /// Each of these with the models that their own lists are about. Tells what that leaves out.
    fn each_alone(&mut self, askers: &[&Asker<'a>], models: &[Model<'_>]) -> String {
        let most = self.cells + MOST_ALONE;
        let without: Vec<&str> =
            askers.iter().filter(|asker| !self.narrow(asker, most)).map(|asker| asker.name.as_str()).collect();
        let told = format!(
            "what other lists name: {} models for each of {} roles and groups are too many cases; each has those of its own lists",
            models.len(),
            askers.len()
        );
        match without.as_slice() {
            [] => told,
            [first, ..] => format!("{told}; {} of them have no case at all, the first is {first:?}", without.len()),
        }
    }

    /// Each two groups with the models in which they can differ from the groups alone. Tells how many had no room.
    fn two_by_two(&mut self, pairs: impl Iterator<Item = Asker<'a>>, all: usize) -> Option<String> {
        let most = self.cells + MOST_CELLS;
        for (index, pair) in pairs.enumerate() {
            if !self.narrow(&pair, most) {
                let left = all - index;
                return Some(format!("{left} of {all} pairs of groups, from {} on: people in both", pair.name));
            }
        }
        None
    }

    /// Adds a table for one, of the models that the lists about them are about; not where all cells were more than that.
    fn narrow(&mut self, asker: &Asker<'a>, most: usize) -> bool {
        let mut models: BTreeSet<Model<'_>> = asker.entries.iter().flat_map(|entry| differing(entry)).collect();
        models.insert(open(self.fork));
        let models: Vec<_> = models.into_iter().collect();
        let left = most.saturating_sub(self.cells);
        self.push(&format!("{NAME} to {}", asker.name), &[asker], &models, left)
    }

    fn into_pinned(self, left_out: Vec<String>) -> Pinned {
        let text = format!(
            "# yaml-language-server: $schema=cases.schema.json\n\
             # Made by tollgate migrate: what the fork allows to whom. Change it together with the policy.\n\
             version: 1\n\
             callers:\n{}matrix:\n{}",
            self.callers, self.matrices
        );
        Pinned { text, cells: self.cells, left_out }
    }
}
