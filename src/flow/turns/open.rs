//! One open turn: what it began with, what was seen of it, and what is to be done with it next.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use uuid::Uuid;

use super::claim::Spent;
use super::diary::{Begun, Billed, Started};
use super::pace::Pace;
use super::progress::Progress;
use super::rows::RowsOf;
use super::rule::{End, Seen};
use crate::identity::Bearer;
use crate::meter::{Meter, Receipt};
use crate::policy::{Caller, Snapshot, Target};
use crate::record::entry::TurnOutcome;
use crate::store::counters::LATE;

/// An open turn.
pub(super) struct Turn {
    /// What does not change.
    facts: Facts,
    state: Mutex<State>,
}

/// What is known of a turn from its beginning, and does not change.
pub(super) struct Facts {
    /// The id of its usage entry.
    pub(super) id: Uuid,
    /// What is known from the beginning.
    pub(super) begun: Begun,
    /// The policy that decided.
    pub(super) policy: Arc<Snapshot>,
    /// Who asked.
    pub(super) caller: Arc<Caller>,
    /// What was judged.
    pub(super) targets: Vec<Target>,
    /// By what LibreChat may be asked about it at first; none where that is not known any more.
    pub(super) bearer: Option<Arc<Bearer>>,
    /// When its request arrived; none where that was before this process began.
    pub(super) arrived: Option<Instant>,
}

/// What changes.
struct State {
    started: Option<Started>,
    receipts: Receipts,
    /// What those see who read the stream now.
    readers: Vec<Arc<Mutex<Progress>>>,
    /// The furthest of what others saw.
    furthest: Progress,
    /// When it was opened.
    opened: Instant,
    /// When the first text of a model passed, once there is one; none in it where nobody saw it pass.
    first: Option<Option<Instant>>,
    /// When LibreChat may be asked next; only looked at while nobody reads.
    look: Instant,
    /// How often it was asked since somebody read, or since the turn began.
    asked: u32,
    /// When it was last known to run.
    alive: Instant,
    /// Nobody's token is known to ask LibreChat with, or it is not to be asked.
    silent: bool,
    /// LibreChat does not take the token: it has ended, perhaps.
    mute: bool,
    /// Another turn has taken its name at LibreChat: what that says of the name says nothing of this one.
    superseded: bool,
    /// Its user has stopped something since it was last known to run.
    doubted: bool,
    /// Its places are given back, or about to be.
    vacant: bool,
    /// How often its stream was opened.
    reads: u32,
    /// The provider's own word, where the answer had it.
    told: Option<Vec<Spent>>,
    /// All that LibreChat keeps of its answer was read.
    kept: bool,
    /// What may be its answer among what LibreChat keeps.
    answers: Vec<Box<str>>,
    /// Calls of models beside it that have rows of their own, of an assistant's run.
    beside: usize,
    /// LibreChat's rows, as far as they were found.
    rows: RowsOf,
    phase: Phase,
}

/// What was taken.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    pub(super) main: Option<Receipt>,
    pub(super) shadow: Option<Receipt>,
}

/// How far it is.
#[derive(Clone, Debug)]
enum Phase {
    Running {
        rows: Rows,
    },
    Ended {
        end: End,
        since: Instant,
        rows: Rows,
    },
    /// Nothing more is waited for.
    Dropped,
    Billed {
        billed: Billed,
        next: Instant,
        pause: Duration,
    },
    Over,
}

/// How LibreChat's rows are asked for.
#[derive(Clone, Debug)]
struct Rows {
    next: Instant,
    pause: Duration,
    /// How many rows were found last time.
    found: usize,
}

/// What is to be done with a turn now.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing yet.
    Wait,
    /// LibreChat's rows are to be looked for.
    Rows,
    /// It is to be charged for by what is known.
    Bill(End),
    /// What is charged is to be put on the counters.
    Settle(Billed),
}

/// The pauses between two looks for rows: of a turn that has ended, the first and the longest; of one that runs.
const ROWS: (Duration, Duration, Duration) =
    (Duration::from_millis(150), Duration::from_secs(2), Duration::from_secs(5));

/// The longest that a turn is followed, whatever is heard of it: until then its hold can be settled, though it may have expired.
const LONGEST: Duration = LATE;

/// The pauses between two tries to put a charge on the counters.
const TRIES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

// === impl State ===

impl State {
    /// LibreChat was asked about it now.
    fn asked_at(&mut self, now: Instant, pace: &Pace) {
        self.asked = self.asked.saturating_add(1);
        self.look = now + pace.pause(self.asked);
    }

    /// Whether LibreChat can be asked about it.
    fn askable(&self) -> bool {
        !self.silent && !self.mute && !self.superseded
    }

    /// It is over. Whether that is news.
    fn ended(&mut self, end: End, now: Instant) -> bool {
        match &mut self.phase {
            Phase::Running { .. } => {
                let rows = Rows { next: now, pause: ROWS.0, found: 0 };
                self.phase = Phase::Ended { end, since: now, rows };
                true
            }
            Phase::Ended { end: earlier, .. } if *earlier == End::Gone && end != End::Gone => {
                *earlier = end;
                true
            }
            Phase::Ended { .. } | Phase::Dropped | Phase::Billed { .. } | Phase::Over => false,
        }
    }
}

// === impl Turn ===

impl Deref for Turn {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.facts
    }
}

impl Turn {
    pub(super) fn new(facts: Facts, receipts: Receipts, now: Instant) -> Self {
        let rows = Rows { next: now, pause: ROWS.2, found: 0 };
        let state = State {
            started: None,
            receipts,
            readers: Vec::new(),
            furthest: Progress::default(),
            opened: now,
            first: None,
            look: now,
            asked: 0,
            alive: now,
            // For the sake of an entry alone LibreChat is not asked anything more than it would be.
            silent: facts.bearer.is_none() || !facts.begun.holds(),
            mute: false,
            superseded: false,
            doubted: false,
            vacant: false,
            reads: 0,
            told: None,
            kept: false,
            answers: Vec::new(),
            beside: 0,
            rows: RowsOf::default(),
            phase: Phase::Running { rows },
        };
        Self { facts, state: Mutex::new(state) }
    }

    /// The models that it was thought to run.
    pub(super) fn runs(&self) -> &[Spent] {
        &self.begun.estimate.runs
    }

    /// The stream's id, which is the conversation's; none where the answer is the run itself, or it is not known.
    pub(super) fn stream(&self) -> Option<Arc<str>> {
        self.state.lock().started.as_ref().and_then(|started| started.stream.clone())
    }

    /// As far as LibreChat's answer to the request is known.
    pub(super) fn started(&self) -> Option<Started> {
        self.state.lock().started.clone()
    }

    /// LibreChat took it.
    pub(super) fn start(&self, started: Started, now: Instant, pace: &Pace) {
        let mut state = self.state.lock();
        state.started = Some(started);
        (state.asked, state.look) = (0, now + pace.pause(0));
    }

    /// Its conversation has been told while it runs: how it has started with that. None where it was known, or it has not started.
    pub(super) fn named(&self, conversation: &Arc<str>) -> Option<Started> {
        let mut state = self.state.lock();
        let started = state.started.as_mut().filter(|started| started.stream.is_none())?;
        started.stream = Some(Arc::clone(conversation));
        Some(started.clone())
    }

    /// What was found to be charged for it before this process began.
    pub(super) fn was_billed(&self, billed: Billed, now: Instant) {
        self.state.lock().phase = Phase::Billed { billed, next: now, pause: TRIES.0 };
    }

    /// Somebody reads its stream.
    pub(super) fn read(&self) -> Arc<Mutex<Progress>> {
        let reader = Arc::new(Mutex::new(Progress::default()));
        let mut state = self.state.lock();
        state.reads = state.reads.saturating_add(1);
        state.readers.push(Arc::clone(&reader));
        reader
    }

    /// The first text of a model passes to a reader now; none where it was written before anybody read. Who says so first is believed.
    pub(super) fn writes(&self, now: Option<Instant>) {
        self.state.lock().first.get_or_insert(now);
    }

    /// Milliseconds from its arrival to the first text of a model, and to this end of it, as far as they are known.
    pub(super) fn times(&self, end: End) -> (Option<f64>, Option<f64>) {
        let Some(arrived) = self.arrived else { return (None, None) };
        let after = |at: Instant| at.saturating_duration_since(arrived).as_secs_f64() * 1000.0;
        let state = self.state.lock();
        let over = match state.phase {
            Phase::Ended { since, .. } if end.was_seen() => Some(since),
            _ => None,
        };
        (state.first.flatten().map(after), over.map(after))
    }

    /// Whether somebody else has read its stream, too.
    pub(super) fn was_read_before(&self) -> bool {
        self.state.lock().reads > 1
    }

    /// The provider has told what was used, in the answer itself.
    pub(super) fn was_told(&self, runs: Vec<Spent>) {
        self.state.lock().told = Some(runs);
    }

    /// What the provider has told.
    pub(super) fn told(&self) -> Option<Vec<Spent>> {
        self.state.lock().told.clone()
    }

    /// Models were called so often beside an assistant's run.
    pub(super) fn calls_beside(&self, calls: usize) {
        if calls > 0 {
            let mut state = self.state.lock();
            state.beside = state.beside.saturating_add(calls);
        }
    }

    /// How many calls an assistant's run has rows of: itself, and those beside it.
    pub(super) fn calls_due(&self) -> usize {
        self.state.lock().beside.saturating_add(1)
    }

    /// There is no room for it any more: it is settled now, by what is known.
    pub(super) fn hurry(&self, now: Instant) {
        let mut state = self.state.lock();
        if let Phase::Running { .. } | Phase::Ended { .. } = &state.phase {
            state.phase = Phase::Dropped;
        }
        state.look = now;
    }

    /// Somebody has stopped reading, who has seen it end so, or has ended it with that. Both in one step: what nobody reads and nobody
    /// can be asked about would be taken for lost in between. Whether the end is news, as in [`Turn::ended`].
    pub(super) fn unread(&self, reader: &Arc<Mutex<Progress>>, end: Option<End>, now: Instant, pace: &Pace) -> bool {
        let mut state = self.state.lock();
        state.readers.retain(|other| !Arc::ptr_eq(other, reader));
        let progress = std::mem::take(&mut *reader.lock());
        state.furthest.or_further(progress);
        (state.alive, state.asked, state.look) = (now, 0, now + pace.pause(0));
        end.is_some_and(|end| state.ended(end, now))
    }

    /// LibreChat has said how far it is.
    pub(super) fn is_at(&self, progress: Progress, now: Instant, pace: &Pace) {
        let mut state = self.state.lock();
        if progress.written() > 0 {
            state.first.get_or_insert(None);
        }
        state.furthest.or_further(progress);
        (state.alive, state.doubted) = (now, false);
        state.asked_at(now, pace);
    }

    /// LibreChat says that nothing runs under its name; what was `kept` of it, where that is known. Of a turn whose name another one has
    /// taken that says nothing. Whether that is news, as in [`Turn::ended`].
    pub(super) fn is_over_at_librechat(&self, kept: Option<Progress>, end: End, now: Instant) -> bool {
        let mut state = self.state.lock();
        if state.superseded {
            return false;
        }
        if let Some(progress) = kept {
            state.furthest.or_kept(progress);
        }
        drop(state);
        self.ended(end, now)
    }

    /// Another turn has taken its name at LibreChat. It is followed by what readers see of it and by rows, else until nothing has been
    /// heard of it for too long.
    pub(super) fn supersede(&self) {
        self.state.lock().superseded = true;
    }

    /// There is a token that LibreChat has not refused.
    pub(super) fn may_be_asked(&self) {
        let mut state = self.state.lock();
        state.mute = false;
        state.silent &= !self.begun.holds();
    }

    /// Its user has just stopped something: it is asked about at once, where nobody reads it, and is not believed to run.
    pub(super) fn may_be_stopped(&self, now: Instant) {
        let mut state = self.state.lock();
        (state.look, state.doubted) = (now, true);
    }

    /// Whether its user has stopped something since it was last known to run.
    pub(super) fn is_doubted(&self) -> bool {
        let state = self.state.lock();
        state.doubted && matches!(state.phase, Phase::Running { .. })
    }

    /// Whether LibreChat is to be asked how far it is.
    pub(super) fn is_to_be_asked(&self, now: Instant) -> bool {
        let state = self.state.lock();
        matches!(state.phase, Phase::Running { .. }) && state.readers.is_empty() && now >= state.look && state.askable()
    }

    /// Whether it runs, without asking: somebody reads it and nobody has just stopped anything, or LibreChat has just been sent it, has not answered, and may be about to
    /// begin it.
    pub(super) fn runs_for_sure(&self, now: Instant, pace: &Pace) -> bool {
        let state = self.state.lock();
        let answered = state.started.as_ref().is_some_and(|started| started.outcome == TurnOutcome::Started);
        (!state.readers.is_empty() && !state.doubted) || (!answered && now < state.opened + pace.look)
    }

    /// LibreChat could not be asked, now or (`mute`) any more.
    pub(super) fn unasked(&self, mute: bool, now: Instant, pace: &Pace) {
        let mut state = self.state.lock();
        state.mute |= mute;
        state.asked_at(now, pace);
    }

    /// It is over. Only the first one to say so is believed, unless he did not know how it ended. Whether that is news.
    pub(super) fn ended(&self, end: End, now: Instant) -> bool {
        self.state.lock().ended(end, now)
    }

    /// Its places are given back, in the background; the rest of what was taken stays taken until it is settled.
    pub(super) fn vacate(&self, meter: &Meter) {
        let mut state = self.state.lock();
        state.vacant = true;
        let Receipts { main, shadow } = &state.receipts;
        for (receipt, hold) in [(main, &self.begun.hold), (shadow, &self.begun.shadow)] {
            match (receipt, hold) {
                (Some(receipt), _) => receipt.vacate(),
                (None, Some(hold)) => meter.vacate(hold),
                (None, None) => {}
            }
        }
    }

    /// Whether its places are given back, or about to be.
    pub(super) fn is_vacant(&self) -> bool {
        self.state.lock().vacant
    }

    /// Whether it is known to be over.
    pub(super) fn is_over(&self) -> bool {
        !matches!(self.state.lock().phase, Phase::Running { .. })
    }

    /// Whether its rows may be there and are waited for: nobody reads it any more, and it is not charged for. For how long it has
    /// ended, where that is known.
    pub(super) fn awaits_rows(&self, now: Instant) -> Option<Option<Duration>> {
        let state = self.state.lock();
        match &state.phase {
            Phase::Ended { since, .. } => Some(Some(now.saturating_duration_since(*since))),
            Phase::Running { .. } if state.readers.is_empty() => Some(None),
            Phase::Running { .. } | Phase::Dropped | Phase::Billed { .. } | Phase::Over => None,
        }
    }

    /// What is to be done now. `books` says whether LibreChat's rows can be read; `last` that there is no later.
    pub(super) fn next(&self, now: Instant, pace: &Pace, books: bool, last: bool) -> Next {
        let mut state = self.state.lock();
        let (opened, alive, look, read) = (state.opened, state.alive, state.look, !state.readers.is_empty());
        let (silent, askable) = (state.silent, state.askable());
        let named = state.started.as_ref().is_some_and(|started| started.stream.is_some());
        match &mut state.phase {
            Phase::Over => Next::Wait,
            Phase::Dropped => Next::Bill(End::Lost),
            Phase::Billed { billed, next, pause } => {
                if now < *next && !last {
                    return Next::Wait;
                }
                (*next, *pause) = (now + *pause, (*pause * 2).min(TRIES.1));
                Next::Settle(billed.clone())
            }
            Phase::Ended { end, since, rows } => {
                let waits = if *end == End::Aborted { pace.rows / 4 } else { pace.rows };
                // Without a name, rows are found by the id of the answer; they are needed where this tells one sum for several models.
                let named = named || self.runs_several();
                if !books || !named || now >= *since + waits || last {
                    return Next::Bill(*end);
                }
                if now < rows.next {
                    return Next::Wait;
                }
                (rows.next, rows.pause) = (now + rows.pause, (rows.pause * 2).min(ROWS.1));
                Next::Rows
            }
            Phase::Running { rows } => {
                let named_in_books = books && named;
                // Nobody can say any more how it goes on.
                let blind = silent && !read && !named_in_books;
                let forgotten = !read && now >= alive + pace.open;
                if blind || forgotten || now >= opened + LONGEST {
                    return Next::Bill(End::Lost);
                }
                // Who asks LibreChat finds those that it can be asked about.
                if read || now < look || askable || !named_in_books || now < rows.next {
                    return Next::Wait;
                }
                rows.next = now + rows.pause.min(pace.rows);
                Next::Rows
            }
        }
    }

    /// Its rows were not looked for, as others come first: they are soon.
    pub(super) fn look_soon(&self, now: Instant) {
        if let Phase::Ended { rows, .. } = &mut self.state.lock().phase {
            (rows.next, rows.pause) = (now + ROWS.0, ROWS.0);
        }
    }

    /// Whether nobody here has heard how it ended, so that LibreChat may keep more of its answer than was seen.
    pub(super) fn is_unheard(&self) -> bool {
        let state = self.state.lock();
        let unheard = match &state.phase {
            Phase::Running { .. } | Phase::Ended { end: End::Gone, .. } => true,
            // Somebody has heard it, in a Tollgate that was here before.
            Phase::Ended { .. } => state.furthest.response.is_none() && state.readers.is_empty(),
            Phase::Dropped | Phase::Billed { .. } | Phase::Over => false,
        };
        unheard && !state.kept && !self.begun.assistant
    }

    /// LibreChat keeps this of its answer, which is one of these; all of it, where that is `whole`.
    pub(super) fn is_kept(&self, progress: Progress, answers: Vec<Box<str>>, whole: bool) {
        let mut state = self.state.lock();
        (state.kept, state.answers) = (whole, answers);
        state.furthest.or_kept(progress);
    }

    /// Whether LibreChat keeps its answer as one that was finished.
    pub(super) fn is_kept_whole(&self) -> bool {
        self.state.lock().kept
    }

    /// What may be its answer, as far as that was looked for.
    pub(super) fn answers(&self) -> Vec<Box<str>> {
        self.state.lock().answers.clone()
    }

    /// LibreChat's rows were looked for. How it ended, if they are all there: nothing new has come since the last look.
    pub(super) fn rows(&self, rows: RowsOf) -> Option<End> {
        let mut state = self.state.lock();
        // A title is written for what was not stopped and has not failed, some seconds later.
        let (end, titled, looked) = match &mut state.phase {
            Phase::Ended { end, rows, .. } => (*end, !matches!(end, End::Finished | End::Gone), rows),
            // Rows are written when a turn is over.
            Phase::Running { rows } => (End::Gone, true, rows),
            Phase::Dropped | Phase::Billed { .. } | Phase::Over => return None,
        };
        let complete = rows.complete && rows.all && (rows.titled || titled) && rows.ids.len() == looked.found;
        looked.found = rows.ids.len();
        state.rows = rows;
        complete.then_some(end)
    }

    /// LibreChat's rows about it, as many as there were when they were last looked for.
    pub(super) fn take_rows(&self) -> RowsOf {
        std::mem::take(&mut self.state.lock().rows)
    }

    /// The furthest that anybody saw.
    pub(super) fn seen(&self) -> Seen {
        let mut state = self.state.lock();
        let State { readers, furthest, .. } = &mut *state;
        let mut best = furthest.seen(self.runs(), &self.policy);
        let mut most = furthest.written();
        for reader in readers {
            let reader = reader.lock();
            if reader.written() > most || !best.anything {
                most = reader.written();
                let input = best.input;
                best = reader.seen(self.runs(), &self.policy);
                best.input = best.input.or(input);
            }
        }
        best
    }

    /// How many calls of models were seen, at least.
    pub(super) fn calls_seen(&self) -> usize {
        let state = self.state.lock();
        let read = state.readers.iter().map(|reader| reader.lock().calls());
        read.fold(state.furthest.calls(), usize::max)
    }

    /// The id of its response, as far as somebody saw it.
    pub(super) fn response(&self) -> Option<Box<str>> {
        let state = self.state.lock();
        let read = || state.readers.iter().find_map(|reader| reader.lock().response.clone());
        state.furthest.response.clone().or_else(read)
    }

    /// It is charged for: from here on this is put on the counters.
    pub(super) fn bill(&self, billed: Billed, now: Instant) {
        self.state.lock().phase = Phase::Billed { billed, next: now, pause: TRIES.0 };
    }

    /// What was taken, for whoever settles it.
    pub(super) fn receipts(&self) -> Receipts {
        std::mem::take(&mut self.state.lock().receipts)
    }

    /// It is settled.
    pub(super) fn close(&self) {
        self.state.lock().phase = Phase::Over;
    }
}

#[cfg(test)]
mod tests;
