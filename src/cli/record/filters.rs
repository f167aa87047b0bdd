//! Which entries are asked for, as flags.

use std::ffi::OsStr;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Arg, Command};
use jiff::tz::TimeZone;

use super::moments::{Edge, moment};
use super::names::{Named, named};
use super::place::Place;
use super::{Desk, Failure};
use crate::record::{Category, Decision, Kind, Severity};
use crate::store::{Filter, Order};

/// Which entries, by what all of them say.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which entries")]
pub struct Filters {
    /// Not before this moment: 2026-11-21T08:15:00Z, 2026-11-21, or 2h, 7d ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before this moment; a date is taken with the whole day
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Of this user: LibreChat's user id, or the e-mail address that the directory has
    #[arg(long, value_name = "ID_OR_EMAIL", value_parser = named)]
    pub user: Option<Named>,
    /// With this role at that moment
    #[arg(long)]
    pub role: Option<String>,
    /// With this group at that moment
    #[arg(long)]
    pub group: Option<String>,
    /// About this endpoint
    #[arg(long)]
    pub endpoint: Option<String>,
    /// About this model
    #[arg(long)]
    pub model: Option<String>,
}

/// Which entries, by what audit entries say.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Which entries")]
pub struct AuditFilters {
    /// Of this kind; may be given more than once
    #[arg(long = "kind", value_name = "KIND", ignore_case = true, value_parser = Words(KINDS))]
    pub kinds: Vec<Kind>,
    /// Of this category
    #[arg(long, value_name = "CATEGORY", ignore_case = true, value_parser = Words(CATEGORIES))]
    pub category: Option<Category>,
    /// At least as grave as this
    #[arg(long, value_name = "SEVERITY", ignore_case = true, value_parser = Words(SEVERITIES))]
    pub severity: Option<Severity>,
    /// Of this action, such as chat.turn
    #[arg(long)]
    pub action: Option<String>,
    /// Decided so
    #[arg(long, value_name = "DECISION", ignore_case = true, value_parser = Words(DECISIONS))]
    pub decision: Option<Decision>,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// All but the severity.
    pub filter: Filter,
    /// The least severity.
    pub at_least: Option<Severity>,
}

/// The kinds of lines.
const KINDS: &[(&str, Kind)] = &[("audit", Kind::Audit), ("usage", Kind::Usage), ("head", Kind::Head)];

/// The categories of events.
pub(super) const CATEGORIES: &[(&str, Category)] = &[
    ("auth", Category::Auth),
    ("api", Category::Api),
    ("admin", Category::Admin),
    ("security", Category::Security),
    ("data", Category::Data),
    ("system", Category::System),
];

/// The severities, from the least on.
pub(super) const SEVERITIES: &[(&str, Severity)] = &[
    ("info", Severity::Info),
    ("warning", Severity::Warning),
    ("error", Severity::Error),
    ("critical", Severity::Critical),
];

/// The decisions.
pub(super) const DECISIONS: &[(&str, Decision)] =
    &[("allow", Decision::Allow), ("shadow", Decision::Shadow), ("deny", Decision::Deny)];

// === impl Filters ===

impl Filters {
    /// What is asked for; moments without a zone are in this one.
    ///
    /// # Errors
    /// [`Failure`] where a moment cannot be read, or the user is not found in the directory.
    pub async fn query(
        &self,
        audit: &AuditFilters,
        place: &mut Place,
        zone: &TimeZone,
        desk: &Desk<'_>,
    ) -> Result<Query, Failure> {
        let now = desk.clock.now();
        let read = |text: &Option<String>, edge, flag| match text {
            Some(text) => {
                moment(text, edge, zone, now).map(Some).map_err(|why| Failure::Asked(format!("{flag} {text}: {why}")))
            }
            None => Ok(None),
        };
        let (since, until) = (read(&self.since, Edge::Since, "--since")?, read(&self.until, Edge::Until, "--until")?);
        if since.zip(until).is_some_and(|(since, until)| since >= until) {
            return Err(Failure::Asked("--since is not before --until".into()));
        }
        let user = match &self.user {
            Some(Named::Id(id)) => Some(id.clone()),
            Some(Named::Address(address)) => Some(place.people().await?.id(address).await?),
            None => None,
        };
        let text = |text: &Option<String>| text.as_deref().map(Box::from);
        let query = Query {
            filter: Filter {
                kinds: audit.kinds.clone(),
                user,
                role: text(&self.role),
                group: text(&self.group),
                category: audit.category,
                action: text(&audit.action),
                decision: audit.decision,
                endpoint: text(&self.endpoint),
                model: text(&self.model),
                since,
                until,
                ..Filter::default()
            },
            at_least: audit.severity,
        };
        audit.check()?;
        Ok(query)
    }
}

// === impl AuditFilters ===

impl AuditFilters {
    /// Refuses what no entry can be.
    fn check(&self) -> Result<(), Failure> {
        let named = [
            ("--category", self.category.is_some()),
            ("--severity", self.severity.is_some()),
            ("--action", self.action.is_some()),
            ("--decision", self.decision.is_some()),
        ];
        match named.iter().find(|(_, given)| *given) {
            Some((flag, _)) if !self.kinds.is_empty() && !self.kinds.contains(&Kind::Audit) => {
                Err(Failure::Asked(format!("only audit entries have what {flag} asks for: leave --kind out")))
            }
            _ => Ok(()),
        }
    }
}

// === impl Query ===

impl Query {
    /// The filters of the ledger that together find it, no line twice: one for each severity that is meant.
    pub fn filters(&self, order: Order) -> Vec<Filter> {
        let filter = Filter { order, ..self.filter.clone() };
        match self.severities() {
            None => vec![filter],
            Some(severities) => {
                severities.map(|severity| Filter { severity: Some(severity), ..filter.clone() }).collect()
            }
        }
    }

    /// The severities that are meant; none where any will do.
    pub(super) fn severities(&self) -> Option<impl Iterator<Item = Severity> + use<>> {
        let least = self.at_least?;
        Some(SEVERITIES.iter().map(|(_, severity)| *severity).skip_while(move |severity| *severity != least))
    }
}

// === words as values ===

/// Takes one of these words, and gives what it stands for.
#[derive(Clone)]
struct Words<T: 'static>(&'static [(&'static str, T)]);

impl<T: Copy + Send + Sync + 'static> TypedValueParser for Words<T> {
    type Value = T;

    fn parse_ref(&self, command: &Command, arg: Option<&Arg>, value: &OsStr) -> Result<T, clap::Error> {
        let words = PossibleValuesParser::new(self.0.iter().map(|(word, _)| *word));
        let given = words.parse_ref(command, arg, value)?;
        let meant = self.0.iter().find(|(word, _)| word.eq_ignore_ascii_case(&given));
        meant.map(|(_, meant)| *meant).ok_or_else(|| clap::Error::new(clap::error::ErrorKind::InvalidValue))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(|(word, _)| PossibleValue::new(*word))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_is_asked_for_with_all_that_are_graver() {
        let query = Query { at_least: Some(Severity::Error), ..Query::default() };
        let asked: Vec<_> =
            query.filters(Order::Newest).into_iter().map(|filter| (filter.severity, filter.order)).collect();
        assert_eq!(asked, [(Some(Severity::Error), Order::Newest), (Some(Severity::Critical), Order::Newest)]);
        assert_eq!(Query::default().filters(Order::Oldest), [Filter::default()]);
    }

    #[test]
    fn what_no_entry_can_be_is_refused() {
        let asked = |kinds: &[Kind]| AuditFilters {
            kinds: kinds.to_vec(),
            decision: Some(Decision::Deny),
            ..AuditFilters::default()
        };
        assert!(asked(&[]).check().is_ok() && asked(&[Kind::Audit, Kind::Usage]).check().is_ok());
        let fault = asked(&[Kind::Usage]).check().unwrap_err().to_string();
        assert!(fault.contains("--decision"), "{fault}");
    }
}
