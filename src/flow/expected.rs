//! What a request is thought to take before it runs, where a limit counts tokens or money: its own text, what was said before it,
//! the instructions of agents, and an allowance for the answer. [`super::estimate`] has the rules; here it is asked for.

use http::StatusCode;
use http::request::Parts;
use tokio::task::spawn_blocking;

use super::Spine;
use super::charges::Runs;
use super::estimate::{Given, briefs, estimate};
use super::passage::Upstream;
use super::refusal::Refusal;
use super::turns::{Alone, Spent};
use super::visit::Visit;
use crate::identity::Bearer;
use crate::librechat::prompt::history::History;
use crate::librechat::prompt::{Brief, Prompt, Thread};
use crate::librechat::running::messages_of;
use crate::librechat::selection::TurnRequest;
use crate::policy::{Caller, Target};

/// Bytes of text that are counted at once, between two other things. Counting more takes a millisecond and is done elsewhere.
const AT_ONCE: usize = 32 * 1024;

/// Whose request it is, and what kind of.
#[derive(Clone, Copy)]
pub(super) struct Asking<'a> {
    /// Its head, as it goes to LibreChat.
    pub(super) head: &'a Parts,
    pub(super) caller: &'a Caller,
    pub(super) bearer: &'a Bearer,
    /// What runs in the answer itself; none for a chat turn.
    pub(super) run: Option<Runs>,
    /// That no other turn goes to its conversation meanwhile; none where that is not asked for.
    pub(super) alone: Option<&'a Alone>,
}

/// What is known of a request before it runs.
pub(super) struct Basis {
    pub(super) prompt: Prompt,
    /// What was said before it.
    pub(super) history: History,
    targets: Vec<Target>,
    briefs: Vec<Brief>,
}

impl<U: Upstream> Spine<U> {
    /// Finds out what is known of a request before it runs.
    pub(super) async fn basis(
        &self,
        visit: &Visit<'_>,
        asking: &Asking<'_>,
        asked: &TurnRequest,
    ) -> Result<Basis, Refusal> {
        let mut prompt = match asking.run {
            Some(Runs::Agent) => Prompt::of_run(&asked.body)?,
            Some(Runs::Assistant) | None => Prompt::of_turn(&asked.body)?,
        };
        if asked.spec.is_some() {
            // The spec may bring bounds of its own in place of those in the body.
            (prompt.output, prompt.context) = (None, None);
        }
        let history = match &prompt.thread {
            Some(thread) => self.said_before(visit, asking, thread).await?,
            None => History::default(),
        };
        let briefs = match &self.parts.agents {
            Some(agents) => briefs(&**agents, &asked.targets).await.map_err(|error| Refusal::uncounted(&error))?,
            None => Vec::new(),
        };
        Ok(Basis { prompt, history, targets: asked.targets.clone(), briefs })
    }

    /// The messages of a conversation: by LibreChat's database, or by LibreChat itself where that is not configured.
    async fn said_before(&self, visit: &Visit<'_>, asking: &Asking<'_>, thread: &Thread) -> Result<History, Refusal> {
        if let Some(accounts) = &self.parts.accounts {
            let page = accounts.messages(&asking.caller.user, &thread.conversation).await;
            let page = page.map_err(|error| Refusal::uncounted(&error))?;
            let mut history = History::of_documents(&page.documents);
            history.cut = page.cut;
            return Ok(history);
        }
        // Every client of LibreChat's has ids that can be asked about. Others may not make a conversation look short.
        let target = messages_of(&thread.conversation)
            .ok_or_else(|| Refusal::uncounted("the messages of a conversation with such an id cannot be asked for"))?;
        match self.ask_for(visit, asking.head, target, asking.bearer).await? {
            Ok(body) => Ok(History::of_answer(&body)?),
            // It is nobody's yet, or somebody else's: LibreChat gives the model none of it.
            Err(StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) => Ok(History::default()),
            Err(status) => Err(Refusal::Unfiltered(format!("LibreChat answered {status} about a conversation"))),
        }
    }
}

// === impl Basis ===

impl Basis {
    /// Asks about what is given to models.
    pub(super) fn with<T>(&self, ask: impl FnOnce(&Given<'_>) -> T) -> T {
        let branch = match &self.prompt.thread {
            Some(thread) => self.history.branch(thread.head.as_deref()),
            None => Vec::new(),
        };
        ask(&Given { prompt: &self.prompt, history: &branch, targets: &self.targets, briefs: &self.briefs })
    }

    /// What each model is likely to take, with this allowance for each answer.
    ///
    /// # Errors
    /// [`Refusal::Uncounted`] where the machine has no thread left to count a long text.
    pub(super) async fn likely(self, allowance: u64) -> Result<Vec<Spent>, Refusal> {
        let long = self.bytes() > AT_ONCE;
        let count = move || {
            let estimated = self.with(|given| estimate(given, allowance)).into_iter();
            estimated.map(|one| Spent { endpoint: one.endpoint, model: one.model, tokens: one.tokens }).collect()
        };
        if long {
            return spawn_blocking(count).await.map_err(|_| Refusal::uncounted("a long text could not be counted"));
        }
        Ok(count())
    }

    /// About how many bytes of text have to be counted.
    fn bytes(&self) -> usize {
        let prompt = [&self.prompt.text, &self.prompt.edited, &self.prompt.instructions].map(String::len);
        let said = self.with(|given| {
            given.history.iter().filter(|said| said.tokens.is_none()).fold(0_usize, |sum, said| sum + said.text.len())
        });
        self.briefs.iter().map(|brief| brief.instructions.len()).chain(prompt).fold(said, usize::saturating_add)
    }
}
