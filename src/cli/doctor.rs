//! `tollgate doctor`: is all there that serving needs, and what would a token become?

use std::io::{self, Read as _, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::check::Format;
use super::exit::Exit;
use super::record::Desk;
use super::record::table::{Side, Table};
use super::serve;
use crate::app::doctor::{self, Credentials, Finding, Shown, Standing, State};
use crate::cases::shell_word;
use crate::config::{Environment, Flags, Settings};
use crate::policy::{Caller, Snapshot};
use crate::reload;
use crate::report::counted;

/// Most bytes of credentials that are read.
const LONGEST: u64 = 64 * 1024;

/// Look whether all that serving needs is there, and what a token would become.
///
/// It reads the settings as serve does, asks MongoDB, Redis, LibreChat and the identity provider, and changes nothing. A token
/// goes the way of a request: what is told is what serve would do.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate doctor --config /etc/tollgate/tollgate.yaml
  tollgate doctor --config /etc/tollgate/tollgate.yaml --token token.txt
  tollgate doctor --config /etc/tollgate/tollgate.yaml --token - --format json < token.txt

The file has a token or a key alone, or the lines \"Authorization: Bearer ...\" and \"Cookie: ...\" as the
browser's developer tools show them. Nothing of it is printed; what its claims hold only with --show-claims.

Exit codes: 0 nothing is wrong (there may be warnings), 1 something is, 64 the settings, the policy or the
token's file cannot be read.")]
pub struct Args {
    /// The settings that can be flags
    #[command(flatten)]
    pub flags: Flags,
    /// A file with a token to look at, or - for standard input. Never write a token into the command line: others can read it there
    #[arg(long, value_name = "FILE")]
    pub token: Option<PathBuf>,
    /// Show what the claims that the policy looks at hold
    #[arg(long, requires = "token")]
    pub show_claims: bool,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let shown = match args.token.as_deref().map(|path| credentials(path, desk)).transpose() {
        Ok(shown) => shown,
        Err(fault) => return writeln!(desk.err, "error: {fault}").map(|()| Exit::Usage).into(),
    };
    let (settings, policy) = match serve::read(&args.flags, desk.environment) {
        Ok((settings, policy, _warnings)) => (settings, policy),
        Err(faults) => {
            let printed = match args.format {
                Format::Human => desk.err.write_all(faults.render_human(desk.terminal.err).as_bytes()),
                Format::Json => faulty(&faults.render_json(), desk.out),
            };
            return printed.map(|()| Exit::Usage).into();
        }
    };
    serve::start_log(&settings.log);
    let mut findings = vec![tested(&settings, &policy, desk.environment)];
    let (looked, standing) = doctor::look(&settings, &policy, shown.as_ref());
    findings.extend(looked);
    let all = findings.iter().chain(standing.iter().flat_map(|standing| &standing.findings));
    let exit = if all.clone().any(|finding| finding.state == State::Fault) { Exit::Failed } else { Exit::Ok };
    let printed = match args.format {
        Format::Human => human(args, &findings, standing.as_ref(), desk.out),
        Format::Json => {
            let object = json!({
                "checks": findings.iter().map(as_json).collect::<Vec<_>>(),
                "token": standing.as_ref().map(|standing| standing_as_json(standing, args.show_claims)),
                "faults": [],
            });
            writeln!(desk.out, "{object:#}")
        }
    };
    printed.map(|()| exit).into()
}

fn credentials(path: &Path, desk: &mut Desk<'_>) -> Result<Credentials, String> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => (&mut *desk.input).take(LONGEST).read_to_string(&mut text),
        _ => std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text)),
    };
    let named = |fault: String| format!("the token in {} cannot be read: {fault}", path.display());
    read.map_err(|error| named(error.to_string()))?;
    Credentials::read(&text).map_err(named)
}

/// The policy has no fault, or it would not be here; its cases may fail.
fn tested(settings: &Settings, policy: &Snapshot, environment: &Environment) -> Finding {
    let about = format!("mode {}, revision {}", policy.mode().as_str(), policy.revision());
    match reload::load_tested(&settings.policies, &serve::user_defaults(environment)) {
        Ok(tested) if tested.run.files == 0 => Finding::ok("policy", about),
        Ok(tested) => Finding::ok("policy", format!("{about}, {} hold", counted(tested.run.tried.len(), "case"))),
        Err(_) => {
            let advice = format!("tollgate test --policies {}", shell_word(&settings.policies.to_string_lossy()));
            Finding::fault("policy", format!("{about}, and cases of it fail: it is not used"), &advice)
        }
    }
}

fn faulty(faults: &str, out: &mut dyn Write) -> io::Result<()> {
    let faults: Value = serde_json::from_str(faults)?;
    writeln!(out, "{:#}", json!({ "checks": [], "token": null, "faults": faults }))
}

fn human(args: &Args, findings: &[Finding], standing: Option<&Standing>, out: &mut dyn Write) -> io::Result<()> {
    table(findings, out)?;
    let Some(standing) = standing else { return Ok(()) };
    writeln!(out, "\nThe credential is {}.\n", standing.kind.as_str())?;
    table(&standing.findings, out)?;
    if let Some(shown) = &standing.shown {
        writeln!(out)?;
        person(shown, args.show_claims, out)?;
    }
    writeln!(out, "\nserve would answer: {}", standing.answer)
}

fn table(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(["WHAT", "STATE", "FOUND"].map(|head| (head, Side::Left)));
    for Finding { what, state, found, advice } in findings {
        table.row(vec![(*what).to_owned(), state.as_str().to_owned(), found.clone()]);
        if let Some(advice) = advice {
            table.row(vec![String::new(), String::new(), format!("-> {advice}")]);
        }
    }
    table.write(out)
}

fn person(shown: &Shown, show_claims: bool, out: &mut dyn Write) -> io::Result<()> {
    let Shown { directory, caller, applied } = shown;
    let from = |own: bool| if own { "by the directory" } else { "by role_mapping" };
    writeln!(out, "user    {}", caller.user)?;
    writeln!(out, "e-mail  {}", caller.email.as_deref().unwrap_or("none"))?;
    writeln!(out, "role    {} ({})", caller.role, from(caller.role == directory.role))?;
    writeln!(out, "groups  {}", groups(caller))?;
    if applied.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let mut table = Table::new(["RULE", "CLAIM", "VALUES", "GIVES"].map(|head| (head, Side::Left)));
    for rule in applied {
        let role = rule.role.iter().map(|role| format!("role {role}"));
        let gives: Vec<_> = role.chain(rule.groups.iter().map(|group| format!("group {group}"))).collect();
        let claim = format!("{} of the {} token", rule.claim.path, rule.claim.token.as_str());
        let gives = if gives.is_empty() { "nothing".to_owned() } else { gives.join(", ") };
        table.row(vec![rule.rule.clone(), claim, values(&rule.values, show_claims), gives]);
    }
    table.write(out)
}

fn groups(caller: &Caller) -> String {
    if caller.groups.is_empty() { "none".to_owned() } else { caller.groups.join(", ") }
}

/// What a claim holds, or how many values that are.
fn values(values: &[Box<str>], show: bool) -> String {
    match (values, show) {
        ([], _) => "none".to_owned(),
        (values, true) => values.join(", "),
        (values, false) => counted(values.len(), "value"),
    }
}

fn as_json(finding: &Finding) -> Value {
    let Finding { what, state, found, advice } = finding;
    json!({ "what": what, "state": state.as_str(), "found": found, "advice": advice })
}

fn standing_as_json(standing: &Standing, show_claims: bool) -> Value {
    let caller = |caller: &Caller| json!({ "user": caller.user, "email": caller.email, "role": caller.role, "groups": caller.groups });
    let shown = standing.shown.as_ref().map(|shown| {
        let rules: Vec<_> = shown
            .applied
            .iter()
            .map(|rule| {
                let values = if show_claims { json!(rule.values) } else { json!(rule.values.len()) };
                let claim = json!({ "token": rule.claim.token.as_str(), "path": rule.claim.path });
                json!({ "rule": rule.rule, "claim": claim, "values": values, "role": rule.role, "groups": rule.groups })
            })
            .collect();
        json!({ "directory": caller(&shown.directory), "policy": caller(&shown.caller), "mapping": rules })
    });
    json!({
        "kind": standing.kind.as_str(),
        "checks": standing.findings.iter().map(as_json).collect::<Vec<_>>(),
        "person": shown,
        "answer": standing.answer,
    })
}
