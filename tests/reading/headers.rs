//! Charset, content coding, content type and framing in every combination, through the real program with real Express behind
//! it: what is forwarded reads as Express would have read the client's own request.

use std::io::{Read, Write};
use std::thread;

use serde_json::{Value, json};

use crate::POLICY;
use crate::corpus::unbase64;
use crate::express::{Answer, Express, alone, node};
use crate::world::World;

/// How a charset is named in `Content-Type`, and how the bytes are written.
const CHARSETS: [(&str, &str); 14] = [
    ("", "utf-8"),
    ("charset=utf-8", "utf-8"),
    ("Charset=UTF-8", "utf-8"),
    ("charset=\"utf-8\"", "utf-8"),
    ("charset=utf-8; charset=utf-16le", "utf-16le"),
    ("charset=utf-16le; charset=utf-8", "utf-8"),
    ("charset=utf-16", "utf-16"),
    ("charset=\"utf-16le\"", "utf-16le"),
    ("charset=utf-16be", "utf-16be"),
    ("charset=utf-32", "utf-32"),
    ("charset=utf-7", "utf-7"),
    ("charset=utf-7-imap", "utf-7-imap"),
    ("charset=iso-8859-1", "iso-8859-1"),
    ("charset=utf8", "utf-8"),
];

/// The header lines, and how the bytes are coded.
const CODINGS: [(&str, &str); 9] = [
    ("", "plain"),
    ("Content-Encoding: identity\r\n", "plain"),
    ("Content-Encoding:\r\n", "plain"),
    ("Content-Encoding: gzip\r\n", "gzip"),
    ("Content-Encoding: GZIP\r\n", "members"),
    ("Content-Encoding: deflate\r\n", "deflate"),
    ("Content-Encoding: br\r\n", "br"),
    ("Content-Encoding: gzip, gzip\r\n", "twice"),
    ("Content-Encoding: identity\r\nContent-Encoding: gzip\r\n", "gzip"),
];

/// The header lines; `;` stands where the charset goes.
const TYPES: [&str; 12] = [
    "Content-Type: application/json;\r\n",
    "Content-Type: APPLICATION/JSON;\r\n",
    "Content-Type: \tapplication/json ;\r\n",
    "Content-Type: application/json; x=y;\r\n",
    "Content-Type: application/json, text/plain;\r\n",
    "Content-Type: text/plain;\r\n",
    "Content-Type: text/json;\r\n",
    "Content-Type: application/vnd.api+json;\r\n",
    "Content-Type: application/x-www-form-urlencoded;\r\n",
    "Content-Type: multipart/form-data; boundary=x;\r\n",
    "Content-Type: text/plain\r\nContent-Type: application/json;\r\n",
    "",
];

#[derive(Clone, Copy)]
enum Framing {
    Length,
    Chunked,
    Pieces,
}

struct Case {
    name: String,
    /// With `<AUTH>` where the token goes.
    head: String,
    body: Vec<u8>,
}

/// The body for a combination: in UTF-7 the forbidden model hides from who reads ASCII; in two gzip members, from who reads
/// the first; in a form there is a form.
fn text(charset: &str, coding: &str, kind: &str) -> (&'static str, String) {
    let dear = r#""text":"hié","model":"gpt-4o"}"#;
    if kind.contains("urlencoded") {
        return ("utf-8", "endpoint=openAI&model=gpt-4o&%6dodel=gpt-4o&text=hi".to_owned());
    }
    if kind.contains("multipart") {
        let part = "--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\ngpt-4o\r\n--x--\r\n";
        return ("utf-8", part.to_owned());
    }
    let cut = if coding == "members" { "<CUT>" } else { "" };
    match charset {
        "utf-7" => ("raw", format!(r#"{{"endpoint":"openAI","model":"gpt-4o-mini"{cut},"+AG0-odel":"gpt-4o"}}"#)),
        "utf-7-imap" => ("raw", format!(r#"{{"endpoint":"openAI","model":"gpt-4o-mini"{cut},"&AG0-odel":"gpt-4o"}}"#)),
        "utf-8" if coding == "plain" => {
            ("utf-8", r#"{"endpoint":"openAI","text":"hié","model":"gpt-4o-mini"}"#.to_owned())
        }
        _ => ("", format!(r#"{{"endpoint":"openAI","model":"gpt-4o-mini"{cut},{dear}"#)),
    }
}

fn cases() -> Option<Vec<Case>> {
    let mut combinations = Vec::new();
    let mut wanted = Vec::new();
    for (charset, written) in CHARSETS {
        for (encoding, coding) in CODINGS {
            for kind in TYPES {
                let (raw, text) = text(written, coding, kind);
                wanted.push(
                    json!({"text": text, "charset": if raw.is_empty() { written } else { raw }, "coding": match coding {
                        // Only there is a place to cut.
                        "members" if !text.contains("<CUT>") => "gzip",
                        coding => coding,
                    }}),
                );
                combinations.push((charset, encoding, kind));
            }
        }
    }
    let bodies = encoded(&json!(wanted))?;
    let mut cases = Vec::new();
    for ((charset, encoding, kind), body) in combinations.into_iter().zip(bodies) {
        let parameter = if charset.is_empty() { String::new() } else { format!("; {charset}") };
        // The last semicolon is the charset's place.
        let kind = match kind.rsplit_once(';') {
            Some((before, after)) => format!("{before}{parameter}{after}"),
            None => String::new(),
        };
        for framing in [Framing::Length, Framing::Chunked, Framing::Pieces] {
            let (framed, body) = framing.of(&body);
            let head = format!(
                "POST /api/agents/chat HTTP/1.1\r\nHost: t\r\nConnection: close\r\n<AUTH>{kind}{encoding}{framed}\r\n"
            );
            cases.push(Case { name: format!("{:?}", format!("{kind}{encoding}{framed}")), head, body });
        }
    }
    Some(cases)
}

/// The bodies as `tests/express/encode.js` writes them.
fn encoded(wanted: &Value) -> Option<Vec<Vec<u8>>> {
    let mut child = node("encode.js")?;
    let mut input = child.stdin.take().expect("its standard input");
    input.write_all(wanted.to_string().as_bytes()).expect("encode.js reads");
    drop(input);
    let mut text = String::new();
    child.stdout.take().expect("its standard output").read_to_string(&mut text).expect("encode.js writes");
    assert!(child.wait().expect("encode.js").success(), "encode.js failed");
    let bodies: Vec<String> = serde_json::from_str(&text).expect("an array of bodies");
    Some(bodies.iter().map(|body| unbase64(body)).collect())
}

impl Framing {
    fn of(self, body: &[u8]) -> (String, Vec<u8>) {
        let chunk =
            |part: &[u8], zeros: &str| [format!("{zeros}{:X}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        let chunked = "Transfer-Encoding: chunked\r\n".to_owned();
        match self {
            Self::Length => (format!("Content-Length: {}\r\n", body.len()), body.to_vec()),
            Self::Chunked => (chunked, [chunk(body, "").as_slice(), b"0\r\n\r\n"].concat()),
            Self::Pieces => {
                let (one, other) = body.split_at(body.len() / 2);
                // Extensions and trailers are the gate's matter: it lets none in.
                (chunked, [&chunk(one, "0"), &chunk(other, "00")[..], b"00\r\n\r\n"].concat())
            }
        }
    }
}

/// What came of a case: Express asked directly, and through Tollgate.
struct Came {
    direct: Answer,
    through: Answer,
}

#[tokio::test]
async fn no_charset_coding_type_or_framing_gives_another_reading() {
    let Some(express) = Express::start() else { return };
    let Some(cases) = cases() else { return };
    assert_eq!(cases.len(), 14 * 9 * 12 * 3);
    let world = World::with(POLICY).upstream(&format!("http://{}", express.addr)).start().await;
    let auth = format!("Authorization: {}\r\n", world.bearer("Bob"));
    let came = |case: &Case| {
        let head = case.head.replace("<AUTH>", &auth);
        let bytes = [head.as_bytes(), &case.body].concat();
        Came { direct: alone(express.addr, &bytes), through: alone(world.addr, &bytes) }
    };
    let before = express.reached();
    let share = cases.len().div_ceil(4);
    let all: Vec<Came> = thread::scope(|scope| {
        let parts: Vec<_> =
            cases.chunks(share).map(|part| scope.spawn(|| part.iter().map(&came).collect::<Vec<_>>())).collect();
        parts.into_iter().flat_map(|part| part.join().expect("all were sent")).collect()
    });
    let reached = express.reached() - before - 1;
    let mut differences = Vec::new();
    let (mut forwarded, mut hidden, mut read) = (0, 0, 0);
    for (case, Came { direct, through }) in cases.iter().zip(&all) {
        let dear = direct.said["turn"]["model"].as_str().is_some_and(|model| model.contains("gpt-4o\""));
        hidden += usize::from(dear);
        read += usize::from(direct.said["turn"]["model"].is_string());
        if through.said["reached"].is_null() {
            // Refused, and by a rule that says why.
            let rule = through.said["rule"].as_str().unwrap_or_default();
            if !["content-type", "content-encoding"].contains(&rule) || through.status != 415 {
                differences.push(format!("{}: {through:?}", case.name));
            }
            continue;
        }
        forwarded += 1;
        let same = ["body", "turn", "route"].iter().all(|part| direct.said[*part] == through.said[*part]);
        let ours = json!({"type": "application/json; charset=utf-8"});
        if !same || dear || direct.status != 200 || through.said["headers"] != ours {
            differences.push(format!("{}: {direct:?} became {through:?}", case.name));
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
    eprintln!(
        "{} requests: {forwarded} forwarded with the reading that was judged, {} refused; Express alone read a model in \
         {read} of them, in {hidden} the one that this person may not have",
        cases.len(),
        cases.len() - forwarded,
    );
    // Four spellings of UTF-8, with no coding or `identity`, of three spellings of JSON, in three framings.
    assert_eq!(forwarded, 4 * 2 * 3 * 3);
    let answered = all.iter().filter(|came| !came.direct.said["reached"].is_null()).count();
    assert_eq!(usize::try_from(reached).unwrap(), answered + forwarded, "nothing that was refused reached Express");
    assert!(hidden > 300, "{hidden}");
}
