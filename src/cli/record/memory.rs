//! A ledger in memory, for tests of commands.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::filters::Query;
use crate::record::{Kind, Line};
use crate::store::counters::Draw;
use crate::store::{
    Days, Erased, Filter, Found, Inspected, InspectedDays, Keep, Ledger, Mark, Order, Place, Row, Span, StoreError,
    Tomb,
};

/// Lines, found by reading all of them.
#[derive(Default)]
pub(crate) struct Memory(Mutex<Vec<Line>>);

// === impl Memory ===

impl Memory {
    pub(crate) fn of(lines: impl IntoIterator<Item = Line>) -> Self {
        Self(Mutex::new(lines.into_iter().collect()))
    }

    fn lines(&self) -> MutexGuard<'_, Vec<Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn member(line: &Line, name: &str) -> Value {
    serde_json::from_str::<Value>(&line.text).unwrap()[name].clone()
}

#[async_trait]
impl Ledger for Memory {
    async fn append(&self, lines: &[Line]) -> Result<(), StoreError> {
        let mut there = self.lines();
        for line in lines {
            if !there.iter().any(|other| (other.kind, other.id) == (line.kind, line.id)) {
                there.push(line.clone());
            }
        }
        Ok(())
    }

    async fn charged(&self, _: Timestamp) -> Result<Vec<Draw>, StoreError> {
        panic!("nobody asks")
    }

    async fn find(&self, filter: &Filter, after: Option<&Place>, most: usize) -> Result<Found, StoreError> {
        let (order, severity) = (filter.order, filter.severity);
        let query = Query { filter: Filter { severity: None, ..filter.clone() }, at_least: None };
        let word = severity.map(|severity| serde_json::to_value(severity).unwrap());
        let mut lines: Vec<_> = self.lines().iter().filter(|line| query.lets(line)).cloned().collect();
        lines.retain(|line| word.as_ref().is_none_or(|word| member(line, "severity") == *word));
        lines.sort_by_key(|line| (line.at, line.id));
        if order == Order::Newest {
            lines.reverse();
        }
        if let Some(Place { at, id }) = after {
            let beyond = |line: &Line| match order {
                Order::Oldest => (line.at, line.id) > (*at, *id),
                Order::Newest => (line.at, line.id) < (*at, *id),
            };
            lines.retain(beyond);
        }
        lines.truncate(most);
        Ok(Found { lines, unread: Vec::new() })
    }

    async fn chain(&self, instance: Uuid, kind: Kind, from: u64, most: usize) -> Result<Found, StoreError> {
        let number = |line: &Line| member(line, if kind == Kind::Head { "number" } else { "seq" }).as_u64();
        let mut lines: Vec<_> = self.lines().iter().filter(|line| line.kind == kind).cloned().collect();
        lines.retain(|line| member(line, "instance") == instance.to_string() && number(line) >= Some(from));
        lines.sort_by_key(number);
        lines.truncate(most);
        Ok(Found { lines, unread: Vec::new() })
    }

    async fn last(&self, instance: Uuid, kind: Kind) -> Result<Option<Line>, StoreError> {
        Ok(self.chain(instance, kind, 0, usize::MAX).await?.lines.pop())
    }

    async fn inspect(&self, kind: Kind, _: Option<&Mark>) -> Result<Inspected, StoreError> {
        let lines = self.lines().iter().filter(|line| line.kind == kind).cloned().collect::<Vec<_>>();
        let rows = lines.into_iter().map(|line| Row::Line { line, differs: Vec::new() }).collect();
        Ok(Inspected { rows, next: None })
    }

    async fn instances(&self) -> Result<Vec<Uuid>, StoreError> {
        let named = |line: &Line| member(line, "instance").as_str().map(|id| id.parse().unwrap());
        let mut ids: Vec<Uuid> = self.lines().iter().filter_map(named).collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    async fn erase(&self, _: &str, _: Tomb) -> Result<Erased, StoreError> {
        panic!("nobody asks")
    }

    async fn erasures(&self) -> Result<Vec<Uuid>, StoreError> {
        Ok(Vec::new())
    }

    async fn days(&self, _: &Span, _: Option<&str>, _: usize) -> Result<Days, StoreError> {
        Ok(Days::default())
    }

    async fn inspect_days(&self, _: Option<&Mark>) -> Result<InspectedDays, StoreError> {
        Ok(InspectedDays::default())
    }

    async fn add_up(&self, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }

    async fn expire(&self, _: &Keep, _: Timestamp) -> Result<bool, StoreError> {
        Ok(false)
    }
}
