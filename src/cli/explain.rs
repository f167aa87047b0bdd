//! `tollgate explain`: who may use what, and which statement says so; for somebody of the directory, for a role, and for everybody under
//! another policy.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::check::Format;
use super::exit::Exit;
use super::record::files::FileArgs;
use super::record::place::PlaceArgs;
use super::record::{Desk, Failure, end, on_threads};
use super::serve::user_defaults;
use crate::config::{Flags, Settings};
use crate::identity::WrittenClaims;
use crate::policy::explain::{ModelAnswer, explain, explain_model, target};
use crate::policy::{Caller, Snapshot, Target};
use crate::reload;

mod beside;
mod counters;
mod known;
mod laid_over;
mod room;
mod what_if;

use laid_over::{Stored, UnderTwo};

/// Show what a policy allows to somebody and which statements say so, and what another policy would change
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = r#"Examples:
  tollgate explain --policies policies/demo --role USER
  tollgate explain --policies policies/demo --role USER --endpoint openAI --model gpt-4o
  tollgate explain --policies policies/demo --role USER --group premium-openai
  tollgate explain --policies policies/demo --role USER --user ann@example.edu --format json
  tollgate explain --policies policies/company --claims ann.json
  tollgate explain --policies policies/demo --user 6b012e4109cc968f8a928bce --data /var/lib/tollgate
  tollgate explain --config /etc/tollgate/tollgate.yaml --user ann@example.edu
  tollgate explain --config /etc/tollgate/tollgate.yaml --what-if policies/next
  tollgate explain --config /etc/tollgate/tollgate.yaml --what-if policies/next --since 7d --all

With --user alone, somebody is looked up in the directory, as `tollgate serve` does with the same settings: role and
groups, each limit with what is used and when that resets, and, where MongoDB is configured, what LibreChat's own
database says beside it. With --role, --group or --claims nothing is looked up, and --user only names an entry.

With --claims the policy's role_mapping and group_mapping are applied to what the file says a caller's tokens hold:
  { "id": { "cognito:groups": ["staff"] }, "access": { "realm_access": { "roles": [] } }, "userinfo": {} }

With --what-if another policy is held against this one: who of the directory gains or loses what, and which of the
recorded requests (yesterday's, if nothing else is said) would be decided otherwise. Nothing is ever changed.

Exit codes: 0 done (and the model asked about, if any, may be used), 1 failed, 2 the model asked about is
denied, by a list or by a limit of 0, or a limit that counts for it has no room now (which is known of somebody of the
directory alone), 64 bad usage or settings, or a policy with faults, or claims that cannot be read. In shadow mode
nothing is denied."#)]
pub struct Args {
    /// Directory of policy files, or one such file [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// The caller's role, as LibreChat stores it [default: USER]
    #[arg(long)]
    pub role: Option<String>,
    /// A group of the caller; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// LibreChat's user id, the e-mail address or, where MongoDB is configured, the name of the user
    #[arg(long, value_name = "ID_OR_EMAIL_OR_NAME")]
    pub user: Option<String>,
    /// A JSON file with claims of the caller's tokens, which the policy's mappings are applied to
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,
    /// The endpoint of the model to ask about, such as openAI or MindRoom
    #[arg(long, requires = "model")]
    pub endpoint: Option<String>,
    /// The model to ask about
    #[arg(long, requires = "endpoint")]
    pub model: Option<String>,
    /// LibreChat's librechat.yaml: which models it offers is shown beside the policy
    #[arg(long, value_name = "FILE", requires = "user")]
    pub librechat: Option<PathBuf>,
    /// Another policy, which is held against this one
    #[arg(long, value_name = "DIR", conflicts_with_all = ["role", "groups", "user", "claims", "endpoint", "model"])]
    pub what_if: Option<PathBuf>,
    /// Requests not before this moment: 2026-11-21T08:15:00Z, 2026-11-21, or 2h, 7d ago [default: yesterday]
    #[arg(long, value_name = "TIME", requires = "what_if")]
    pub since: Option<String>,
    /// Requests before this moment; a date is taken with the whole day
    #[arg(long, value_name = "TIME", requires = "what_if")]
    pub until: Option<String>,
    /// Name everybody, and not only a few of those for whom the same changes
    #[arg(long, requires = "what_if")]
    pub all: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Where people and record are
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Files in place of the record
    #[command(flatten)]
    pub files: FileArgs,
}

/// Runs the command. Faults go to standard error, the explanation to standard output.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let result = work(args, desk);
    end(result, desk)
}

fn work(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let policies = args.policies(desk)?;
    let files = read_policy(&policies, desk)?;
    let changed = args.what_if.as_ref().map(|other| read_policy(other, desk)).transpose()?;
    let stored = Stored::read(args, desk)?;
    let now = desk.clock.now();
    let (policy, aside) = stored.over(files, now);
    if let Some(changed) = changed {
        let (changed, aside_after) = stored.over(changed, now);
        let overrides = UnderTwo { unknown: stored.unknown(), set_aside_before: aside, set_aside_after: aside_after };
        return on_threads(what_if::run(args, &policy, &changed, overrides, desk));
    }
    for aside in aside {
        writeln!(desk.err, "warning: set aside is the override of {}", aside.line())?;
    }
    if !args.asks_directory() {
        let caller = described(args, &policy).map_err(Failure::Asked)?;
        return Ok(print(args, &policy, &caller, desk.out)?);
    }
    on_threads(known::run(args, &policy, desk))
}

/// Reads a policy. Its faults end the command.
fn read_policy(policies: &std::path::Path, desk: &Desk<'_>) -> Result<Snapshot, Failure> {
    let read = reload::load_with(policies, &user_defaults(desk.environment));
    read.map(|(policy, _)| policy).map_err(Failure::Settings)
}

fn print(args: &Args, snapshot: &Snapshot, caller: &Caller, out: &mut dyn Write) -> io::Result<Exit> {
    let explanation = explain(snapshot, caller);
    let answer = args.answer(snapshot, caller);
    match args.format {
        Format::Human => {
            out.write_all(explanation.to_table().as_bytes())?;
            if let Some(answer) = &answer {
                write!(out, "\n{}", answer.to_lines())?;
            }
        }
        Format::Json => {
            let mut object = serde_json::to_value(&explanation)?;
            if let Some(object) = object.as_object_mut() {
                object.insert("answer".to_owned(), serde_json::to_value(&answer)?);
            }
            writeln!(out, "{object:#}")?;
        }
    }
    Ok(verdict(answer.as_ref()))
}

fn verdict(answer: Option<&ModelAnswer>) -> Exit {
    if answer.is_some_and(ModelAnswer::is_denied) { Exit::Denied } else { Exit::Ok }
}

/// The caller that the arguments describe, and that the claims make of them.
fn described(args: &Args, policy: &Snapshot) -> Result<Caller, String> {
    let user = args.user.as_deref().unwrap_or_default().to_lowercase();
    let (user, email) = if user.contains('@') { (String::new(), Some(user.into())) } else { (user, None) };
    let caller = Caller {
        user: user.into(),
        email,
        role: args.role.as_deref().unwrap_or("USER").into(),
        groups: args.groups.iter().map(|group| group.as_str().into()).collect(),
    };
    let Some(file) = &args.claims else { return Ok(caller) };
    let read = fs::read(file).map_err(|error| error.to_string()).and_then(|text| WrittenClaims::read(&text));
    let claims = read.map_err(|fault| format!("the claims in {} cannot be read: {fault}", file.display()))?;
    Ok(policy.mapped(&caller, &claims))
}

// === impl Args ===

impl Args {
    /// Whether somebody is to be looked up.
    fn asks_directory(&self) -> bool {
        self.user.is_some() && self.role.is_none() && self.groups.is_empty() && self.claims.is_none()
    }

    fn policies(&self, desk: &Desk<'_>) -> Result<PathBuf, Failure> {
        let named = Settings::policies(&self.flags(), desk.environment);
        named.ok_or_else(|| {
            Failure::Asked("no policy is named: give it with --policies, or the settings with --config".into())
        })
    }

    fn flags(&self) -> Flags {
        let PlaceArgs { config, data, .. } = self.place.clone();
        Flags { config, data, policies: self.policies.clone(), ..Flags::default() }
    }

    /// The model that is asked about.
    fn target(&self) -> Option<Target> {
        let (endpoint, model) = self.endpoint.as_deref().zip(self.model.as_deref())?;
        Some(target(endpoint, model))
    }

    fn answer(&self, policy: &Snapshot, caller: &Caller) -> Option<ModelAnswer> {
        let (endpoint, model) = self.endpoint.as_deref().zip(self.model.as_deref())?;
        Some(explain_model(policy, caller, endpoint, model))
    }
}

#[cfg(test)]
mod tests;
