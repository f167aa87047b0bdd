//! What LibreChat itself says, beside the policy: the permissions of the role, the settings that are laid over for somebody, what endpoints
//! offer by these or by a `librechat.yaml`, and the balance. Read, and never written.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::cli::record::names::People;
use crate::cli::record::plain::plain;
use crate::cli::record::table::{Side, Table};
use crate::cli::record::{Desk, Failure};
use crate::librechat::balance::{Balance, Settings};
use crate::librechat::own_word::{AGENTS, MCP_SERVERS, Offer, Override, Permission, REMOTE_AGENTS, TOOLS, offers};
use crate::policy::explain::difference::Fate;
use crate::policy::explain::{Effect, Subject, explain};
use crate::policy::{Caller, Mode, Snapshot, Surface, Target, Tool};
use crate::store::mongo::OwnWord;

/// What nobody can see from outside.
const UNSEEN: &str = "Not seen here: what LibreChat takes from its environment and its librechat.yaml (--librechat FILE reads one), which \
                      models its providers list, and who shares which agent with whom.";

/// What LibreChat says.
#[derive(Default)]
pub(super) struct Beside {
    /// The account at an identity provider.
    pub(super) account: Option<String>,
    /// Whether LibreChat's database was asked.
    asked: bool,
    /// The role has no document in LibreChat's database.
    no_role: bool,
    rows: Vec<Row>,
    overrides: Vec<Override>,
    offered: Vec<Offered>,
    /// Credits that can be spent; a reason where they cannot be read; none where there is no balance.
    balance: Option<Result<u64, String>>,
}

/// A part of LibreChat, by both.
#[derive(Serialize)]
struct Row {
    what: String,
    policy: Fate,
    rule: String,
    /// None where LibreChat's role does not say.
    librechat: Option<bool>,
    permission: String,
}

/// What an endpoint offers, by the policy.
#[derive(Serialize)]
struct Offered {
    #[serde(flatten)]
    offer: Offer,
    /// Where LibreChat has it from.
    from: String,
    /// Those of the models that the policy denies.
    denied: Vec<String>,
}

// === impl Beside ===

impl Beside {
    /// Asks LibreChat's database where it is the directory, and reads the settings that were handed in.
    pub(super) async fn of(
        yaml: Option<&Path>,
        people: &People,
        now: Timestamp,
        policy: &Snapshot,
        caller: &Caller,
    ) -> Result<Self, Failure> {
        let mut beside = Self::default();
        if let Some(file) = yaml {
            let settings = settings(file)?;
            beside.offer(offers(&settings), &file.display().to_string(), policy, caller);
        }
        if let People::LibreChat(mongo) = people
            && let Some(word) = mongo.own_word(&caller.user).await?
        {
            beside.hear(&word, now, policy, caller);
        }
        Ok(beside)
    }

    fn hear(&mut self, word: &OwnWord, now: Timestamp, policy: &Snapshot, caller: &Caller) {
        self.asked = true;
        self.account = account(&word.user);
        self.no_role = word.roles.is_empty();
        self.rows = rows(&word.roles, policy, caller);
        self.overrides = word.overrides.iter().map(Override::read).collect();
        for laid in self.overrides.clone() {
            self.offer(laid.offers, &laid.principal, policy, caller);
        }
        self.balance = match word.balances.as_slice() {
            [] => None,
            [only] => Some(
                Balance::read(Some(only), &Settings::checked())
                    .map(|balance| balance.spendable(0, now))
                    .map_err(|error| error.to_string()),
            ),
            _ => Some(Err("LibreChat has several balances of this user".to_owned())),
        };
    }

    /// What endpoints offer; what came before of the same endpoint is laid over.
    fn offer(&mut self, offers: Vec<Offer>, from: &str, policy: &Snapshot, caller: &Caller) {
        for offer in offers {
            let model = |model: &String| Target::Model {
                endpoint: offer.endpoint.as_str().into(),
                model: model.as_str().into(),
            };
            let denied = |name: &&String| {
                offer.endpoint != "agents" && policy.foresee_run(caller, &[model(name)]).0 != Fate::Allow
            };
            let denied = offer.models.iter().filter(denied).cloned().collect();
            self.offered.retain(|earlier| earlier.offer.endpoint != offer.endpoint);
            self.offered.push(Offered { offer, from: from.to_owned(), denied });
        }
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        if !self.asked && self.offered.is_empty() {
            return Value::Null;
        }
        let balance = self.balance.as_ref().map(|balance| match balance {
            Ok(credits) => json!({"credits": credits}),
            Err(why) => json!({"unknown": why}),
        });
        json!({
            "permissions": self.rows, "overrides": self.overrides, "offers": self.offered, "balance": balance,
            "unseen": UNSEEN,
        })
    }

    /// For people, an empty line before it.
    pub(super) fn human(&self, desk: &mut Desk<'_>) -> io::Result<()> {
        if !self.asked && self.offered.is_empty() {
            return writeln!(desk.out, "\nLibreChat's own word is not asked: no MongoDB is configured.");
        }
        writeln!(desk.out)?;
        if self.asked {
            let heads = ["PART OF LIBRECHAT", "POLICY", "LIBRECHAT", "TOGETHER", "RULE", "PERMISSION"];
            let mut table = Table::new(heads.map(|head| (head, Side::Left)));
            for row in &self.rows {
                let word = |allowed: bool| if allowed { "allow" } else { "deny" }.to_owned();
                table.row(vec![
                    row.what.clone(),
                    row.policy.as_str().to_owned(),
                    row.librechat.map_or_else(|| "-".to_owned(), word),
                    row.together().to_owned(),
                    row.rule.clone(),
                    row.permission.clone(),
                ]);
            }
            table.write(desk.out)?;
            if self.no_role {
                writeln!(desk.out, "LibreChat's database has no document of this role.")?;
            }
        }
        for Override { principal, priority, settings, .. } in &self.overrides {
            writeln!(
                desk.out,
                "Settings laid over for {} (priority {priority}): {}",
                plain(principal),
                plain(&settings.join(", "))
            )?;
        }
        for offered in &self.offered {
            offered.write(desk.out)?;
        }
        match &self.balance {
            None if self.asked => writeln!(desk.out, "LibreChat has no balance of this user.")?,
            None => {}
            Some(Ok(credits)) => writeln!(
                desk.out,
                "Balance: {credits} credits (millionths of a US dollar), where LibreChat's settings have balances checked."
            )?,
            Some(Err(why)) => writeln!(desk.out, "Balance: not to be read: {why}")?,
        }
        writeln!(desk.out, "{UNSEEN}")
    }
}

fn rows(roles: &[Map<String, Value>], policy: &Snapshot, caller: &Caller) -> Vec<Row> {
    // Of several documents all have to say the same.
    let said_of = |permission: Permission| {
        let mut said = roles.iter().map(|role| permission.of(role));
        let first = said.next().flatten();
        if said.all(|other| other == first) { first } else { None }
    };
    let row = |what: &str, target: Target, permission: Permission| {
        let (fate, rules) = policy.foresee(caller, &[target]);
        let rule = rules.first().map(ToString::to_string).unwrap_or_default();
        Row { what: what.to_owned(), policy: fate, rule, librechat: said_of(permission), permission: permission.name() }
    };
    // Lists of agents may leave some open, and what these run decides.
    let agents = explain(policy, caller).statements.into_iter().find(|said| said.subject == Subject::Agents);
    let agents = agents.map(|said| Row {
        what: "stored agents".to_owned(),
        policy: match said.effect {
            Effect::Denies | Effect::Hides if said.shadow || policy.mode() == Mode::Shadow => Fate::Shadow,
            Effect::Denies | Effect::Hides => Fate::Deny,
            Effect::Allows | Effect::Unused => Fate::Allow,
        },
        rule: said.rule.to_string(),
        librechat: said_of(AGENTS),
        permission: AGENTS.name(),
    });
    let mut rows: Vec<Row> = agents.into_iter().collect();
    rows.push(row("remote-agent API", Target::Surface(Surface::RemoteApi), REMOTE_AGENTS));
    for (permission, tool) in TOOLS {
        rows.push(row(&format!("tool {tool}"), Target::Tool(Tool::Named(tool.into())), permission));
    }
    rows.push(row("tools of MCP servers", Target::Tool(Tool::Named("*_mcp_*".into())), MCP_SERVERS));
    rows
}

/// The account at the identity provider, as LibreChat has stored it at the last sign-in.
fn account(user: &Map<String, Value>) -> Option<String> {
    let text = |name: &str| user.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let mut told = text("provider")?.to_owned();
    for (name, before) in [
        ("openidId", ", "),
        ("openidIssuer", " of "),
        ("idOnTheSource", ", id on the source "),
        ("tenantId", ", tenant "),
    ] {
        if let Some(value) = text(name) {
            told.push_str(before);
            told.push_str(value);
        }
    }
    let groups = user.get("openidGroups").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let groups: Vec<&str> = groups.collect();
    if !groups.is_empty() {
        told.push_str(", groups of the last sign-in: ");
        told.push_str(&groups.join(", "));
    }
    Some(plain(&told))
}

fn settings(file: &Path) -> Result<Value, Failure> {
    let fault = |why: String| Failure::Asked(format!("--librechat {}: {why}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| fault(error.to_string()))?;
    // Without the snippet that the parser would add: there may be keys in it.
    serde_saphyr::from_str(&text).map_err(|error| fault(format!("is no YAML: {}", error.without_snippet())))
}

// === impl Row ===

impl Row {
    fn together(&self) -> &'static str {
        match (self.policy, self.librechat) {
            (_, None) => "LibreChat does not say",
            (Fate::Allow, Some(true)) => "open",
            (Fate::Deny, Some(true)) => "LibreChat allows, policy denies",
            (Fate::Shadow, Some(true)) => "LibreChat allows, policy would deny",
            (Fate::Allow | Fate::Shadow, Some(false)) => "policy allows, LibreChat denies",
            (Fate::Deny, Some(false)) => "both deny",
        }
    }
}

// === impl Offered ===

impl Offered {
    fn write(&self, out: &mut dyn io::Write) -> io::Result<()> {
        let Offered { offer, from, denied } = self;
        let what = if offer.endpoint == "agents" { "agents may have the providers" } else { "LibreChat offers" };
        let more = if offer.fetches { " and what the provider lists" } else { "" };
        write!(out, "{}: {what} {}{more} ({})", plain(&offer.endpoint), plain(&offer.models.join(", ")), plain(from))?;
        match (denied.is_empty(), denied.len() == offer.models.len()) {
            (true, _) => writeln!(out),
            (false, true) => writeln!(out, "; the policy denies all of them"),
            (false, false) => writeln!(out, "; the policy denies {}", plain(&denied.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests;
