//! A policy of two files is swapped again and again while requests come without a pause: `TOLLGATE_RELOADS` times, each twentieth time to one
//! with a fault, and mostly once more while it is being read.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::crash::number;
use crate::support::post_json;
use crate::world::World;

use super::{events, only, revision_of, standing};

/// The files of a version. In the order in which they are read.
const NAMES: [&str; 2] = ["bob.yaml", "models.yaml"];

/// Files that are read between these two and stay as they are, so that there is time for a swap in between.
const BETWEEN: usize = 200;

/// What such a file says.
const NOTHING: &str = "version: 1\n";

/// A directory as a mounted ConfigMap has it: all files are links into a hidden directory that is swapped, and removed after that.
struct Mounted {
    path: PathBuf,
    /// The version that is there.
    version: usize,
}

/// What the files of a version say. Those of an odd one both take the model away that those of an even one both give; each file of each
/// version is another one, so that half of one and half of another has a revision that no version has.
fn texts(version: usize) -> [String; 2] {
    let (models, denied) =
        if version.is_multiple_of(2) { ("gpt-4o-mini, gpt-4o", "o1") } else { ("gpt-4o-mini, o1", "gpt-4o") };
    [
        format!(
            "version: 1\nusers: {{ bob@example.edu: {{ endpoints: {{ openAI: {{ deny: [{denied}] }} }} }} }}\n# {version:06}\n"
        ),
        format!(
            "version: 1\nroles: {{ USER: {{ endpoints: {{ openAI: {{ models: [{models}] }} }} }} }}\n# {version:06}\n"
        ),
    ]
}

fn revision(version: usize) -> String {
    let [bob, models] = texts(version);
    let [first, second] = NAMES;
    let mut files = vec![("c.yaml", NOTHING); BETWEEN + 2];
    files[0] = (first, &bob);
    files[BETWEEN + 1] = (second, &models);
    revision_of(&files)
}

impl Mounted {
    /// Makes a policy directory of plain files one of links.
    fn at(path: PathBuf) -> Self {
        let mut mounted = Self { path, version: 0 };
        mounted.swap(0, &texts(0));
        for name in NAMES {
            symlink(Path::new("..data").join(name), mounted.path.join(name)).expect("a link");
        }
        for number in 0..BETWEEN {
            fs::write(mounted.path.join(format!("c{number}.yaml")), NOTHING).expect("a file");
        }
        fs::remove_file(mounted.path.join("policy.yaml")).expect("a removed file");
        mounted
    }

    fn swap(&mut self, version: usize, texts: &[String; 2]) {
        let directory = |version: usize| format!("..{version}");
        let new = self.path.join(directory(version));
        fs::create_dir(&new).expect("a directory");
        for (name, text) in NAMES.iter().zip(texts) {
            fs::write(new.join(name), text).expect("a file");
        }
        symlink(directory(version), self.path.join("..new")).expect("a link");
        fs::rename(self.path.join("..new"), self.path.join("..data")).expect("a link in its place");
        if version != self.version {
            fs::remove_dir_all(self.path.join(directory(self.version))).expect("a removed directory");
        }
        self.version = version;
    }
}

/// How often files were taken, and refused.
async fn loads(world: &World) -> (usize, usize) {
    let count = async |result: &str| {
        let text = world.metric(&format!("tollgate_policy_loads_total{{result=\"{result}\"}}")).await;
        text.parse().expect("a number")
    };
    (count("taken").await, count("refused").await)
}

/// Asks for a model until it is over, and counts how often that was allowed and denied.
async fn ask(world: &World, over: &Arc<AtomicBool>, callers: &mut JoinSet<[usize; 2]>) {
    let (over, addr, bob) = (Arc::clone(over), world.addr, world.bearer("Bob"));
    callers.spawn(async move {
        let asked = json!({"endpoint": "openAI", "model": "gpt-4o", "text": "Hello", "conversationId": null});
        let mut seen = [0, 0];
        while !over.load(Ordering::Relaxed) {
            let answer = post_json(addr, "/api/agents/chat", &[("authorization", &bob)], &asked).await;
            match answer.status.as_u16() {
                200 => seen[0] += 1,
                403 => seen[1] += 1,
                _ => panic!("{}", answer.text()),
            }
        }
        seen
    });
}

#[expect(clippy::print_stderr, reason = "how much was tried")]
#[tokio::test]
async fn no_reload_fails_a_request_or_tears_a_decision() {
    let reloads = usize::try_from(number("TOLLGATE_RELOADS", 60)).expect("a number");
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let mut mounted = Mounted::at(world.dir.path().join("policy"));
    let mut versions = HashMap::from([(revision(0), 0)]);
    world.signal("HUP");
    world.until("the first version is in force", async |world| standing(world).await["revision"] == revision(0)).await;
    let over = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..4 {
        ask(&world, &over, &mut callers).await;
    }
    let (mut version, mut invalid) = (0, 0);
    let mut next = |mounted: &mut Mounted| {
        version += 1;
        versions.insert(revision(version), version);
        mounted.swap(version, &texts(version));
        revision(version)
    };
    for round in 1..=reloads {
        if round.is_multiple_of(20) {
            let before = loads(&world).await;
            let [bob, models] = texts(0);
            mounted.swap(1_000_000 + round, &[bob, format!("{models}nonsense: true\n")]);
            world.signal("HUP");
            world.until("it is refused", async |world| loads(world).await.1 > before.1).await;
            invalid += 1;
            continue;
        }
        // Another one in the middle of it, or so: what was asked for first may be read, in part or not at all. Now and then not, so that
        // each kind comes into force last.
        let mut last = next(&mut mounted);
        world.signal("HUP");
        if !round.is_multiple_of(3) {
            // At any moment of the first reading: no condition to wait for, for nothing tells of it.
            sleep(Duration::from_micros((round as u64 * 397) % 15_000)).await;
            last = next(&mut mounted);
            world.signal("HUP");
        }
        world.until("the last one is in force", async |world| standing(world).await["revision"] == last.as_str()).await;
    }
    over.store(true, Ordering::Relaxed);
    let mut answered = [0, 0];
    while let Some(seen) = callers.join_next().await {
        let seen: [usize; 2] = seen.expect("no request failed");
        answered = [answered[0] + seen[0], answered[1] + seen[1]];
    }
    let (taken, refused) = loads(&world).await;
    let (loaded, faulty) = (events(&world, "policy.loaded"), events(&world, "policy.refused"));
    let (status, entries) = world.stop().await;
    assert_eq!(status.code(), Some(0));
    for event in &loaded {
        let revision = event["policyRevision"].as_str().expect("a revision");
        assert!(versions.contains_key(revision), "half of one version and half of another: {event}");
    }
    for event in &faulty {
        assert_eq!(event["about"]["found"][0]["code"], "unknown-key", "nothing else was ever wrong: {event}");
    }
    let mut told = [0, 0];
    for entry in entries.iter().filter(|entry| entry["kind"] == "audit") {
        let revision = entry["policyRevision"].as_str().expect("a revision");
        let version = versions.get(revision).expect("a version that was in force");
        let allowed = entry["decision"] == "allow";
        assert_eq!(allowed, version.is_multiple_of(2), "the policy that is named did not decide so: {entry}");
        told[usize::from(!allowed)] += 1;
    }
    assert_eq!(told, answered, "each request has its entry");
    assert!(answered.iter().all(|count| *count > 0), "{answered:?}: both kinds of version were asked");
    assert!(taken >= reloads - invalid && refused >= invalid, "{taken} taken, {refused} refused");
    eprintln!(
        "{reloads} reloads, {invalid} of them invalid: {version} versions, {taken} taken, {refused} refused, {answered:?} allowed and denied"
    );
}
