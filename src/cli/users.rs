//! `tollgate users`: the people of the embedded directory.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::exit::Exit;
use super::record::place::{Place, PlaceArgs, StoreName};
use super::record::{Desk, Failure, end, on_threads};
use crate::store::embedded::{Account, Embedded, FILE};
use crate::store::{Person, normal_issuer, object_id};

mod change;
mod table;

/// Show and change the people of the embedded directory.
///
/// Tollgate looks up a caller's role and groups by the user id in LibreChat's token. Where MongoDB is configured it asks
/// LibreChat's own database, and people kept here are not used: change their roles in LibreChat.
///
/// What is changed is written into the record first, signed, and without a record nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate users set 6b012e4109cc968f8a928bce --email ann@example.edu --role USER
  tollgate users set 6b012e4109cc968f8a928bce --group premium-openai --group staff
  tollgate users set 6b012e4109cc968f8a928bce --no-groups
  tollgate users set 6b012e4109cc968f8a928bce --issuer https://idp.example.edu --subject 3f2a9c
  tollgate users list --format json
  tollgate users --data /var/lib/tollgate remove 6b012e4109cc968f8a928bce")]
pub struct Args {
    /// Directory of the embedded store, with the people and, where the settings name no store, the record [default: that of the settings]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Settings file, as `tollgate serve` reads it; the environment counts, too
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The store whose record tells of a change [default: the first store among the settings' records.sinks]
    #[arg(long, global = true, value_enum, value_name = "STORE")]
    pub sink: Option<StoreName>,
    /// The key that signs what the record tells [default: records/signing.key in the data directory]
    #[arg(long, global = true, value_name = "FILE")]
    pub signing_key: Option<PathBuf>,
    /// How to print people
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How people are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table
    #[default]
    Human,
    /// JSON: an array for `list`, an object for `show` and `set`
    Json,
}

/// What to do with the people.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List everybody
    List,
    /// Show one person
    Show {
        /// LibreChat's user id, 24 hex digits
        #[arg(value_parser = user_id)]
        id: String,
    },
    /// Add a person, or change one; what is not named stays as it is
    Set(Set),
    /// Remove a person, who is unknown to Tollgate from then on
    Remove {
        /// LibreChat's user id, 24 hex digits
        #[arg(value_parser = user_id)]
        id: String,
    },
}

/// Add a person, or change one.
#[derive(Debug, clap::Args)]
pub struct Set {
    /// LibreChat's user id, 24 hex digits
    #[arg(value_parser = user_id)]
    pub id: String,
    /// E-mail address; policies may name the person by it
    #[arg(long, value_parser = name)]
    pub email: Option<String>,
    /// Role, one of the policy's `roles:`
    #[arg(long, value_parser = name)]
    pub role: Option<String>,
    /// Group, one of the policy's `groups:`; may be given more than once and replaces the groups there were
    #[arg(long = "group", value_name = "GROUP", value_parser = name)]
    pub groups: Vec<String>,
    /// Take the person out of all groups
    #[arg(long, conflicts_with = "groups")]
    pub no_groups: bool,
    /// Issuer of the person's account at an identity provider, as its tokens name it (`iss`)
    #[arg(long, value_name = "URL", requires = "subject", value_parser = name)]
    pub issuer: Option<String>,
    /// The account at that issuer: the claim `sub` of its tokens
    #[arg(long, value_name = "SUB", requires = "issuer", value_parser = name)]
    pub subject: Option<String>,
    /// Take the person's account at an identity provider away
    #[arg(long, conflicts_with_all = ["issuer", "subject"])]
    pub no_account: bool,
}

/// Runs the command.
pub fn run(args: &Args, desk: &mut Desk<'_>) -> Exit {
    let result = on_threads(work(args, desk));
    end(result, desk)
}

async fn work(args: &Args, desk: &mut Desk<'_>) -> Result<Exit, Failure> {
    let named = PlaceArgs { config: args.config.clone(), sink: args.sink, data: args.data.clone() };
    let mut place = Place::read(&named, desk)?;
    if place.has_mongo() {
        let note =
            "note: MongoDB is configured, so the proxy looks people up in LibreChat's database; these are not used";
        // Where not even a note can be written, the command itself still can be.
        let _unread = writeln!(desk.err, "{note}");
    }
    let data = place.data();
    // Opening makes what is missing. Only `set` shall: a mistyped directory is no empty one.
    if !matches!(args.command, Command::Set(_)) && !data.join(FILE).exists() {
        return Err(Failure::Failed(format!(
            "there is no store in {}; --data names its directory, `tollgate users set` makes a new one",
            data.display()
        )));
    }
    let store = Embedded::open(data)?;
    match &args.command {
        Command::List => list(&store.people()?, args.format, desk.out)?,
        Command::Show { id } => {
            let person = store.find_person(id)?.ok_or_else(|| nobody(id))?;
            write_one(&person, store.account(id)?.as_ref(), args.format, desk.out)?;
        }
        Command::Set(set) => {
            let person = change::set(set, &store, &mut place, args.signing_key.as_deref(), &desk.clock).await?;
            write_one(&person, store.account(&person.id)?.as_ref(), args.format, desk.out)?;
        }
        Command::Remove { id } => {
            change::remove(id, &store, &mut place, args.signing_key.as_deref(), &desk.clock).await?;
            if args.format == Format::Human {
                writeln!(desk.out, "removed {id}")?;
            }
        }
    }
    Ok(Exit::Ok)
}

// === impl Set ===

impl Set {
    /// The person there was, with what was named changed.
    fn apply(&self, before: Option<Person>) -> Person {
        let mut person =
            before.unwrap_or_else(|| Person { id: self.id.as_str().into(), email: None, role: None, groups: vec![] });
        if let Some(email) = &self.email {
            person.email = Some(email.to_lowercase().into());
        }
        if let Some(role) = &self.role {
            person.role = Some(role.as_str().into());
        }
        if self.no_groups || !self.groups.is_empty() {
            person.groups = self.groups.iter().map(|group| group.as_str().into()).collect();
            person.groups.sort_unstable();
            person.groups.dedup();
        }
        person
    }

    /// The account that was named.
    fn account(&self) -> Option<Account> {
        let (issuer, subject) = self.issuer.as_deref().zip(self.subject.as_deref())?;
        Some(Account { issuer: normal_issuer(issuer).into(), subject: subject.into() })
    }
}

// === helpers ===

fn nobody(id: &str) -> Failure {
    Failure::Failed(format!(
        "nobody has the id {id}; `tollgate users list` shows everybody, `tollgate users set` adds somebody"
    ))
}

fn list(people: &[Person], format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human if people.is_empty() => {
            writeln!(out, "Nobody yet. `tollgate users set --help` shows how to add somebody.")
        }
        Format::Human => table::write(people, out),
        Format::Json => writeln!(out, "{:#}", Value::from_iter(people.iter().map(as_json))),
    }
}

fn write_one(person: &Person, account: Option<&Account>, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Human => {
            table::write(std::slice::from_ref(person), out)?;
            match account {
                Some(Account { issuer, subject }) => writeln!(out, "account {subject} of {issuer}"),
                None => Ok(()),
            }
        }
        Format::Json => {
            let mut object = as_json(person);
            if let (Some(Account { issuer, subject }), Some(object)) = (account, object.as_object_mut()) {
                object.insert("account".to_owned(), json!({"issuer": issuer, "subject": subject}));
            }
            writeln!(out, "{object:#}")
        }
    }
}

fn as_json(person: &Person) -> Value {
    json!({"id": person.id, "email": person.email, "role": person.role, "groups": person.groups})
}

fn user_id(text: &str) -> Result<String, String> {
    object_id(text).ok_or_else(|| "a user id of LibreChat (`users._id`) has 24 hex digits".to_owned())
}

/// A name that can be seen whole: policies match names exactly, so a stray blank would match nothing.
fn name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.trim() != text || text.chars().any(char::is_control) {
        return Err("must not be empty, begin or end with a blank, or hold control characters".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests;
