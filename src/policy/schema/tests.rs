//! The schemas are those of the types, and of what reads the files: the same keys at the same places.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::policy::statements::Statement;
use crate::policy::tests::any::any_text;
use crate::policy::tests::shipped::{SHIPPED, blocks};
use crate::policy::tests::source;
use crate::policy::{Snapshot, codes, compile_listed};
use crate::reload;
use crate::report::{Fault, Report};

const ADVICE: &str = "is stale: UPDATE=1 cargo test --lib policy::schema";

/// A key that no mapping has, and that is like none.
const STRAY: &str = "qqqqqqqqqqqqqqqq";

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Policy,
    Cases,
}

const KINDS: [Kind; 2] = [Kind::Policy, Kind::Cases];

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Policy => super::policy(),
            Self::Cases => super::cases(),
        }
    }

    fn validator(self) -> Validator {
        jsonschema::options().build(&self.schema()).unwrap()
    }

    fn file(self) -> &'static str {
        match self {
            Self::Policy => "policy.schema.json",
            Self::Cases => "cases.schema.json",
        }
    }

    /// All faults of this text.
    fn faults(self, text: &str) -> Vec<Fault> {
        let report = match self {
            Self::Policy => compile_listed(&[source("p.yaml", text)], &Default::default()).err(),
            Self::Cases => {
                let (policy, statements) = any_policy();
                crate::policy::cases::read(&[source("p.test.yaml", text)], &policy, &statements).err()
            }
        };
        report.map_or_else(Vec::new, |report: Report| report.faults().into_iter().cloned().collect())
    }
}

/// A policy that cases can be about.
fn any_policy() -> (Snapshot, Vec<Statement>) {
    let text = "version: 1\nroles:\n  USER:\n    endpoints: { openAI: { models: [gpt-4o-mini] } }\n    \
                limits: [{ id: user-day, tokens: 500k, per: user, window: day }]\n";
    let (policy, statements, _) = compile_listed(&[source("p.yaml", text)], &Default::default()).unwrap();
    (policy, statements)
}

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

/// YAML as an editor's language server hands it to a schema.
fn plain(text: &str) -> Value {
    let options = serde_saphyr::options! { strict_booleans: true, merge_keys: serde_saphyr::MergeKeyPolicy::Merge };
    serde_saphyr::from_str_with_options(text, options).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Each mapping with keys of its own, by the way to it: `*` is any name, `0` an item of a list.
fn mappings<'a>(schema: &'a Value, way: &str, into: &mut BTreeMap<String, &'a Value>) {
    if !schema.is_object() {
        return;
    }
    if let Some(properties) = schema["properties"].as_object() {
        into.insert(way.to_owned(), schema);
        for (name, member) in properties {
            mappings(member, &format!("{way}/{name}"), into);
        }
    }
    mappings(&schema["additionalProperties"], &format!("{way}/*"), into);
    mappings(&schema["items"], &format!("{way}/0"), into);
    for word in ["anyOf", "oneOf"] {
        for form in schema[word].as_array().into_iter().flatten() {
            mappings(form, way, into);
        }
    }
}

/// A document that has this at the end of the way.
fn document(way: &str, end: Value) -> String {
    let steps: Vec<_> = way.split('/').skip(1).collect();
    let inner = steps.iter().rev().fold(end, |inner, step| match *step {
        "*" => json!({ "x": inner }),
        "0" => json!([inner]),
        name => json!({ name: inner }),
    });
    inner.to_string()
}

fn keys(schema: &Value) -> BTreeSet<String> {
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_files_say_what_the_types_say() {
    for kind in KINDS {
        let (path, wanted) = (policies().join(kind.file()), format!("{:#}\n", kind.schema()));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &wanted).unwrap();
        }
        assert!(fs::read_to_string(&path).unwrap_or_default() == wanted, "{} {ADVICE}", kind.file());
        jsonschema::meta::validate(&kind.schema()).unwrap();
    }
}

/// Every key that can be hovered, and every word that is offered.
fn told(schema: &Value, way: &str, count: &mut usize) {
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let text = member["description"].as_str().unwrap_or_default();
        assert!(text.len() > 8, "{way}/{name} has no meaning: {member}");
        assert!(!text.contains("[`") && !text.contains("::"), "{way}/{name} speaks of code: {text}");
        *count += 1;
        told(member, &format!("{way}/{name}"), count);
    }
    told_inside(schema, way, count);
}

fn told_inside(schema: &Value, way: &str, count: &mut usize) {
    for inner in ["additionalProperties", "items"] {
        if schema[inner].is_object() {
            told(&schema[inner], &format!("{way}/*"), count);
        }
    }
    for form in ["anyOf", "oneOf"].iter().flat_map(|word| schema[*word].as_array().into_iter().flatten()) {
        if let Some(word) = form.get("const") {
            assert!(form["description"].as_str().unwrap_or_default().len() > 8, "{way}: {word} has no meaning");
        }
        told(form, way, count);
    }
}

#[test]
fn every_key_and_every_word_has_a_meaning() {
    for (kind, fewest) in [(Kind::Policy, 100), (Kind::Cases, 40)] {
        let mut count = 0;
        told(&kind.schema(), "", &mut count);
        assert!(count >= fewest, "{kind:?} has only {count} keys");
    }
}

/// What the reader says that it knows where a key is strange.
fn known(kind: Kind, way: &str) -> BTreeSet<String> {
    let mut strange = json!({ STRAY: 1 });
    if way.ends_with("/expect") {
        strange["verdict"] = "allow".into();
    }
    let faults = kind.faults(&document(way, strange));
    let of: Vec<_> = faults.iter().filter(|fault| fault.code == codes::UNKNOWN_KEY).collect();
    let [fault] = &of[..] else { panic!("{kind:?} {way}: {faults:#?}") };
    assert_eq!(fault.message, format!("unknown key {STRAY:?}"), "{way}");
    let help = fault.help.as_deref().unwrap_or_default();
    let (_, names) = help.split_once("known here: ").unwrap_or_else(|| panic!("{way}: {help}"));
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_reader_knows_the_keys_of_the_schema_at_each_place_and_no_others() {
    let mut places = 0;
    for kind in KINDS {
        let schema = kind.schema();
        let mut all = BTreeMap::new();
        mappings(&schema, "", &mut all);
        let words: BTreeSet<String> =
            all.values().flat_map(|schema| keys(schema)).chain(words_of_the_reader()).collect();
        assert!(words.len() > 80, "{} words", words.len());
        for (way, schema) in &all {
            // The names of endpoints and of models are told in other ways than as strange keys.
            if way == "/prices" || way.ends_with("/endpoints") {
                continue;
            }
            assert_eq!(schema["additionalProperties"], false, "{kind:?} {way}");
            assert_eq!(known(kind, way), keys(schema), "{kind:?} {way}: what the reader says it knows");
            // What it says is one thing, what it takes another: each word is tried at each place.
            let mut strange: Value = words.iter().map(|word| (word.clone(), Value::Null)).collect();
            if way.ends_with("/expect") {
                strange["verdict"] = "allow".into();
            }
            let faults = kind.faults(&document(way, strange));
            let refused = |word: &str| {
                let unknown = format!("unknown key {word:?}");
                faults.iter().any(|fault| fault.message == unknown)
            };
            for word in &words {
                assert_eq!(!refused(word), keys(schema).contains(word), "{kind:?} {way}: {word}");
            }
            places += 1;
        }
    }
    assert!(places >= 60, "{places} places");
}

/// All words that any file of the reader compares with something.
fn words_of_the_reader() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/policy");
    let files = ["written", "cases"].iter().flat_map(|of| fs::read_dir(root.join(of)).unwrap());
    let texts: Vec<_> = files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect();
    let words = texts.iter().flat_map(|text| text.split('"').skip(1).step_by(2));
    let is_key = |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    words.filter(is_key).map(str::to_owned).collect()
}

#[test]
fn the_endpoints_of_the_schema_are_those_of_the_language() {
    let schema = Kind::Policy.schema();
    let mut all = BTreeMap::new();
    mappings(&schema, "", &mut all);
    for section in ["roles", "groups", "users"] {
        let mut known: BTreeSet<String> = crate::policy::check::BUILT_IN.iter().map(|&name| name.to_owned()).collect();
        known.insert("custom".to_owned());
        assert_eq!(keys(all[&format!("/{section}/*/endpoints")]), known);
    }
    assert_eq!(keys(all["/prices"]), ["default", "librechat"].map(str::to_owned).into());
}

#[test]
fn the_words_of_the_schema_are_those_of_the_reader() {
    let words = |kind: Kind, way: &str| -> BTreeSet<String> {
        let schema = kind.schema();
        let forms = &schema.pointer(way).unwrap_or_else(|| panic!("{way}"));
        let listed = forms["enum"].as_array().into_iter().flatten();
        let told = forms["oneOf"].as_array().into_iter().flatten().map(|form| &form["const"]);
        listed.chain(told).map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let unjudged: BTreeSet<_> = crate::policy::cases::UNJUDGED.map(str::to_owned).into();
    let case = "/properties/cases/items/properties";
    assert_eq!(words(Kind::Cases, &format!("{case}/asks/anyOf/1/properties/unjudged")), unjudged);
    for (kind, way, place) in [
        (Kind::Policy, "/mode", "/properties/mode".to_owned()),
        (Kind::Policy, "/user_keys", "/properties/user_keys".to_owned()),
        (Kind::Policy, "/limits/0/per", "/properties/limits/items/properties/per".to_owned()),
        (Kind::Policy, "/role_mapping/0/token", "/properties/role_mapping/items/properties/token".to_owned()),
        (Kind::Cases, "/cases/0/expect/verdict", format!("{case}/expect/anyOf/1/properties/verdict")),
        (Kind::Cases, "/cases/0/asks/feature", format!("{case}/asks/anyOf/1/properties/feature")),
        (Kind::Cases, "/cases/0/asks/surface", format!("{case}/asks/anyOf/1/properties/surface")),
    ] {
        let faults = kind.faults(&document(way, STRAY.into()));
        let told = faults.iter().find(|fault| fault.code == codes::BAD_VALUE).unwrap_or_else(|| panic!("{faults:#?}"));
        let (_, list) = told.message.split_once(" must be ").unwrap();
        assert_eq!(list.split(" or ").map(str::to_owned).collect::<BTreeSet<_>>(), words(kind, &place), "{way}");
    }
}

#[test]
fn every_shipped_file_names_its_schema_and_fits_it() {
    let mut count = 0;
    for name in SHIPPED {
        let directory = policies().join(name);
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let file = path.file_name().unwrap().to_str().unwrap();
            let kind = if reload::is_case_file(file) { Kind::Cases } else { Kind::Policy };
            let first = text.lines().next().unwrap();
            let named =
                first.strip_prefix("# yaml-language-server: $schema=").unwrap_or_else(|| panic!("{path:?}: {first}"));
            assert_eq!(
                directory.join(named).canonicalize().unwrap(),
                policies().join(kind.file()).canonicalize().unwrap(),
                "{path:?}"
            );
            fits(kind, &plain(&text), &text);
            count += 1;
        }
    }
    assert!(count >= 13, "{count} files");
}

fn fits(kind: Kind, document: &Value, text: &str) {
    let validator = kind.validator();
    let faults: Vec<_> =
        validator.iter_errors(document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}\n{text}");
}

#[test]
fn every_block_of_the_page_without_a_fault_fits() {
    let mut count = 0;
    // What an override says is no file.
    let is_file = |info: &str| !info.contains("fault: ") && !info.contains("override ");
    for (info, text) in blocks().into_iter().filter(|(info, _)| is_file(info)) {
        let kind = if info.contains("cases") { Kind::Cases } else { Kind::Policy };
        fits(kind, &plain(text), text);
        count += 1;
    }
    assert!(count >= 8, "{count} blocks");
}

#[test]
fn what_the_reader_takes_by_chance_fits() {
    let validator = Kind::Policy.validator();
    let (mut runner, mut taken, mut refused) = (TestRunner::deterministic(), 0, 0);
    for _ in 0..4_000 {
        let text = any_text().new_tree(&mut runner).unwrap().current();
        let fits = validator.is_valid(&plain(&text));
        if compile_listed(&[source("p.yaml", &text)], &Default::default()).is_ok() {
            assert!(
                fits,
                "{:#?}\n{text}",
                validator.iter_errors(&plain(&text)).map(|fault| fault.to_string()).collect::<Vec<_>>()
            );
            taken += 1;
        } else if !fits {
            refused += 1;
        }
    }
    assert!(taken >= 400 && refused >= 200, "{taken} taken, {refused} refused by both");
}

#[test]
fn what_a_schema_can_say_is_refused_by_both() {
    let roles = |entry: &str| format!("version: 1\nroles:\n  USER: {entry}\n");
    let limit = |limit: &str| format!("version: 1\nlimits: [{limit}]\n");
    let case = |case: &str| format!("version: 1\ncases: [{{ name: n, {case} }}]\n");
    for (kind, text) in [
        (Kind::Policy, "mode: enforce\n".to_owned()),
        (Kind::Policy, "version: 2\n".to_owned()),
        (Kind::Policy, "version: 1\nmode: off\n".to_owned()),
        (Kind::Policy, "version: 1\nrole: {}\n".to_owned()),
        (Kind::Policy, "version: 1\nunlisted: { endpoint: maybe }\n".to_owned()),
        (Kind::Policy, "version: 1\nunlisted: deny\n".to_owned()),
        (Kind::Policy, "version: 1\nroles: [USER]\n".to_owned()),
        (Kind::Policy, "version: 1\nroles:\n".to_owned()),
        (Kind::Policy, "version: 1\nusers: { ann: { unrestricted: true } }\n".to_owned()),
        (Kind::Policy, "version: 1\nblocked: {}\n".to_owned()),
        (Kind::Policy, "version: 1\nblocked: { users: [] }\n".to_owned()),
        (Kind::Policy, "version: 1\nblocked: { user: [ann@example.edu] }\n".to_owned()),
        (Kind::Policy, "version: 1\nblocked: { groups: [a, a] }\n".to_owned()),
        (Kind::Policy, "version: 1\nemail_domains: []\n".to_owned()),
        (Kind::Policy, "version: 1\nemail_domains: example.edu\n".to_owned()),
        (Kind::Policy, "version: 1\nprices: {}\n".to_owned()),
        (Kind::Policy, "version: 1\nprices: { gpt: { input: -1, output: 1 } }\n".to_owned()),
        (Kind::Policy, "version: 1\nprices: { gpt: { input: 1 } }\n".to_owned()),
        (Kind::Policy, "version: 1\nturns: {}\n".to_owned()),
        (Kind::Policy, "version: 1\nremote_api: { enabled: no }\n".to_owned()),
        (Kind::Policy, "version: 1\nrole_mapping: []\n".to_owned()),
        (Kind::Policy, "version: 1\nrole_mapping: [{ claim: c, token: id, has: x }]\n".to_owned()),
        (Kind::Policy, "version: 1\nrole_mapping: [{ claim: c, token: jwt, has: x, role: R }]\n".to_owned()),
        (Kind::Policy, "version: 1\nagents: { tools: {} }\n".to_owned()),
        (Kind::Policy, "version: 1\nagents: { tools: { deny: [] } }\n".to_owned()),
        (Kind::Policy, "version: 1\ndefaults: { user: {} }\n".to_owned()),
        (Kind::Policy, "version: 1\ndefaults: { user: { budget: { cost: 10 USD } } }\n".to_owned()),
        (Kind::Policy, "version: 1\nmessages: { model_denied: 7 }\n".to_owned()),
        (Kind::Policy, roles("{ mode: off }")),
        (Kind::Policy, roles("{ unrestricted: yes }")),
        (Kind::Policy, roles("{ endpoints: { openai: { models: [a] } } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: [a] } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: {} } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: { models: a } } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: { models: [a, a] } } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: { models: [1] } } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: { deny: [] } } }")),
        (Kind::Policy, roles("{ endpoints: { openAI: { models: [\"\"] } } }")),
        (Kind::Policy, roles("{ tools: {} }")),
        (Kind::Policy, roles("{ limits: [] }")),
        (Kind::Policy, roles("{ limits: all }")),
        (Kind::Policy, limit("{ requests: 1, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, requests: 1, tokens: 1, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: world, window: 1m }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global, window: 1y }")),
        (Kind::Policy, limit("{ id: a, requests: -1, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, requests: 1.5, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a.b, requests: 1, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, cost: 10, per: global, window: 1m }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global, window: 1m, warn_at: 101 }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global, window: 1m, on_failure: allow }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global, window: 1m, on_failure: {} }")),
        (Kind::Policy, limit("{ id: a, requests: 1, per: global, window: 1m, models: [] }")),
        (Kind::Cases, "version: 1\n".to_owned()),
        (Kind::Cases, "version: 1\ncases: {}\n".to_owned()),
        (Kind::Cases, case("caller: { role: USER }, asks: openAI|a")),
        (Kind::Cases, case("caller: { roles: [USER] }, asks: openAI|a, expect: deny")),
        (Kind::Cases, case("caller: { id: abc }, asks: openAI|a, expect: deny")),
        (Kind::Cases, case("caller: { email: abc }, asks: openAI|a, expect: deny")),
        (Kind::Cases, case("caller: { claims: {} }, asks: openAI|a, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: gpt-4o, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: [], expect: deny")),
        (Kind::Cases, case("caller: {}, asks: { model: a }, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: { tool: a, endpoint: b }, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: { feature: keys }, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: { agent: agent_a, unjudged: no }, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, expect: refuse")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, expect: { rule: unlisted.role }")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, expect: { verdict: deny, rule: [] }")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, messages: some, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, tokens: { in: 1 }, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, now: 2026-11-23, expect: deny")),
        (Kind::Cases, case("caller: {}, asks: openAI|a, now: 2026-11-23T09:00:00, expect: deny")),
        (Kind::Cases, "version: 1\nmatrix: [{ name: m, callers: [], models: [a|b], allow: {} }]\n".to_owned()),
        (Kind::Cases, "version: 1\ncallers: { a: }\nmatrix: [{ name: m, callers: [a], models: [a|b] }]\n".to_owned()),
    ] {
        assert!(!kind.faults(&text).is_empty(), "the reader takes\n{text}");
        assert!(!kind.validator().is_valid(&plain(&text)), "the schema takes\n{text}");
    }
}
