//! The route table against Express's own router, in both directions.

use tollgate::librechat::path::CanonicalPath;
use tollgate::librechat::routes::{all, classify};

use crate::express::{Express, request};
use crate::paths::is_route;
use crate::rows::{METHODS, rows, sample};

#[test]
fn every_row_of_the_table_is_a_route_of_express() {
    let Some(express) = Express::start() else { return };
    let mut session = express.session();
    let mut asked = 0;
    for (row, method, path) in rows() {
        // Probes answer for themselves.
        if ["/health", "/livez", "/readyz"].contains(&row.pattern) {
            continue;
        }
        let read = CanonicalPath::read(&path).unwrap();
        let first = classify(&method.parse().unwrap(), &read).unwrap();
        assert!(std::ptr::eq(first, row), "{method} {path} is {}, not {}", first.pattern, row.pattern);
        for spelt in [path.clone(), path.to_ascii_uppercase(), format!("{path}/"), format!("{path}?model=x")] {
            let read = CanonicalPath::read(&spelt).unwrap();
            let row = classify(&method.parse().unwrap(), &read).unwrap();
            let target = row.target(&read);
            let answer = session.ask(&[request(method, &target, "", b"")]).remove(0);
            let route =
                answer.route().unwrap_or_else(|| panic!("{method} {spelt} goes to {target}, no route: {answer:?}"));
            assert!(is_route(row, route), "{method} {spelt} is {}, and {route} for Express", row.pattern);
            asked += 1;
        }
    }
    eprintln!("{asked} spellings of {} rows by method: all of them the same route for Express", rows().count());
    assert!(asked > 800, "{asked}");
}

#[test]
fn what_express_has_is_in_the_table_and_what_it_does_not_have_is_not() {
    let Some(express) = Express::start() else { return };
    let mut session = express.session();
    let mut unknown = 0;
    for row in all().filter(|row| row.pattern.starts_with("/api/") || row.pattern.starts_with("/oauth/")) {
        let path = sample(row.pattern);
        for path in [path.clone(), format!("{path}/more"), format!("{path}x"), path.replacen("-1", "-1/between", 1)] {
            let read = CanonicalPath::read(&path).unwrap();
            for method in METHODS {
                let answer = session.ask(&[request(method, &path, "", b"")]).remove(0);
                // Below /oauth LibreChat falls through to its page.
                let theirs = answer.route().filter(|route| *route != "/*");
                match (classify(&method.parse().unwrap(), &read), theirs) {
                    (Ok(row), Some(route)) => {
                        assert!(is_route(row, route), "{method} {path}: {}, {route}", row.pattern)
                    }
                    (Err(_), None) => unknown += 1,
                    (judged, theirs) => panic!("{method} {path}: {judged:?}, and {theirs:?} for Express"),
                }
            }
        }
    }
    eprintln!("{unknown} neighbours of routes that neither has");
    assert!(unknown > 1000, "{unknown}");
}
