//! Whether a line is asked for, by its text: for lines that no store has searched.

use std::borrow::Cow;

use serde::Deserialize;

use super::filters::{CATEGORIES, DECISIONS, Query, SEVERITIES};
use crate::record::{Kind, Line};

/// What filters look at. Members that are no text are as if they were not there.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Members<'a> {
    #[serde(borrow)]
    user_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    groups: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    category: Option<Cow<'a, str>>,
    #[serde(borrow)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow)]
    decision: Option<Cow<'a, str>>,
    #[serde(borrow)]
    endpoint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow)]
    metadata: About<'a>,
}

/// What an audit entry is about.
#[derive(Default, Deserialize)]
#[serde(default)]
struct About<'a> {
    #[serde(borrow)]
    endpoint: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
}

// === impl Query ===

impl Query {
    /// Whether this line is asked for.
    pub fn lets(&self, line: &Line) -> bool {
        let filter = &self.filter;
        let kinds: &[Kind] = if filter.kinds.is_empty() { &[Kind::Audit, Kind::Usage] } else { &filter.kinds };
        if !kinds.contains(&line.kind)
            || filter.since.is_some_and(|since| line.at < since)
            || filter.until.is_some_and(|until| line.at >= until)
        {
            return false;
        }
        if !self.asks_for_members() {
            return true;
        }
        let Ok(members) = serde_json::from_str::<Members<'_>>(&line.text) else { return false };
        let (endpoint, model) = match line.kind {
            Kind::Usage => (&members.endpoint, &members.model),
            Kind::Audit | Kind::Head => (&members.metadata.endpoint, &members.metadata.model),
        };
        same(&filter.user, &members.user_id)
            && same(&filter.role, &members.role)
            && filter.group.as_deref().is_none_or(|group| members.groups.iter().any(|of| of == group))
            && one_of(filter.category.map(|category| [category]), CATEGORIES, &members.category)
            && one_of(self.severities(), SEVERITIES, &members.severity)
            && same(&filter.action, &members.action)
            && one_of(filter.decision.map(|decision| [decision]), DECISIONS, &members.decision)
            && same(&filter.endpoint, endpoint)
            && same(&filter.model, model)
    }

    fn asks_for_members(&self) -> bool {
        let filter = &self.filter;
        let texts = [&filter.user, &filter.role, &filter.group, &filter.action, &filter.endpoint, &filter.model];
        texts.iter().any(|text| text.is_some())
            || filter.category.is_some()
            || filter.decision.is_some()
            || self.at_least.is_some()
    }
}

fn same(asked: &Option<Box<str>>, has: &Option<Cow<'_, str>>) -> bool {
    asked.as_deref().is_none_or(|asked| has.as_deref() == Some(asked))
}

/// Whether the word stands for one of those that are asked for.
fn one_of<T: Copy + PartialEq>(
    asked: Option<impl IntoIterator<Item = T>>,
    words: &[(&str, T)],
    has: &Option<Cow<'_, str>>,
) -> bool {
    let Some(asked) = asked else { return true };
    let Some(has) = has else { return false };
    let meant = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(has)).map(|(_, meant)| *meant);
    meant.is_some_and(|meant| asked.into_iter().any(|asked| asked == meant))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Category, Decision, Severity, samples};
    use crate::store::Filter;

    fn query(filter: Filter) -> Query {
        Query { filter, at_least: None }
    }

    #[test]
    fn a_line_is_let_through_where_everything_holds() {
        let (refusal, turn) = (samples::refusal(1).line().unwrap(), samples::turn(2).line().unwrap());
        let later = turn.at;
        let cases = [
            (query(Filter::default()), true, true),
            (query(Filter { kinds: vec![Kind::Usage], ..Filter::default() }), false, true),
            (query(Filter { kinds: vec![Kind::Head], ..Filter::default() }), false, false),
            (query(Filter { user: Some("6b012e4109cc968f8a928bce".into()), ..Filter::default() }), true, true),
            (query(Filter { user: Some("000000000000000000000000".into()), ..Filter::default() }), false, false),
            (query(Filter { role: Some("USER".into()), ..Filter::default() }), true, true),
            (query(Filter { group: Some("staff".into()), ..Filter::default() }), false, false),
            (query(Filter { category: Some(Category::Security), ..Filter::default() }), true, false),
            (query(Filter { category: Some(Category::Api), ..Filter::default() }), false, false),
            (query(Filter { action: Some("chat.turn".into()), ..Filter::default() }), true, false),
            (query(Filter { decision: Some(Decision::Deny), ..Filter::default() }), true, false),
            (query(Filter { decision: Some(Decision::Allow), ..Filter::default() }), false, false),
            (query(Filter { endpoint: Some("openAI".into()), ..Filter::default() }), true, true),
            (query(Filter { model: Some("gpt-4o".into()), ..Filter::default() }), true, false),
            (query(Filter { since: Some(later), ..Filter::default() }), false, true),
            (query(Filter { until: Some(later), ..Filter::default() }), true, false),
            (Query { at_least: Some(Severity::Info), ..Query::default() }, true, false),
            (Query { at_least: Some(Severity::Warning), ..Query::default() }, true, false),
            (Query { at_least: Some(Severity::Error), ..Query::default() }, false, false),
        ];
        for (query, refused, ran) in cases {
            assert_eq!((query.lets(&refusal), query.lets(&turn)), (refused, ran), "{query:?}");
        }
    }

    #[test]
    fn a_group_is_one_of_the_list() {
        let text = r#"{"kind":"usage","_id":"00000000-0000-0000-0000-000000000001","timestamp":"2026-11-21T08:15:00Z","groups":["a","b"]}"#;
        let line = Line::read(text).unwrap();
        assert!(query(Filter { group: Some("b".into()), ..Filter::default() }).lets(&line));
        assert!(!query(Filter { group: Some("c".into()), ..Filter::default() }).lets(&line));
    }
}
