//! The route table row by row, with a request for each.

use http::Method;
use tollgate::librechat::routes::{Route, all};

/// The methods that routes have.
pub(crate) const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// A path that has this pattern: a value for each parameter, two segments for the rest.
pub(crate) fn sample(pattern: &str) -> String {
    let part = |part: &str| match part.strip_prefix(':') {
        Some(name) => format!("{name}-1"),
        None if part == "*" => "rest/of-it".to_owned(),
        None => part.to_owned(),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Every row with each of its methods, and a path that has its pattern.
pub(crate) fn rows() -> impl Iterator<Item = (&'static Route, &'static str, String)> {
    all().flat_map(|row| {
        let has = |method: &&&str| row.methods.contains(&method.parse::<Method>().expect("a method"));
        METHODS.iter().filter(has).map(move |method| (row, *method, sample(row.pattern)))
    })
}
