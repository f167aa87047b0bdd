//! A hundred and ten ways around a policy, by number (SECURITY.md, section 2): each is refused with the rule that says why, or
//! LibreChat acts on exactly what was decided.
//!
//! The tables are in `attempts/`. What depends on parts of LibreChat that cannot be judged pair by pair yet is in `features.rs`.

mod bodies;
mod encodings;
mod features;
mod requests;

use std::collections::BTreeMap;

use tollgate::demo::{ModelSpec, ModelSpecs, StandInOptions};

use super::{Case, Want, assert_none, differences, lab};
use crate::POLICY;
use crate::world::World;

/// Every number that there is.
const NUMBERS: std::ops::RangeInclusive<u8> = 1..=110;

/// The rule that keeps users from OpenAI's other models.
const LIST: &str = "roles.USER.endpoints.openAI.models";
/// The model that users may have.
const MINI: &[&str] = &["openAI|gpt-4o-mini"];
const CHEAP: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o-mini"}"#;
const DEAR: &str = r#"{"text":"hi","endpoint":"openAI","model":"gpt-4o"}"#;

/// An attempt, or a neighbour of it: the same number may come often.
type Add<'a> = dyn FnMut(u8, &str, Vec<u8>, Want) + 'a;

/// A cheap turn with more members.
fn cheap_with(more: &str) -> Vec<u8> {
    format!("{},{more}}}", CHEAP.trim_end_matches('}')).into_bytes()
}

/// What a table holds: numbers, and cases named after them.
fn cases(fill: impl Fn(&mut Add<'_>)) -> (Vec<u8>, Vec<Case>) {
    let (mut numbers, mut cases) = (Vec::new(), Vec::new());
    fill(&mut |number, name, bytes, want| {
        numbers.push(number);
        cases.push(Case { name: format!("{number} {name}"), bytes, want });
    });
    (numbers, cases)
}

fn everywhere(add: &mut Add<'_>) {
    bodies::fill(add);
    encodings::fill(add);
    requests::fill(add);
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    cases(everywhere).1.into_iter().chain(cases(features::fill).1).collect()
}

/// A LibreChat with agents and with model specs, which it does not enforce.
fn lab_with_specs(options: &mut StandInOptions) {
    lab(options);
    let spec = |name: &str, model: &str| ModelSpec {
        name: name.to_owned(),
        label: name.to_owned(),
        endpoint: "openAI".to_owned(),
        model: model.to_owned(),
        ..ModelSpec::default()
    };
    let list = vec![spec("quick", "gpt-4o-mini"), spec("dear", "gpt-4o")];
    options.model_specs = Some(ModelSpecs { enforce: false, prioritize: false, list });
}

#[tokio::test]
async fn none_of_a_hundred_and_ten_attempts_gets_past_the_policy() {
    let (_, cases) = cases(everywhere);
    let mut world = World::with(POLICY).librechat(lab).start().await;
    assert_none(&differences(&mut world, "Bob", &cases).await);
}

#[tokio::test]
async fn no_attempt_by_specs_agents_or_cookies_gets_past_the_policy() {
    let (_, cases) = cases(features::fill);
    let mut world = World::with(POLICY).librechat(lab_with_specs).start().await;
    assert_none(&differences(&mut world, "Bob", &cases).await);
}

#[test]
fn every_attempt_is_made() {
    let mut made: BTreeMap<u8, usize> = NUMBERS.map(|number| (number, 0)).collect();
    for number in cases(everywhere).0.into_iter().chain(cases(features::fill).0) {
        *made.get_mut(&number).unwrap_or_else(|| panic!("there is no attempt {number}")) += 1;
    }
    let missing: Vec<_> = made.iter().filter(|(_, times)| **times == 0).map(|(number, _)| number).collect();
    assert!(missing.is_empty(), "no test makes these attempts: {missing:?}");
    assert_eq!(made.len(), 110);
}
