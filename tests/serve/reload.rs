//! The policy in force follows its files while requests run, as a whole or not at all.

mod load;
mod unread;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tollgate::policy::{Source, compile};

use crate::POLICY;
use crate::support::{get, post_json};
use crate::world::World;

/// Everybody may use this one model.
fn only(model: &str) -> String {
    format!("version: 1\nroles: {{ USER: {{ endpoints: {{ openAI: {{ models: [{model}] }} }} }} }}\n")
}

/// The revision under which entries name this policy.
fn revision(text: &str) -> String {
    revision_of(&[("policy.yaml", text)])
}

/// The revision of a policy of several files, sorted by name.
fn revision_of(files: &[(&str, &str)]) -> String {
    let source = |(name, text): &(&str, &str)| Source { path: name.into(), text: (*text).into() };
    let sources: Vec<_> = files.iter().map(source).collect();
    compile(&sources).expect("a good policy").0.revision().to_owned()
}

fn policy_file(world: &World) -> PathBuf {
    world.dir.path().join("policy/policy.yaml")
}

/// Puts a text into the place of a file, as careful programs do.
fn put(file: &Path, text: &str) {
    let new = file.with_extension("new");
    std::fs::write(&new, text).expect("a written file");
    std::fs::rename(&new, file).expect("a file that was put in its place");
}

async fn standing(world: &World) -> Value {
    let ready = get(world.admin, "/readyz", &[]).await;
    assert_eq!(ready.status, 200, "whatever the files say, the last good policy is in force");
    ready.json()["policy"].clone()
}

async fn until_in_force(world: &mut World, text: &str) {
    let expected = revision(text);
    world.until("the policy is in force", async |world| standing(world).await["revision"] == expected.as_str()).await;
}

async fn models(world: &World) -> Value {
    let bob = world.bearer("Bob");
    get(world.addr, "/api/models", &[("authorization", &bob)]).await.json()
}

/// The events of this kind, in the order in which they were recorded.
fn events(world: &World, action: &str) -> Vec<Value> {
    world.record().into_iter().filter(|entry| entry["action"] == action).collect()
}

#[tokio::test]
async fn a_changed_file_is_in_force_without_a_restart_and_the_record_tells_since_when() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let before = revision(&only("gpt-4o-mini"));
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o-mini"]}));
    put(&policy_file(&world), &only("gpt-4o"));
    until_in_force(&mut world, &only("gpt-4o")).await;
    let after = revision(&only("gpt-4o"));
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o"]}));
    let info = |revision: &str| format!("tollgate_policy_info{{mode=\"enforce\",revision=\"{revision}\"}}");
    assert_eq!(world.metric(&info(&after)).await, "1");
    assert_eq!(world.metric(&info(&before)).await, "", "one policy is in force");
    assert_eq!(world.metric("tollgate_policy_loads_total{result=\"taken\"}").await, "1");
    // One more file, with what belongs together in both.
    put(&world.dir.path().join("policy/more.yaml"), "version: 1\nmode: shadow\n");
    world.until("shadow mode", async |world| standing(world).await["mode"] == "shadow").await;
    world.until("both changes are written", async |world| events(world, "policy.loaded").len() == 2).await;
    let [first, second] = &events(&world, "policy.loaded")[..] else { panic!("two changes") };
    assert_eq!((&first["policyRevision"], &first["about"]["from"]), (&json!(after), &json!(before)));
    assert_eq!(first["about"]["mode"], "enforce");
    assert_eq!((&second["about"]["from"], &second["about"]["files"]), (&json!(after), &json!(2)));
    assert_eq!((&second["category"], &second["severity"]), (&json!("SYSTEM"), &json!("INFO")));
    let (_, entries) = world.stop().await;
    let revisions: Vec<_> = entries.iter().map(|entry| entry["policyRevision"].as_str().unwrap_or_default()).collect();
    assert_eq!(revisions[..2], [before.as_str(), after.as_str()], "each decision names the policy that made it");
}

#[tokio::test]
async fn a_policy_with_faults_is_not_taken_and_the_last_good_one_stays_in_force() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let good = revision(&only("gpt-4o-mini"));
    let file = policy_file(&world);
    for (what, text, code) in [
        ("no YAML", "version: 1\nroles: {USER", "bad-yaml"),
        ("a word of no policy", "version: 1\nmode: enfroce\nroles: { USER: { unrestricted: true } }\n", "bad-value"),
    ] {
        let refused = events(&world, "policy.refused").len();
        put(&file, text);
        world.until(what, async |world| events(world, "policy.refused").len() > refused).await;
        let told = standing(&world).await;
        assert_eq!(told["revision"], good.as_str(), "{what}");
        assert!(
            told["stale"]["first"].as_str().is_some_and(|first| first.contains("policy.yaml:2:")),
            "{what}: {told}"
        );
        assert_eq!(world.metric("tollgate_policy_stale").await, "1", "{what}");
        assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o-mini"]}), "{what}");
        let event = events(&world, "policy.refused").pop().expect("it was there");
        assert_eq!((&event["severity"], &event["policyRevision"]), (&json!("ERROR"), &json!(good)), "{what}");
        assert_eq!(event["about"]["found"][0]["code"], code, "{what}: {event}");
    }
    assert!(world.log().contains("the last good one stays in force"), "{}", world.log());
    // Nothing at all is not an empty policy.
    std::fs::remove_file(&file).expect("a removed file");
    world
        .until("it is missed", async |world| {
            standing(world).await["stale"]["first"].to_string().contains("no policy file")
        })
        .await;
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o-mini"]}));
    put(&file, &only("gpt-4o-mini"));
    world.until("all is well", async |world| standing(world).await["stale"].is_null()).await;
    assert_eq!(world.metric("tollgate_policy_stale").await, "0");
    assert_eq!(events(&world, "policy.loaded"), Vec::<Value>::new(), "no other policy was ever in force");
}

/// A policy that does not do what its cases say is as good as one with faults.
#[tokio::test]
async fn a_policy_whose_cases_fail_is_not_taken() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let good = revision(&only("gpt-4o-mini"));
    let (file, cases) = (policy_file(&world), policy_file(&world).with_file_name("policy.test.yaml"));
    let case = |model: &str| {
        format!(
            "version: 1\ncases: [{{ name: Everybody has {model}, caller: {{}}, asks: openAI|{model}, expect: allow }}]\n"
        )
    };
    put(&cases, &case("gpt-4o-mini"));
    // The policy is changed, and the cases are not.
    put(&file, &only("gpt-4o"));
    world.until("it is refused", async |world| !events(world, "policy.refused").is_empty()).await;
    let told = standing(&world).await;
    assert_eq!((&told["revision"], &told["stale"]["faults"]), (&json!(good), &json!(1)));
    let first = told["stale"]["first"].as_str().expect("a case").to_owned();
    assert!(
        first.contains(
            "policy.test.yaml:2:17: the case \"Everybody has gpt-4o-mini\" fails: verdict: expected allow, got deny"
        ),
        "{first}"
    );
    assert_eq!(world.metric("tollgate_policy_stale").await, "1");
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o-mini"]}));
    let event = events(&world, "policy.refused").pop().expect("it was there");
    assert_eq!(event["about"]["found"][0]["code"], "case-failed", "{event}");
    // A change of the cases alone is enough to take it.
    put(&cases, &case("gpt-4o"));
    until_in_force(&mut world, &only("gpt-4o")).await;
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o"]}));
    // Cases that nobody can read are cases that fail, and what is in force stays.
    put(&cases, "version: 1\n");
    world
        .until("they are missed", async |world| {
            standing(world).await["stale"]["first"].to_string().contains("the file has no case")
        })
        .await;
    assert_eq!(models(&world).await, json!({"openAI": ["gpt-4o"]}));
}

#[tokio::test]
async fn a_hangup_asks_for_it_at_once_and_ends_nothing() {
    let mut world = World::with(POLICY).start().await;
    for _ in 0..2 {
        let before = world.metric("tollgate_policy_loads_total{result=\"unchanged\"}").await;
        world.signal("HUP");
        world
            .until("the files were read again", async |world| {
                world.metric("tollgate_policy_loads_total{result=\"unchanged\"}").await != before
            })
            .await;
    }
    world.until("it is said", async |world| world.log().contains("the policy is unchanged")).await;
    assert_eq!(events(&world, "policy.loaded"), Vec::<Value>::new());
    let (status, _) = world.stop().await;
    assert_eq!(status.code(), Some(0));
}

/// Kubernetes swaps a hidden directory behind links; the files that belong together change together.
#[tokio::test]
async fn a_mounted_config_map_is_followed_through_its_links() {
    use std::os::unix::fs::symlink;
    let mut world = World::with(POLICY).start().await;
    let path = world.dir.path().join("policy");
    let version = |name: &str, model: &str| {
        let directory = path.join(name);
        std::fs::create_dir(&directory).expect("a directory");
        std::fs::write(directory.join("policy.yaml"), only(model)).expect("a file");
        let message = format!("version: 1\nmessages: {{ model_denied: Use {model}. }}\n");
        std::fs::write(directory.join("messages.yaml"), message).expect("a file");
        symlink(name, path.join("..new")).expect("a link");
        std::fs::rename(path.join("..new"), path.join("..data")).expect("a link in its place");
    };
    version("..2026_1", "gpt-4o-mini");
    for name in ["policy.yaml", "messages.yaml"] {
        symlink(Path::new("..data").join(name), path.join("new")).expect("a link");
        std::fs::rename(path.join("new"), path.join(name)).expect("a link in its place");
    }
    world.until("it is in force", async |world| models(world).await == json!({"openAI": ["gpt-4o-mini"]})).await;
    version("..2026_2", "gpt-4o");
    world
        .until("the other version is in force", async |world| models(world).await == json!({"openAI": ["gpt-4o"]}))
        .await;
    let bob = world.bearer("Bob");
    let asked = json!({"endpoint": "openAI", "model": "o1", "text": "Hello"});
    let refused = post_json(world.addr, "/api/agents/chat", &[("authorization", &bob)], &asked).await;
    assert_eq!(refused.json()["message"], "Use gpt-4o.", "both files of one version");
}
