//! Every byte at every place of a governed path: Tollgate's route is Express's route, or the target is refused.

use std::thread;

use http::{Method, Uri};
use tollgate::librechat::path::CanonicalPath;
use tollgate::librechat::routes::{Route, classify};

use crate::POLICY;
use crate::express::{Answer, Express, Session, alone};
use crate::world::World;

/// The governed paths. The second alone gives more than twelve thousand targets.
const GOVERNED: [(&str, &str); 5] = [
    ("POST", "/api/agents/chat"),
    ("POST", "/api/agents/chat/openAI"),
    ("GET", "/api/models"),
    ("GET", "/api/config"),
    ("PATCH", "/api/agents/agent_x"),
];

/// What is put in at each place beside every byte.
const SPECIAL: [&str; 20] = [
    "//",
    "/./",
    "/../",
    "/x/../",
    "%2f",
    "%2F",
    "%5c",
    "%2e%2e",
    "%00",
    "%61",
    "\\",
    "\\..\\",
    ";x=y",
    "#",
    "#/x",
    "?",
    "?/api/models",
    "%",
    "%c3%a9",
    "\u{130}",
];

/// Forms that no replacement of a byte gives.
const FORMS: [&str; 8] = ["http://t", "HTTP://t", "https://t", "ftp://t", "http://t:80", "//t", "t:443", "http://a@t"];

/// A target in another spelling.
pub(crate) struct Variant {
    pub(crate) method: &'static str,
    pub(crate) target: Vec<u8>,
}

/// All of them, each once: every byte inserted and replaced at every place, every special string at every place, every form, each
/// also in capitals and with slashes behind it.
pub(crate) fn variants() -> Vec<Variant> {
    let mut all = Vec::new();
    for (method, path) in GOVERNED {
        let mut add = |target: Vec<u8>| all.push(Variant { method, target });
        let path = path.as_bytes();
        for place in 0..=path.len() {
            let (before, after) = path.split_at(place);
            for byte in 0..=u8::MAX {
                add([before, &[byte], after].concat());
                if let Some((_, rest)) = after.split_first() {
                    add([before, &[byte], rest].concat());
                }
            }
            for special in SPECIAL {
                add([before, special.as_bytes(), after].concat());
            }
            let upper = before.to_ascii_uppercase();
            add([&upper, after].concat());
        }
        for form in FORMS {
            add([form.as_bytes(), path].concat());
        }
        for tail in ["/", "//", "///", "/?x", "?", "#", "/#"] {
            add([path, tail.as_bytes()].concat());
        }
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|it| seen.insert((it.method, it.target.clone())));
    all
}

/// Whether a row of the table is this route of Express: the same segments, whatever the parameters are called.
pub(crate) fn is_route(row: &Route, express: &str) -> bool {
    let segments = |pattern: &str| -> Vec<String> {
        pattern.split('/').map(|part| if part.starts_with(':') { ":".to_owned() } else { part.to_owned() }).collect()
    };
    // LibreChat takes these for an agent whose id is "chat", which cannot exist; Tollgate judges them as turns.
    let turn = row.pattern == "/api/agents/chat/:endpoint"
        && ["/api/agents/:id/duplicate", "/api/agents/:id/revert"].contains(&express);
    let probe = ["/health", "/livez", "/readyz"].contains(&row.pattern) && express == "/*";
    turn || probe || segments(row.pattern) == segments(express)
}

/// What Tollgate makes of a target: its route, and the target that LibreChat would get.
fn judged(variant: &Variant) -> Option<(&'static Route, String)> {
    let uri = Uri::try_from(variant.target.as_slice()).ok()?;
    let path = CanonicalPath::of(&uri).ok()?;
    let method: Method = variant.method.parse().expect("a method");
    let route = classify(&method, &path).ok()?;
    Some((route, route.target(&path)))
}

/// Asks Express about requests with an empty object for a body, some at a time.
fn ask(express: &Express, requests: &[(&str, &[u8])]) -> Vec<Answer> {
    let share = requests.len().div_ceil(3).max(1);
    let part = |part: &[(&str, &[u8])]| {
        let mut session = express.session();
        part.iter().map(|(method, target)| one(express, &mut session, method, target)).collect::<Vec<_>>()
    };
    thread::scope(|scope| {
        let parts: Vec<_> = requests.chunks(share).map(|some| scope.spawn(move || part(some))).collect();
        parts.into_iter().flat_map(|part| part.join().expect("all were asked")).collect()
    })
}

/// What Node can read as a request goes over an open connection; for anything else it closes the connection.
fn one(express: &Express, session: &mut Session, method: &str, target: &[u8]) -> Answer {
    let readable = target.starts_with(b"/") && target.iter().all(u8::is_ascii_graphic);
    let rest = " HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n";
    let close = if readable { "" } else { "Connection: close\r\n" };
    let bytes = [method.as_bytes(), b" ", target, rest.as_bytes(), close.as_bytes(), b"\r\n{}"].concat();
    if readable { session.ask(&[bytes]).remove(0) } else { alone(express.addr, &bytes) }
}

#[test]
fn a_governed_path_in_any_spelling_is_expresss_route_or_refused() {
    let Some(express) = Express::start() else { return };
    let variants = variants();
    let requests: Vec<_> = variants.iter().map(|it| (it.method, it.target.as_slice())).collect();
    let theirs = ask(&express, &requests);
    let forwarded: Vec<_> = variants.iter().map(judged).collect();
    let onwards: Vec<_> = variants
        .iter()
        .zip(&forwarded)
        .filter_map(|(it, judged)| Some((it.method, judged.as_ref()?.1.as_bytes())))
        .collect();
    let mut ours = ask(&express, &onwards).into_iter();
    let mut differences = Vec::new();
    let (mut refused, mut governed, mut missed) = (0, 0, 0);
    for ((variant, theirs), judged) in variants.iter().zip(&theirs).zip(&forwarded) {
        let named = format!("{} {}", variant.method, variant.target.escape_ascii());
        let plain = GOVERNED.iter().any(|(method, path)| {
            *method == variant.method && variant.target.starts_with(path.trim_end_matches("/openAI").as_bytes())
        });
        if let Some(route) = theirs.route().filter(|route| *route != "/*") {
            governed += 1;
            missed += usize::from(!plain && route.starts_with("/api/agents/chat"));
        }
        let Some((row, target)) = judged else {
            refused += 1;
            continue;
        };
        // LibreChat gets our spelling: its route there is the row.
        let ours = ours.next().expect("an answer for each");
        if !ours.route().is_some_and(|route| is_route(row, route)) {
            differences.push(format!("{named}: {} goes to {target}, which is {:?}", row.pattern, ours.route()));
        }
        // And the client's own spelling is that route, too, or none.
        if let Some(route) = theirs.route()
            && !is_route(row, route)
        {
            differences.push(format!("{named}: {} here, {route} for Express", row.pattern));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    eprintln!(
        "{} targets: {refused} refused, {} passed as Express's route; {governed} are a route under /api for Express, {missed} \
         a chat turn that a look at the beginning of the path would miss",
        variants.len(),
        variants.len() - refused,
    );
    assert!(variants.len() > 12_549, "{}", variants.len());
    // What the test is for must be among them.
    assert!(missed > 18, "{missed}");
}

/// The same targets through the real program, sent by somebody who may have neither the model nor agents: nothing at all
/// reaches LibreChat.
#[tokio::test]
async fn no_spelling_of_a_forbidden_request_gets_through_the_program() {
    let Some(express) = Express::start() else { return };
    let world = World::with(POLICY).upstream(&format!("http://{}", express.addr)).start().await;
    let bob = world.bearer("Bob");
    let bytes = |method: &str, target: &[u8], model: &str| {
        let body = format!(r#"{{"endpoint":"openAI","model":"{model}","text":"hi"}}"#);
        let rest = format!(
            " HTTP/1.1\r\nHost: t\r\nConnection: close\r\nAuthorization: {bob}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        [method.as_bytes(), b" ", target, rest.as_bytes()].concat()
    };
    let variants: Vec<_> = variants().into_iter().filter(|it| it.method != "GET").collect();
    let before = express.reached();
    let statuses: Vec<u16> = thread::scope(|scope| {
        let send = |it: &Variant| alone(world.addr, &bytes(it.method, &it.target, "gpt-4o")).status;
        let part = variants.len().div_ceil(4);
        let parts: Vec<_> =
            variants.chunks(part).map(|some| scope.spawn(move || some.iter().map(send).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().expect("all were sent")).collect()
    });
    for (variant, status) in variants.iter().zip(&statuses) {
        let named = format!("{} {}", variant.method, variant.target.escape_ascii());
        assert!((400..500).contains(status), "{named}: {status}");
    }
    let judged = statuses.iter().filter(|status| **status == 403).count();
    assert_eq!(express.reached() - before, 1, "only the question has reached Express");
    eprintln!(
        "{} targets through the program: {judged} judged and refused, the others no route or unreadable",
        statuses.len()
    );
    // Both can happen: some were understood, and what is allowed does get through.
    assert!(judged > 1000, "{judged}");
    let allowed = alone(world.addr, &bytes("POST", b"/API/agents/chat/x%20y/", "gpt-4o-mini"));
    assert_eq!(allowed.route(), Some("/api/agents/chat/:endpoint"), "{allowed:?}");
}
