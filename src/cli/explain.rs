//! `tollgate explain`: who may use what, and which statement says so.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::check::Format;
use super::exit::Exit;
use super::overrides;
use super::record::Failure;
use super::serve::user_defaults;
use crate::config::Environment;
use crate::identity::WrittenClaims;
use crate::policy::explain::{ModelAnswer, explain, explain_model};
use crate::policy::{Caller, Snapshot};
use crate::reload;

/// Show what a policy allows to a caller, and which statements say so.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = r#"Examples:
  tollgate explain --policies policies/demo --role USER
  tollgate explain --policies policies/demo --role USER --endpoint openAI --model gpt-4o
  tollgate explain --policies policies/demo --role USER --group premium-openai
  tollgate explain --policies policies/demo --role USER --user ann@example.edu --format json
  tollgate explain --policies policies/company --claims ann.json
  tollgate explain --policies policies/demo --user 6b012e4109cc968f8a928bce --data /var/lib/tollgate

With --claims the policy's role_mapping and group_mapping are applied to what the file says a caller's tokens hold:
  { "id": { "cognito:groups": ["staff"] }, "access": { "realm_access": { "roles": [] } }, "userinfo": {} }

Exit codes: 0 done (and the model asked about, if any, may be used), 2 the model asked about is
denied, 64 the policy has faults or the claims cannot be read. In shadow mode nothing is denied."#)]
pub struct Args {
    /// Directory of policy files, or one such file
    #[arg(long, value_name = "DIR")]
    pub policies: PathBuf,
    /// The caller's role, as LibreChat stores it
    #[arg(long, default_value = "USER")]
    pub role: String,
    /// A group of the caller; may be given several times
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// The caller's e-mail address or LibreChat user id
    #[arg(long, value_name = "ID_OR_EMAIL")]
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
    /// The overrides that count now, too, from where this settings file and the environment keep them
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The overrides that count now, too, from the embedded store in this directory
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// How to print the result
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// Whether faults are printed in colour
    #[arg(skip)]
    pub colour: bool,
}

/// Runs the command. Faults of the policy go to `err`, the explanation to `out`.
pub fn run(args: &Args, environment: &Environment, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    match reload::load_with(&args.policies, &user_defaults(environment)) {
        Err(faults) => err.write_all(faults.render_human(args.colour).as_bytes()).map(|()| Exit::Usage).into(),
        Ok((files, _)) => {
            let snapshot = match with_overrides(args, files, environment) {
                Ok(snapshot) => snapshot,
                Err(fault) => return writeln!(err, "error: {fault}").map(|()| Exit::Failed).into(),
            };
            match caller(args, &snapshot) {
                Ok(caller) => print(args, &snapshot, &caller, out).into(),
                Err(fault) => writeln!(err, "error: {fault}").map(|()| Exit::Usage).into(),
            }
        }
    }
}

fn print(args: &Args, snapshot: &Snapshot, caller: &Caller, out: &mut dyn Write) -> io::Result<Exit> {
    let explanation = explain(snapshot, caller);
    let answer = match (&args.endpoint, &args.model) {
        (Some(endpoint), Some(model)) => Some(explain_model(snapshot, caller, endpoint, model)),
        _ => None,
    };
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
    Ok(if answer.as_ref().is_some_and(ModelAnswer::is_denied) { Exit::Denied } else { Exit::Ok })
}

/// The files with the overrides beside them, where the arguments say where these are.
fn with_overrides(args: &Args, files: Snapshot, environment: &Environment) -> Result<Snapshot, Failure> {
    if args.config.is_none() && args.data.is_none() {
        return Ok(files);
    }
    overrides::beside(&files, args.config.clone(), args.data.clone(), environment)
}

/// The caller that the arguments describe, and that the claims make of them.
fn caller(args: &Args, policy: &Snapshot) -> Result<Caller, String> {
    let user = args.user.as_deref().unwrap_or_default().to_lowercase();
    let (user, email) = if user.contains('@') { (String::new(), Some(user.into())) } else { (user, None) };
    let caller = Caller {
        user: user.into(),
        email,
        role: args.role.as_str().into(),
        groups: args.groups.iter().map(|group| group.as_str().into()).collect(),
    };
    let Some(file) = &args.claims else { return Ok(caller) };
    let read = fs::read(file).map_err(|error| error.to_string()).and_then(|text| WrittenClaims::read(&text));
    let claims = read.map_err(|fault| format!("the claims in {} cannot be read: {fault}", file.display()))?;
    Ok(policy.mapped(&caller, &claims))
}

#[cfg(test)]
mod tests;
