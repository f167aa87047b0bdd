//! Every row of the route table through the real program, what is in no row, and the report of both in `docs/routes.md`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::{fs, ptr};

use http::{Method, StatusCode};
use tollgate::librechat::assistants::Part;
use tollgate::librechat::path::CanonicalPath;
use tollgate::librechat::routes::{Access, Body, Class, Deed, Route, Unrouted, all, classify};
use tollgate::policy::Feature;

use crate::POLICY;
use crate::passage::seen;
use crate::rows::{METHODS, rows, sample};
use crate::support::{Answer, request};
use crate::world::World;
use crate::{differential, replay};

const CHEAP: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini"}"#;
const DEAR: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o"}"#;

/// What is to come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// It reaches LibreChat as it was sent.
    Passes,
    /// It is refused with this status and rule, and LibreChat hears nothing.
    Refused(u16, &'static str),
    /// It is refused with 401, in LibreChat's own words.
    Unknown,
}

/// What the class and the access of a row mean for nobody, for a user with one model, and for an administrator.
fn wanted(row: &Route) -> [Want; 3] {
    use Want::{Passes, Refused, Unknown};
    let nobody = match row.access {
        Access::Anonymous | Access::Optional => Passes,
        Access::Token | Access::Key => Unknown,
    };
    match row.class {
        Class::MyLimits => panic!("{row:?} is no route of LibreChat"),
        Class::Closed => [Refused(404, "route.closed"); 3],
        Class::Pass | Class::Noted(_) | Class::Balance | Class::Stream | Class::Upload | Class::Catalog(_) => {
            [nobody, Passes, Passes]
        }
        // This policy says nothing about tools.
        Class::Tool => [nobody, Passes, Passes],
        // The dear model, that is: the cheap one is tried beside it.
        Class::Turn => [nobody, Refused(403, "roles.USER.endpoints.openAI.models"), Passes],
        // Without LibreChat's database there are no keys; `remote.rs` has some.
        Class::Remote(_) => [Refused(403, "surface.remote_api"); 3],
        // The embedded directory knows no agents, so that none can be looked into.
        Class::Agent(_) => [nobody, Refused(403, "agent.no-store"), Passes],
        Class::Assistants(_) => [nobody, Refused(403, "surface.assistants"), Passes],
        // This policy closes none of them.
        Class::Feature(_) => [nobody, Passes, Passes],
        Class::Admin => [nobody, Refused(403, "route.admins-only"), Passes],
    }
}

/// A request as LibreChat's client would send it there.
async fn send(world: &World, row: &Route, method: &str, path: &str, who: Option<&str>, turn: &str) -> Answer {
    let (kind, body) = match (row.class, row.body, method) {
        (Class::Turn, ..) => ("application/json", turn),
        (Class::Assistants(Part::Abort), ..) => ("application/json", r#"{"endpoint":"assistants"}"#),
        (Class::Feature(Feature::UserKeys), ..) => ("application/json", r#"{"name":"openAI","action":"install"}"#),
        (Class::Agent(Deed::Revert), ..) => ("application/json", r#"{"version_index":0}"#),
        (.., "GET" | "DELETE") => ("", ""),
        (_, Body::Form, _) => ("application/x-www-form-urlencoded", "state=x"),
        (_, Body::Multipart, _) => ("multipart/form-data; boundary=x", "--x--\r\n"),
        _ => ("application/json", "{}"),
    };
    let bearer = who.map(|who| world.bearer(who));
    let mut headers = Vec::new();
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    headers.extend(Some(kind).filter(|kind| !kind.is_empty()).map(|kind| ("content-type", kind)));
    request(world.addr, method.parse().unwrap(), path, &headers, body.to_owned().into()).await
}

/// The rule that a refusal names; empty if it is none of ours.
fn rule(answer: &Answer) -> String {
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body["rule"].as_str().or_else(|| body["error"]["rule"].as_str()).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn every_row_is_treated_as_its_class_says() {
    let world = World::with(POLICY).start().await;
    let mut walked = 0;
    for (row, method, path) in rows() {
        for (who, want) in [None, Some("Bob"), Some("Ann")].into_iter().zip(wanted(row)) {
            world.stand_in.forget();
            let answer = send(&world, row, method, &path, who, DEAR).await;
            let reached: Vec<_> = seen(&world).into_iter().map(|seen| (seen.method.to_string(), seen.target)).collect();
            let told = format!("{method} {path} by {who:?}: wanted {want:?}, got {answer:?}, reached {reached:?}");
            match want {
                // A catalogue may ask for another beside it; nothing else does.
                Want::Passes if matches!(row.class, Class::Catalog(_)) => {
                    assert!(reached.contains(&(method.to_owned(), path.clone())), "{told}");
                }
                Want::Passes => assert_eq!(reached, [(method.to_owned(), path.clone())], "{told}"),
                Want::Refused(status, code) => {
                    assert_eq!((answer.status.as_u16(), rule(&answer).as_str()), (status, code), "{told}");
                    assert_eq!(reached, [], "{told}");
                }
                Want::Unknown => {
                    assert_eq!((answer.status, reached.len()), (StatusCode::UNAUTHORIZED, 0), "{told}");
                }
            }
            walked += 1;
        }
        if row.class == Class::Turn {
            world.stand_in.forget();
            send(&world, row, method, &path, Some("Bob"), CHEAP).await;
            let calls: Vec<_> = world.stand_in.calls().into_iter().map(|call| call.model).collect();
            assert_eq!(calls, ["gpt-4o-mini"], "{method} {path}");
        }
    }
    assert_eq!(walked, rows().count() * 3);
    assert!(walked > 600, "{walked}");
}

/// Beside every row, in every router: who may do everything may not do what the table does not know.
#[tokio::test]
async fn what_is_in_no_row_is_refused_beside_every_row() {
    let world = World::with(POLICY).start().await;
    let ann = world.bearer("Ann");
    let mut routers = BTreeSet::new();
    let (mut paths, mut methods) = (0, 0);
    for row in all().filter(|row| row.pattern.starts_with("/api/") || row.pattern.starts_with("/oauth/")) {
        let path = sample(row.pattern);
        let router = row.pattern.split('/').take(3).collect::<Vec<_>>().join("/");
        // A router of a longer name is none, and neither is what is below a row that ends.
        for path in [path.clone(), format!("{path}/and/more"), path.replacen(&router, &format!("{router}x"), 1)] {
            let read = CanonicalPath::read(&path).unwrap();
            for method in METHODS {
                let wanted = match classify(&method.parse::<Method>().unwrap(), &read) {
                    Ok(_) => continue,
                    Err(Unrouted::UnknownPath) => (404, "route.unknown"),
                    Err(Unrouted::Method { .. }) => (405, "route.method"),
                };
                *if wanted.0 == 404 { &mut paths } else { &mut methods } += 1;
                routers.insert(router.clone());
                let headers = [("authorization", ann.as_str())];
                let answer = request(world.addr, method.parse().unwrap(), &path, &headers, "".into()).await;
                assert_eq!((answer.status.as_u16(), rule(&answer).as_str()), wanted, "{method} {path}");
            }
        }
    }
    assert_eq!(seen(&world).len(), 0);
    let known: BTreeSet<_> = all().filter(|row| row.pattern.starts_with("/api/")).map(|row| row.pattern).collect();
    let known: BTreeSet<_> = known.iter().filter_map(|pattern| pattern.split('/').nth(2)).collect();
    let tried: BTreeSet<_> = routers.iter().filter_map(|router| router.strip_prefix("/api/")).collect();
    assert_eq!(tried, known, "every router was tried");
    assert!(paths > 800 && methods > 200, "{paths} unknown paths, {methods} unknown methods");
}

// === docs/routes.md ===

const HEAD: &str = "# Routes

Every route of LibreChat 0.8.6 that Tollgate knows, and what it does with it. What is below `/api`, `/oauth`, `/images` or
`/metrics` and not in these tables is refused: a route that a newer LibreChat brings is closed until somebody has read it
(`routes.unknown` in the settings can let paths below `/api` through). HEAD follows GET; a preflight passes on every known
path.

`GET /api/v1/me/limits` is in none of them: LibreChat has no such route. Tollgate answers it itself ([Limits](limits.md)).

This page is written from the table in `src/librechat/routes/table.rs` by `UPDATE=1 cargo test --test serve routes`; the same
test fails where the page is not what the table says.

| class | what Tollgate does |
|---|---|
| Pass | neither chooses nor reveals a model: passes unread |
| Noted | the same, and leaves an entry in the record |
| Stream | passes unread, without buffering and without a time limit |
| Upload | passes as it arrives, whatever its size, and leaves an entry in the record |
| Catalog | the answer is filtered |
| Turn | the body is read and judged; LibreChat receives what was judged |
| Tool | calls a tool by itself: judged by its name, where the policy says anything about tools; passes unread |
| Assistants | judged as a whole, or, where the policy opens assistants, by the model that the request names; answers are filtered |
| Feature | chooses no model; a policy may close it to people with any restriction |
| Remote | the remote-agent API: identity by key, agents judged by all that they run, lists filtered |
| Agent | reads or writes a stored agent: judged by all that the agent runs, or would run afterwards; the answer is narrowed |
| Admin | for LibreChat's administrators |
| Closed | never passes |

`Anonymous` routes ask for nobody, `Optional` ones take a good token into account, the others need LibreChat's token or a key
of its remote API.

Each row is held by tests, in the last column:

| test | what it does |
|---|---|
| walk | sends it through the real program as nobody, as a user and as an administrator (`tests/serve/routes.rs`) |
| Express | compares it with the router of Express in several spellings (`tests/reading/inventory.rs`) |
| replay | sends exchanges captured from a running LibreChat through the real program (`tests/serve/replay.rs`) |
| attempts | sends requests that mean to get around it over a raw socket (`tests/serve/differential.rs`) |
";

/// The rows that these requests are for.
fn hit(requests: impl Iterator<Item = (String, String)>) -> Vec<&'static Route> {
    requests
        .filter_map(|(method, target)| {
            let path = CanonicalPath::read(&target).ok()?;
            classify(&method.parse().ok()?, &path).ok()
        })
        .collect()
}

fn report() -> String {
    let walked = hit(rows().map(|(_, method, path)| (method.to_owned(), path)));
    let replayed = hit(replay::captures().into_iter().map(|capture| (capture.method.to_string(), capture.path)));
    let attempted = hit(differential::requests().into_iter());
    let mut out = HEAD.to_owned();
    let mut section = String::new();
    for row in all() {
        let router = match row.pattern.split('/').nth(1).unwrap() {
            "api" => row.pattern.split('/').take(3).collect::<Vec<_>>().join("/"),
            area @ ("oauth" | "images" | "metrics") => format!("/{area}"),
            _ => "Pages and assets".to_owned(),
        };
        if router != section {
            let title = if router.starts_with('/') { format!("`{router}`") } else { router.clone() };
            write!(
                out,
                "\n## {title}\n\n| route | methods | class | access | body | tests |\n|---|---|---|---|---|---|\n"
            )
            .unwrap();
            section = router;
        }
        let by = |rows: &[&Route]| rows.iter().any(|hit| ptr::eq(*hit, row));
        let probe = ["/health", "/livez", "/readyz"].contains(&row.pattern);
        assert!(by(&walked), "{} is hit by no test", row.pattern);
        let tests: Vec<_> =
            [("walk", true), ("Express", !probe), ("replay", by(&replayed)), ("attempts", by(&attempted))]
                .into_iter()
                .filter_map(|(name, by)| by.then_some(name))
                .collect();
        writeln!(
            out,
            "| `{}` | {} | {:?} | {:?} | {:?} | {} |",
            row.pattern,
            row.methods.allow().replace(", HEAD", ""),
            row.class,
            row.access,
            row.body,
            tests.join(", ")
        )
        .unwrap();
    }
    out
}

#[test]
fn the_page_of_the_routes_says_what_the_table_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/routes.md");
    let report = report();
    for row in all() {
        let class = format!("{:?}", row.class);
        let word = class.split('(').next().unwrap();
        assert!(report.contains(&format!("| {word} | ")), "the page does not explain {word}");
    }
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&page, &report).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    assert!(written == report, "docs/routes.md is stale: UPDATE=1 cargo test --test serve routes");
}
