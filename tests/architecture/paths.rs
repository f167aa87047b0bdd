//! The paths that a source file names, in `use` declarations and in code, resolved as far as the borders need it.

use std::collections::HashSet;

use crate::source::{Kind, Source, Token};

/// A path that a file names: a crate or `crate`, then segments. `["crate", "edge", "serve"]`, `["hyper", "body"]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// The segments; the first is the name of a crate, or `crate`.
    pub(crate) segments: Vec<String>,
    /// The line of the path's last segment.
    pub(crate) line: usize,
}

/// A path as written, and the name a `use` gives it.
struct Written {
    segments: Vec<String>,
    line: usize,
    bound: Option<String>,
}

/// Every path of the file that leads out of the file. Paths that begin with a name which the file itself binds to one of
/// this crate's modules (`mod redis;`, `use crate::store::redis;`) are this crate's, not those of a crate of that name.
pub(crate) fn named(source: &Source) -> Vec<Named> {
    let written = written(&source.tokens);
    let module = source.module();
    let mut local = declared_modules(&source.tokens);
    for path in &written {
        let own = path.segments.first().is_some_and(|first| is_own(first));
        local.extend(path.bound.clone().filter(|_| own));
    }
    written
        .into_iter()
        .filter_map(|path| {
            let segments = resolve(&path.segments, &module, &local)?;
            Some(Named { segments, line: path.line })
        })
        .collect()
}

fn is_own(first: &str) -> bool {
    matches!(first, "crate" | "self" | "super" | "tollgate")
}

/// The path from a crate's root; `None` for one that begins with a name of this file.
fn resolve(segments: &[String], module: &[String], local: &HashSet<String>) -> Option<Vec<String>> {
    let (first, rest) = segments.split_first()?;
    if !is_own(first) {
        return (!local.contains(first)).then(|| segments.to_vec());
    }
    let mut base: Vec<String> = match first.as_str() {
        "self" => module.to_vec(),
        "super" => module.iter().take(module.len().saturating_sub(1)).cloned().collect(),
        _ => Vec::new(),
    };
    for segment in rest {
        match segment.as_str() {
            "super" => drop(base.pop()),
            "self" => {}
            name => base.push(name.to_owned()),
        }
    }
    base.insert(0, "crate".to_owned());
    Some(base)
}

fn declared_modules(tokens: &[Token]) -> HashSet<String> {
    let pairs = tokens.iter().zip(tokens.iter().skip(1));
    pairs
        .filter(|(word, _)| word.word() == Some("mod"))
        .filter_map(|(_, name)| name.word())
        .map(str::to_owned)
        .collect()
}

/// All paths as written, in the order of the file.
fn written(tokens: &[Token]) -> Vec<Written> {
    let mut found = Vec::new();
    let mut rest = tokens;
    let mut before: Option<&Token> = None;
    while let Some((token, tail)) = rest.split_first() {
        rest = match token.word() {
            // `use<'a>` in a type is not a declaration.
            Some("use") if !tail.first().is_some_and(|next| next.is('<')) => use_tree(tail, &[], &mut found),
            Some("extern") if tail.first().and_then(Token::word) == Some("crate") => {
                let name = tail.get(1);
                found.extend(name.and_then(|name| Some(plain(vec![name.word()?.to_owned()], name.line))));
                tail
            }
            // After a dot it is a field or a method.
            Some(_) if !before.is_some_and(|token| token.is('.')) => {
                let (segments, line, after) = run(rest);
                if segments.len() > 1 {
                    found.push(plain(segments, line));
                }
                after
            }
            _ => tail,
        };
        before = tokens.get(tokens.len() - rest.len() - 1);
    }
    found
}

fn plain(segments: Vec<String>, line: usize) -> Written {
    Written { segments, line, bound: None }
}

/// The words joined by `::` at the beginning of the tokens, the line of the last, and what follows.
fn run(tokens: &[Token]) -> (Vec<String>, usize, &[Token]) {
    let (mut segments, mut line, mut rest) = (Vec::new(), 0, tokens);
    while let Some((token, tail)) = rest.split_first()
        && let Some(word) = token.word()
    {
        segments.push(word.to_owned());
        line = token.line;
        rest = tail;
        match tail {
            [colons, next, ..] if colons.kind == Kind::Colons && next.word().is_some() => {
                rest = tail.split_first().map_or(tail, |(_, after)| after);
            }
            _ => break,
        }
    }
    (segments, line, rest)
}

/// Reads one `use` tree below `prefix` and returns what follows it: `a::b`, `a as b`, `a::*`, `a::{b, c::d}`.
fn use_tree<'a>(tokens: &'a [Token], prefix: &[String], found: &mut Vec<Written>) -> &'a [Token] {
    let tokens = match tokens.split_first() {
        Some((token, tail)) if token.kind == Kind::Colons => tail,
        _ => tokens,
    };
    let (segments, line, mut rest) = run(tokens);
    let mut path = prefix.to_vec();
    path.extend(segments);
    if let [colons, open, inner @ ..] = rest
        && colons.kind == Kind::Colons
        && open.is('{')
    {
        return use_group(inner, &path, found);
    }
    if let [open, inner @ ..] = rest
        && open.is('{')
    {
        return use_group(inner, &path, found);
    }
    let mut bound = path.iter().rev().find(|name| *name != "self").cloned();
    match rest {
        [colons, star, after @ ..] if colons.kind == Kind::Colons && star.is('*') => (bound, rest) = (None, after),
        [alias, name, after @ ..] if alias.word() == Some("as") => {
            (bound, rest) = (name.word().map(str::to_owned), after);
        }
        _ => {}
    }
    if !path.is_empty() {
        found.push(Written { segments: path, line, bound });
    }
    rest
}

fn use_group<'a>(tokens: &'a [Token], prefix: &[String], found: &mut Vec<Written>) -> &'a [Token] {
    let mut rest = tokens;
    while let Some((token, tail)) = rest.split_first() {
        if token.is('}') {
            return tail;
        }
        if token.is(',') || token.is(';') {
            rest = tail;
            continue;
        }
        let after = use_tree(rest, prefix, found);
        // Whatever is not part of a tree is stepped over, so that the walk always ends.
        rest = if after.len() < rest.len() { after } else { tail };
    }
    rest
}
