//! Reads the chains of a ledger, each in the order of its numbers.

use std::sync::Arc;

use serde::Deserialize;
use uuid::Uuid;

use super::Failure;
use crate::record::{Kind, Line};
use crate::store::Ledger;

/// Lines of a page.
const PAGE: usize = 1_000;

/// The members that number a line.
#[derive(Deserialize)]
struct Numbered {
    seq: Option<u64>,
    number: Option<u64>,
    instance: Option<Uuid>,
}

/// The number of a line in its chain, as far as its text says it.
pub fn number(line: &Line) -> Option<u64> {
    let Numbered { seq, number, .. } = serde_json::from_str(&line.text).ok()?;
    match line.kind {
        Kind::Audit | Kind::Usage => seq,
        Kind::Head => number,
    }
}

/// Whether the line's text says which chain it is in, and where.
pub fn is_placed(line: &Line) -> bool {
    let numbered: Option<Numbered> = serde_json::from_str(&line.text).ok();
    numbered.is_some_and(|numbered| numbered.instance.is_some()) && number(line).is_some()
}

/// Hands each line of a chain to `take`, up to this number: what comes after it was written while the others were read.
///
/// # Errors
/// [`Failure`] where the ledger does not answer.
pub async fn each(
    ledger: &Arc<dyn Ledger>,
    instance: Uuid,
    kind: Kind,
    to: u64,
    mut take: impl FnMut(&Line),
) -> Result<(), Failure> {
    let mut from = 0;
    loop {
        let page = ledger.chain(instance, kind, from, PAGE).await?.lines;
        let (whole, next) = if page.len() < PAGE { (page.len(), None) } else { cut(&page, from) };
        let page = page.get(..whole).unwrap_or_default();
        // One that has another number than its place is among the others.
        let within = page.iter().rposition(|line| number(line).is_none_or(|number| number <= to));
        page.iter().take(within.map_or(0, |last| last + 1)).for_each(&mut take);
        match next.filter(|next| *next <= to) {
            Some(next) => from = next,
            None => return Ok(()),
        }
    }
}

/// How many lines of a full page to take, and the number from which the next page goes on. The page is cut where a number and the
/// next one stand beside each other: repetitions of a number are not torn apart, and a line whose number somebody has changed
/// leads nowhere.
fn cut(page: &[Line], from: u64) -> (usize, Option<u64>) {
    let numbers: Vec<_> = page.iter().map(number).collect();
    let pairs = numbers.windows(2).enumerate().rev();
    let beside = pairs.filter_map(|(place, pair)| match pair {
        [Some(one), Some(other)] if *one >= from && one.checked_add(1) == Some(*other) => Some((place + 1, *other)),
        _ => None,
    });
    let last = || numbers.iter().flatten().copied().filter(|number| *number >= from).max().unwrap_or(from);
    let (whole, next) =
        beside.max_by_key(|(place, _)| *place).unwrap_or_else(|| (page.len(), last().saturating_add(1)));
    (whole, Some(next))
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    fn line(id: u128, seq: u64) -> Line {
        let (id, instance) = (Uuid::from_u128(id), Uuid::from_u128(1));
        let text = format!(
            r#"{{"kind":"audit","_id":"{id}","timestamp":"2026-11-21T08:00:00Z","instance":"{instance}","seq":{seq}}}"#
        );
        Line::read(&text).unwrap()
    }

    #[tokio::test]
    async fn every_line_of_a_long_chain_is_read_once() {
        let mut lines: Vec<_> = (1..=3_500).map(|seq| line(seq.into(), seq)).collect();
        // There twice, where pages end; and a gap.
        lines.insert(1_000, line(10_001, 1_000));
        lines.insert(1_001, line(10_002, 1_000));
        lines.retain(|line| !(2_100..2_200).contains(&number(line).unwrap()));
        let ledger: Arc<dyn Ledger> = Arc::new(Memory::of(lines.clone()));
        let mut read = Vec::new();
        each(&ledger, Uuid::from_u128(1), Kind::Audit, u64::MAX, |line| read.push(line.clone())).await.unwrap();
        assert_eq!(read, lines);
        for to in [0, 1, 999, 1_000, 1_001, 2_000, 2_150, 3_499, 3_500] {
            read.clear();
            each(&ledger, Uuid::from_u128(1), Kind::Audit, to, |line| read.push(line.clone())).await.unwrap();
            let expected: Vec<_> = lines.iter().filter(|line| number(line).unwrap() <= to).cloned().collect();
            assert_eq!(read, expected, "up to {to}");
        }
    }

    #[test]
    fn a_number_that_was_changed_leads_nowhere() {
        let mut page: Vec<_> = (1..=10).map(|seq| line(seq.into(), seq)).collect();
        page[9] = line(10, 1_000_000_000);
        assert_eq!(cut(&page, 0), (8, Some(9)));
        page[9] = line(10, 0);
        assert_eq!(cut(&page, 0), (8, Some(9)));
        let same: Vec<_> = (1..=10).map(|id| line(id, 7)).collect();
        assert_eq!(cut(&same, 7), (10, Some(8)));
        assert_eq!(cut(&same, 9), (10, Some(10)), "it goes on in any case");
    }
}
