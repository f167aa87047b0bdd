//! A great many random bodies: what Tollgate forwards, Express reads as it was judged, and as it would read the client's own
//! bytes.
//!
//! `TOLLGATE_FUZZ_BODIES` is the number of bodies (20,000), `TOLLGATE_FUZZ_SEED` where chance begins.

use tollgate::librechat::selection::select_turn;

use crate::express::{Express, Session, chat};
use crate::judged::difference;
use crate::number;
use crate::random::Random;
use crate::written::body;

/// Bodies asked about at once.
const BATCH: usize = 512;

/// What is wrong with these bodies: each with what Express and Tollgate read differently.
fn wrong(session: &mut Session, bodies: &[Vec<u8>]) -> (usize, Vec<(Vec<u8>, String)>) {
    let turns: Vec<_> = bodies.iter().filter_map(|body| Some((body, select_turn(body).ok()?))).collect();
    let requests: Vec<_> = turns.iter().flat_map(|(theirs, turn)| [chat(theirs), chat(&turn.body)]).collect();
    let answers = session.ask(&requests);
    let mut wrong = Vec::new();
    for ((body, turn), answers) in turns.iter().zip(answers.chunks(2)) {
        let [theirs, ours] = answers else { panic!("two answers") };
        let told = if theirs.said["body"] != ours.said["body"] || theirs.status != ours.status {
            Some(format!("the client's bytes are {theirs:?}, ours {ours:?}"))
        } else {
            difference(turn, ours)
        };
        wrong.extend(told.map(|told| ((*body).clone(), told)));
    }
    (turns.len(), wrong)
}

/// The shortest body that is still wrong, by leaving out ever smaller pieces.
fn shrunk(session: &mut Session, mut body: Vec<u8>) -> (Vec<u8>, String) {
    let mut size = body.len();
    let mut told = String::new();
    while size > 0 {
        let shorter: Vec<Vec<u8>> =
            (0..body.len().saturating_sub(size - 1)).map(|at| [&body[..at], &body[at + size..]].concat()).collect();
        match wrong(session, &shorter).1.into_iter().next() {
            Some((shorter, why)) => (body, told) = (shorter, why),
            None => size /= 2,
        }
        size = size.min(body.len());
    }
    (body, told)
}

#[test]
fn what_is_forwarded_is_what_was_judged_for_any_body() {
    let Some(express) = Express::start() else { return };
    let mut session = express.session();
    let mut random = Random(number("TOLLGATE_FUZZ_SEED", 0x70_11_6a_7e));
    let count = usize::try_from(number("TOLLGATE_FUZZ_BODIES", 20_000)).expect("a number of bodies");
    let (mut tried, mut forwarded) = (0, 0);
    while tried < count {
        let bodies: Vec<_> = (0..BATCH.min(count - tried)).map(|_| body(&mut random)).collect();
        tried += bodies.len();
        let (some, found) = wrong(&mut session, &bodies);
        forwarded += some;
        if let Some((body, told)) = found.into_iter().next() {
            let (short, why) = shrunk(&mut session, body.clone());
            let (body, short) = (body.escape_ascii(), short.escape_ascii());
            panic!("after {tried} bodies: {body}\n{told}\nin short: {short}\n{why}");
        }
    }
    eprintln!(
        "{tried} bodies: {forwarded} forwarded, read as they were judged; {} refused; 0 differences",
        tried - forwarded
    );
    assert!(forwarded * 4 > tried, "hardly anything was forwarded: {forwarded} of {tried}");
}

/// What two readers of JSON may make different things of is refused, or goes on in the client's own spelling.
#[test]
fn numbers_and_halves_of_characters_are_kept_or_refused() {
    let Some(express) = Express::start() else { return };
    let mut session = express.session();
    for (written, kept) in [
        ("-0", Some("-0")),
        ("-0.0e1", Some("-0")),
        ("9007199254740993", Some("9007199254740992")),
        ("123456789012345678901234567890", Some("1.2345678901234568e+29")),
        ("1.7976931348623157e308", Some("1.7976931348623157e+308")),
        ("5e-324", Some("5e-324")),
        ("1e-400", Some("0")),
        ("0.1000000000000000055511151231257827", Some("0.1")),
        ("1e400", None),
        ("-1e400", None),
        ("1.7976931348623159e308", None),
        (r#""\ud800""#, None),
        (r#""\udc00\ud800""#, None),
        (r#""\ud83d\ude00""#, Some("\"\u{1f600}\"")),
        (r#""\u2028\u007f""#, Some("\"\u{2028}\u{7f}\"")),
    ] {
        let body = format!(r#"{{"endpoint":"openAI","model":"m","x":{written}}}"#);
        match (select_turn(body.as_bytes()), kept) {
            (Ok(turn), Some(kept)) => {
                let answer = session.ask(&[chat(&turn.body)]).remove(0);
                let wanted = format!(r#"{{"endpoint":"openAI","model":"m","x":{kept}}}"#);
                assert_eq!(answer.said["body"].as_str(), Some(wanted.as_str()), "{written}");
            }
            (Err(_), None) => {}
            (judged, _) => panic!("{written}: {judged:?}"),
        }
    }
}
