//! Files that cannot be read keep the last good policy in force, are told as what they are, and hinder no later change.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::World;

use super::{events, only, policy_file, put, standing, until_in_force};

/// A further file of the policy.
fn beside(world: &World) -> PathBuf {
    policy_file(world).with_file_name("z.yaml")
}

/// Waits until the files are told as not taken, for a reason in which these words are.
async fn until_refused(world: &mut World, words: &[&str]) {
    world
        .until(&format!("refused: {words:?}"), async |world| {
            let first = standing(world).await["stale"]["first"].to_string();
            words.iter().all(|word| first.contains(word))
        })
        .await;
}

/// Takes the further file away and changes the other one: that is in force, and nothing is stale.
async fn until_well_again(world: &mut World) {
    fs::remove_file(beside(world)).expect("a removed file");
    put(&policy_file(world), &only("gpt-4o"));
    until_in_force(world, &only("gpt-4o")).await;
    world.until("all is well", async |world| standing(world).await["stale"].is_null()).await;
}

#[tokio::test]
async fn a_named_pipe_is_refused_and_stops_nothing() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let made = Command::new("mkfifo").arg(beside(&world)).status().expect("mkfifo");
    assert!(made.success());
    until_refused(&mut world, &["z.yaml", "not a regular file"]).await;
    assert_eq!(world.metric("tollgate_policy_stale").await, "1");
    until_well_again(&mut world).await;
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let before = world.memory("VmHWM");
    let file = fs::File::create(beside(&world)).expect("a file");
    file.set_len(1 << 30).expect("a file of 1 GiB");
    until_refused(&mut world, &["z.yaml", "larger than 1024 KiB"]).await;
    let more = world.memory("VmHWM").saturating_sub(before);
    assert!(more < 128 << 20, "{more} bytes more to find out that a file is too large");
    until_well_again(&mut world).await;
}

#[tokio::test]
async fn a_link_to_nothing_is_told_without_being_asked() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    for (to, words) in [("nowhere", "no such file"), ("z.yaml", "cannot be read")] {
        symlink(to, beside(&world)).expect("a link");
        until_refused(&mut world, &["z.yaml", words]).await;
        fs::remove_file(beside(&world)).expect("a removed link");
        world.until("all is well", async |world| standing(world).await["stale"].is_null()).await;
    }
    // It leads somewhere as soon as there is something.
    symlink("../more", beside(&world)).expect("a link");
    until_refused(&mut world, &["z.yaml", "no such file"]).await;
    fs::write(world.dir.path().join("more"), "version: 1\nmode: shadow\n").expect("a file");
    world.until("it is taken", async |world| standing(world).await["mode"] == "shadow").await;
}

/// A disk or a network file system that fails for a while leaves no trace in what can be seen of a file from outside. The name of a thread
/// is such a file: another text, and nothing else that differs.
#[tokio::test]
async fn what_can_be_read_again_is_taken_by_itself_and_told_once() {
    let mut world = World::with(&only("gpt-4o-mini")).start().await;
    let name = Path::new("/proc").join(fs::read_link("/proc/thread-self").expect("this thread")).join("comm");
    fs::write(&name, [0xff]).expect("a name that is no text");
    symlink(&name, beside(&world)).expect("a link");
    until_refused(&mut world, &["z.yaml", "not text"]).await;
    world
        .until("it is tried again", async |world| {
            world
                .metric("tollgate_policy_loads_total{result=\"refused\"}")
                .await
                .parse::<u32>()
                .is_ok_and(|tries| tries > 2)
        })
        .await;
    assert_eq!(events(&world, "policy.refused").len(), 1, "the same fault is told once");
    fs::write(&name, "version: 1").expect("another name");
    world.until("it is taken", async |world| standing(world).await["stale"].is_null()).await;
    world.until("that is written", async |world| events(world, "policy.loaded").len() == 1).await;
}
