//! The borders between the rooms (DESIGN.md 2) as a table, and the reader that holds one file against it.

use std::fmt;

use crate::paths::named;
use crate::source::{Kind, Source};

/// Lines of code a file may have, its tests not counted. A longer file holds more than one idea.
const LONGEST_FILE: usize = 600;

/// One rule of the table.
struct Border {
    /// What the rule guards, as a sentence for the one who broke it.
    why: &'static str,
    /// What it looks for.
    what: What,
    /// Where that may stand.
    place: Place,
}

/// What a border looks for.
enum What {
    /// Paths that begin with one of these; `*` at the end stands for any rest of a name: `pingora*`, `crate::edge`.
    Paths(&'static [&'static str]),
    /// Paths into this crate that lead to a room other than these.
    RoomsExcept(&'static [&'static str]),
    /// A word of the language.
    Word(&'static str),
    /// String literals that contain the first text and, unless it is empty, do not begin with the second.
    Text(&'static str, &'static str),
}

/// Where something may stand. A place is a room with all its files (`src/edge`), or the beginning of a name (`src/store/mongo*`).
enum Place {
    Only(&'static [&'static str]),
    Never(&'static [&'static str]),
}

const BORDERS: &[Border] = &[
    Border {
        why: "pingora is the chassis and belongs to src/edge",
        what: What::Paths(&["pingora*"]),
        place: Place::Only(&["src/edge"]),
    },
    Border {
        why: "hyper is the engine and belongs to src/edge, the stand-in and the ways to the identity provider and the collector",
        what: What::Paths(&["hyper", "hyper_util"]),
        place: Place::Only(&["src/edge", "src/demo", "src/provider"]),
    },
    Border {
        why: "TLS is spoken on the ways to the identity provider and the collector alone, and only there are certificates believed",
        what: What::Paths(&["tokio_rustls", "rustls", "webpki_roots"]),
        place: Place::Only(&["src/provider"]),
    },
    Border {
        why: "the ways to the identity provider and the collector are put in by what puts the product together",
        what: What::Paths(&["crate::provider"]),
        place: Place::Only(&["src/provider", "src/app", "src/config"]),
    },
    Border {
        why: "axum serves the admin plane and the stand-in, never the data plane",
        what: What::Paths(&["axum"]),
        place: Place::Only(&["src/admin", "src/demo"]),
    },
    Border {
        why: "the MongoDB driver belongs to its store",
        what: What::Paths(&["mongodb", "bson"]),
        place: Place::Only(&["src/store/mongo*"]),
    },
    Border {
        why: "SQLite belongs to the embedded store",
        what: What::Paths(&["rusqlite"]),
        place: Place::Only(&["src/store/embedded*"]),
    },
    Border {
        why: "the Redis driver belongs to its store",
        what: What::Paths(&["redis"]),
        place: Place::Only(&["src/store/redis*"]),
    },
    Border {
        why: "tokens are checked in src/identity (the stand-in signs its own)",
        what: What::Paths(&["jsonwebtoken"]),
        place: Place::Only(&["src/identity*", "src/demo*"]),
    },
    Border {
        why: "series are declared in src/metrics.rs and handed out from there",
        what: What::Paths(&["prometheus"]),
        place: Place::Only(&["src/metrics", "src/record", "src/admin"]),
    },
    Border {
        why: "the policy is pure: no network, no runtime, no request shapes",
        what: What::Paths(&[
            "tokio",
            "tracing",
            "http",
            "http_body*",
            "bytes",
            "hyper*",
            "axum",
            "pingora*",
            "serde_json",
            "mongodb",
            "bson",
            "rusqlite",
            "redis",
            "jsonwebtoken",
            "prometheus",
            "futures*",
            "async_trait",
            "std::net",
            "std::time::SystemTime",
            "std::time::Instant",
        ]),
        place: Place::Never(&["src/policy"]),
    },
    Border {
        why: "the policy answers at once: nothing in it waits",
        what: What::Word("async"),
        place: Place::Never(&["src/policy"]),
    },
    Border {
        why: "the policy knows no other room but the one that words faults",
        what: What::RoomsExcept(&["policy", "report"]),
        place: Place::Never(&["src/policy"]),
    },
    Border {
        why: "the LibreChat room is plain functions over http types: no runtime, no drivers, no logging",
        what: What::Paths(&["tokio", "tracing", "crate::clock", "crate::store", "crate::identity"]),
        place: Place::Never(&["src/librechat"]),
    },
    Border {
        why: "the flow works with http and bytes types only",
        what: What::Paths(&["pingora*", "hyper*", "mongodb", "bson", "rusqlite", "redis", "axum"]),
        place: Place::Never(&["src/flow"]),
    },
    Border {
        why: "the meter counts charges, whatever request they are for",
        what: What::Paths(&["http", "http_body*", "bytes", "hyper*", "axum", "crate::flow", "crate::librechat"]),
        place: Place::Never(&["src/meter"]),
    },
    Border {
        why: "cases of a policy are run by who loads it, never on the way of a request",
        what: What::Paths(&["crate::cases"]),
        place: Place::Only(&["src/cases", "src/reload", "src/cli"]),
    },
    Border {
        why: "cases need no LibreChat, no network and nothing that waits",
        what: What::RoomsExcept(&["cases", "clock", "identity", "meter", "policy", "report", "store"]),
        place: Place::Never(&["src/cases"]),
    },
    Border {
        why: "nothing depends on the edge but what puts the product together",
        what: What::Paths(&["crate::edge"]),
        place: Place::Only(&["src/edge", "src/app", "src/cli", "src/demo", "src/lib", "src/main"]),
    },
    Border {
        why: "LibreChat's paths are known in src/librechat and the stand-in alone",
        what: What::Text("/api/", ""),
        place: Place::Only(&["src/librechat", "src/demo", "src/admin"]),
    },
    Border {
        why: "the admin plane has an API of its own, below /api/v1/",
        what: What::Text("/api/", "/api/v1/"),
        place: Place::Never(&["src/admin"]),
    },
];

/// A border that a file crosses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    /// The file, from the root of the repository.
    pub(crate) file: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// What stands there.
    pub(crate) found: String,
    /// The rule it breaks.
    pub(crate) why: &'static str,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.file, self.line, self.found, self.why)
    }
}

/// The sentence of every border of the table.
pub(crate) fn rules() -> impl Iterator<Item = &'static str> {
    BORDERS.iter().map(|border| border.why)
}

/// Every border that the file crosses, in the order of the table and then of the file.
pub(crate) fn breaches(source: &Source) -> Vec<Breach> {
    let paths: Vec<(usize, String)> =
        named(source).into_iter().map(|path| (path.line, path.segments.join("::"))).collect();
    let breach = |line, found: String, why| Breach { file: source.path.clone(), line, found, why };
    let mut breaches = Vec::new();
    for border in BORDERS.iter().filter(|border| border.place.forbids(&source.path)) {
        let named = paths.iter().filter(|(_, path)| border.what.names(path)).cloned();
        let written = source.tokens.iter().filter_map(|token| match (&token.kind, &border.what) {
            (Kind::Word(word), What::Word(wanted)) if word == wanted => Some((token.line, format!("`{word}`"))),
            (Kind::Text(text), What::Text(part, own)) if text.contains(part) => {
                (own.is_empty() || !text.starts_with(own)).then(|| (token.line, format!("\"{text}\"")))
            }
            _ => None,
        });
        let named = named.map(|(line, path)| (line, format!("`{path}`")));
        breaches.extend(named.chain(written).map(|(line, found)| breach(line, found, border.why)));
    }
    if source.lines > LONGEST_FILE {
        let found = format!("{} lines without tests", source.lines);
        breaches.push(breach(LONGEST_FILE, found, "a file holds one idea, in at most 600 lines"));
    }
    if !source.introduced {
        breaches.push(breach(1, "no `//!` at the top".to_owned(), "a file begins by saying what it is for"));
    }
    breaches
}

// === impl What ===

impl What {
    /// Whether this border looks for the path.
    fn names(&self, path: &str) -> bool {
        match self {
            Self::Paths(patterns) => patterns.iter().any(|pattern| begins(path, pattern)),
            Self::RoomsExcept(rooms) => {
                path.strip_prefix("crate::").is_some_and(|inner| !rooms.iter().any(|room| begins(inner, room)))
            }
            Self::Word(_) | Self::Text(..) => false,
        }
    }
}

/// Whether the path is the pattern or leads below it, in whole segments.
fn begins(path: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => path.starts_with(start),
        None => path.strip_prefix(pattern).is_some_and(|rest| rest.is_empty() || rest.starts_with("::")),
    }
}

// === impl Place ===

impl Place {
    fn forbids(&self, file: &str) -> bool {
        match self {
            Self::Only(places) => !places.iter().any(|place| lies_in(file, place)),
            Self::Never(places) => places.iter().any(|place| lies_in(file, place)),
        }
    }
}

/// Whether the file is the room's own (`src/edge.rs`), below it (`src/edge/`), or begins as a place with `*` does.
fn lies_in(file: &str, place: &str) -> bool {
    match place.strip_suffix('*') {
        Some(start) => file.starts_with(start),
        None => file.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/')),
    }
}
