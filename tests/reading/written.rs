//! Bodies as a grammar writes them: turns, and what somebody would send who hopes that two readers differ.

use crate::random::Random;

const KEYS: [&str; 12] = [
    "text",
    "x",
    "messageId",
    "parentMessageId",
    "temperature",
    "promptPrefix",
    "isTemporary",
    "files",
    "ephemeralAgent",
    "\u{e9}\u{1f600}",
    "",
    "0",
];
const ODD_KEYS: [&str; 12] = [
    "__proto__",
    "constructor",
    "prototype",
    "$model",
    "a.b",
    "Model",
    "model ",
    "\u{feff}model",
    "model\u{0}",
    "additionalModelRequestFields",
    "region",
    "toJSON",
];
const ENDPOINTS: [&str; 8] = ["openAI", "openAI", "openAI", "anthropic", "agents", "assistants", "MindRoom", "OpenAI"];
const MODELS: [&str; 8] =
    ["gpt-4o-mini", "gpt-4o-mini", "gpt-4o", "o1", "openai/gpt-4o", "gpt-4o\u{200b}", "mod\u{e8}le", "\u{1d4bc}"];
const TEXTS: [&str; 11] = [
    "",
    "hi",
    "\u{e4}\u{1f600}",
    "\u{0}\u{1f}",
    "\u{8}\u{c}\n\r\t",
    "\u{2028}\u{2029}",
    "\"\\/",
    "\u{7f}\u{80}",
    "\u{ffff}\u{10ffff}",
    "+AG0-odel",
    "]}\u{fffd}",
];
const NUMBERS: [&str; 22] = [
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "1.50",
    "1E5",
    "1e+5",
    "1e-5",
    "-0.0",
    "-0e0",
    "9007199254740993",
    "12345678901234567890123",
    "0.30000000000000004",
    "1e308",
    "1.7976931348623157e308",
    "1.7976931348623159e308",
    "5e-324",
    "1e-400",
    "1e400",
    "-1e999",
    "0.1000000000000000055511151231257827021181583404541015625",
];
/// What a mutation puts in.
const PIECES: [&str; 24] = [
    "\u{feff}",
    "\u{a0}",
    "\u{2028}",
    "\u{c}",
    "\0",
    "\\ud800",
    "\\udc00",
    "\\u0000",
    "\\u006d",
    "\\x",
    "/**/",
    "//",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "NaN",
    "01",
    "'",
    "\"model\":\"o1\",",
    "1e400",
];

/// One body.
pub(crate) fn body(random: &mut Random) -> Vec<u8> {
    let mut members: Vec<(String, String)> = Vec::new();
    members.push(("endpoint".to_owned(), name(random, &ENDPOINTS)));
    members.push(("model".to_owned(), name(random, &MODELS)));
    if random.once_in(3) {
        members.push(("addedConvo".to_owned(), added(random)));
    }
    for (key, values) in [
        ("agent_id", ["agent_x", "agent_", "openAI__gpt-4o"]),
        ("spec", ["fast", "dear", "\u{e9}"]),
        ("conversationId", ["new", "c-1", "\u{1f600}"]),
        ("endpointType", ["openAI", "openAI", "custom"]),
    ] {
        if random.once_in(6) {
            members.push((key.to_owned(), name(random, &values)));
        }
    }
    for _ in 0..random.below(5) {
        members.push((key(random), value(random, 4)));
    }
    if random.once_in(20) {
        members.push((random.of(&ODD_KEYS).to_owned(), value(random, 2)));
    }
    if random.once_in(20) {
        let twice = members[random.below(members.len())].0.clone();
        members.push((twice, name(random, &MODELS)));
    }
    for _ in 0..members.len() {
        let (one, other) = (random.below(members.len()), random.below(members.len()));
        members.swap(one, other);
    }
    let mut out = object(random, &members).into_bytes();
    if random.once_in(3) {
        for _ in 0..=random.below(3) {
            mutate(random, &mut out);
        }
    }
    out
}

fn added(random: &mut Random) -> String {
    let mut members = Vec::new();
    for (key, values) in
        [("endpoint", &ENDPOINTS[..]), ("model", &MODELS[..]), ("agent_id", &["agent_y", "x"]), ("spec", &["a"])]
    {
        if random.once_in(2) {
            members.push((key.to_owned(), name(random, values)));
        }
    }
    if random.once_in(4) {
        members.push((key(random), value(random, 3)));
    }
    object(random, &members)
}

/// A name, now and then something in its place.
fn name(random: &mut Random, names: &[&str]) -> String {
    match random.below(40) {
        0 => value(random, 2),
        1 => "null".to_owned(),
        _ => {
            let name = random.of(names);
            text(random, name)
        }
    }
}

fn key(random: &mut Random) -> String {
    match random.below(3) {
        0 => format!("k{}", random.below(100)),
        _ => random.of(&KEYS).to_owned(),
    }
}

fn value(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => "null".to_owned(),
        1 => random.of(&["true", "false"]).to_owned(),
        2 | 3 => random.of(&NUMBERS).to_owned(),
        4 => {
            let plain = random.of(&TEXTS);
            text(random, plain)
        }
        5 => {
            let items: Vec<String> = (0..random.below(4)).map(|_| value(random, depth - 1)).collect();
            format!("[{}{}]", space(random), items.join(&format!("{},{}", space(random), space(random))))
        }
        _ => {
            let members: Vec<_> = (0..random.below(4))
                .map(|at| {
                    let key = if random.once_in(20) {
                        random.of(&ODD_KEYS).to_owned()
                    } else {
                        format!("{}{at}", key(random))
                    };
                    (key, value(random, depth - 1))
                })
                .collect();
            object(random, &members)
        }
    }
}

fn object(random: &mut Random, members: &[(String, String)]) -> String {
    let mut out = String::from("{");
    for (at, (key, value)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        out.push_str(space(random));
        out.push_str(&text(random, key));
        out.push_str(space(random));
        out.push(':');
        out.push_str(space(random));
        out.push_str(value);
        out.push_str(space(random));
    }
    out.push('}');
    out
}

fn space(random: &mut Random) -> &'static str {
    random.of(&["", "", "", "", " ", "\n", "\t\r", "  "])
}

/// A text in one of the many ways to spell it.
fn text(random: &mut Random, plain: &str) -> String {
    let mut out = String::from("\"");
    let escaped = random.below(6);
    for char in plain.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '/' if escaped == 1 => out.push_str("\\/"),
            '\u{8}' if escaped > 2 => out.push_str("\\b"),
            '\u{c}' if escaped > 2 => out.push_str("\\f"),
            '\n' if escaped > 2 => out.push_str("\\n"),
            '\r' if escaped > 2 => out.push_str("\\r"),
            '\t' if escaped > 2 => out.push_str("\\t"),
            _ if char < ' ' || escaped == 0 || (escaped == 2 && random.once_in(3)) => {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    out.push_str(&if random.once_in(2) { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
                }
            }
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}

fn mutate(random: &mut Random, body: &mut Vec<u8>) {
    let at = random.below(body.len() + 1);
    match random.below(6) {
        0 => body.insert(at, (random.next() & 0xff) as u8),
        1 => drop(body.splice(at..at, random.of(&PIECES).bytes())),
        2 if at < body.len() => body[at] = (random.next() & 0xff) as u8,
        3 if at < body.len() => drop(body.remove(at)),
        4 => {
            let end = (at + random.below(12)).min(body.len());
            let copy = body[at..end].to_vec();
            let to = random.below(body.len() + 1);
            drop(body.splice(to..to, copy));
        }
        _ => body.extend_from_slice(random.of(&[" ", "\0", "{}", "\u{feff}", "\n", "\u{a0}"]).as_bytes()),
    }
}
