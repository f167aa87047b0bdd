//! Somebody of the directory: what the policy says about them, how their limits stand, and what LibreChat's own database says.

use serde_json::json;

use super::beside::Beside;
use super::counters::Standing;
use super::room::{self, smallest};
use super::{Args, verdict};
use crate::cli::check::Format;
use crate::cli::exit::Exit;
use crate::cli::record::names::People;
use crate::cli::record::place::Place;
use crate::cli::record::{Desk, Failure};
use crate::identity::caller_of;
use crate::policy::explain::{ModelAnswer, explain};
use crate::policy::{Mode, Snapshot};
use crate::report::quoted;
use crate::store::Person;

/// Looks somebody up, and explains.
pub(super) async fn run(args: &Args, policy: &Snapshot, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let name = args.user.as_deref().unwrap_or_default();
    let people = Place::read(&args.place, desk)?.people().await.map_err(with_hint)?;
    let id = people.find(name).await?;
    let person = people.person(&id).await?.ok_or_else(|| nobody(&id))?;
    let account = account(&people, &person)?;
    let caller = caller_of(person);
    let explanation = explain(policy, &caller);
    let answer = args.answer(policy, &caller);
    let standing = Standing::of(&args.flags(), policy, &caller, desk).await?;
    let full = args.target().map(|target| standing.full(&smallest(policy, &caller, target))).unwrap_or_default();
    // What is denied has no need of room.
    let full = if answer.as_ref().is_some_and(ModelAnswer::is_denied) { Vec::new() } else { full };
    let beside = Beside::of(args.librechat.as_deref(), &people, desk.clock.now(), policy, &caller).await?;
    let claims = policy.maps_claims();
    match args.format {
        Format::Human => {
            writeln!(desk.out, "id        {}", caller.user)?;
            if let Some(account) = account.iter().chain(&beside.account).next() {
                writeln!(desk.out, "account   {account}")?;
            }
            desk.out.write_all(explanation.to_table().as_bytes())?;
            if claims {
                writeln!(desk.out, "\n{CLAIMS}")?;
            }
            standing.human(desk)?;
            beside.human(desk)?;
            if let Some(answer) = &answer {
                write!(desk.out, "\n{}{}", answer.to_lines(), room::lines(&full))?;
            }
        }
        Format::Json => {
            let mut object = serde_json::to_value(&explanation).map_err(std::io::Error::from)?;
            if let Some(object) = object.as_object_mut() {
                object.insert("id".to_owned(), json!(caller.user));
                object.insert("account".to_owned(), json!(account.or_else(|| beside.account.clone())));
                object.insert("claims_unknown".to_owned(), json!(claims));
                object.insert("use".to_owned(), standing.json());
                object.insert("librechat".to_owned(), beside.json());
                object.insert("answer".to_owned(), json!(answer));
                object.insert("no_room".to_owned(), json!(full));
            }
            writeln!(desk.out, "{object:#}")?;
        }
    }
    let refused = full.iter().any(|full| full.mode == Mode::Enforce.as_str());
    Ok(match standing.is_known() {
        true if refused => Exit::Denied,
        true => verdict(answer.as_ref()),
        false => Exit::Failed,
    })
}

/// What a mapping would make of somebody is in tokens, and in no directory.
const CLAIMS: &str = "The policy maps claims of an identity provider to roles and groups. Claims are in nobody's record: this is what holds \
                      with the directory's role and groups alone (--claims FILE shows the rest).";

/// Where the account is, as the embedded directory knows it.
fn account(people: &People, person: &Person) -> Result<Option<String>, Failure> {
    let People::Embedded(embedded) = people else { return Ok(None) };
    let account = embedded.account(&person.id)?;
    Ok(account.map(|account| format!("{} of {}", account.subject, account.issuer)))
}

fn nobody(id: &str) -> Failure {
    Failure::Failed(format!("nobody in the directory has the id {}", quoted(id)))
}

/// Who only wanted to describe somebody is told how.
fn with_hint(failure: Failure) -> Failure {
    match failure {
        Failure::Failed(why) => {
            Failure::Failed(format!("{why}; or describe somebody with --role and --group, and nothing is looked up"))
        }
        other => other,
    }
}
