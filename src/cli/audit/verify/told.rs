//! What a verification found, for people and for programs.

use std::io::{self, Write};

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::cli::record::moments::shown;
use crate::cli::record::plain::plain;
use crate::cli::record::progress::grouped;
use crate::cli::record::table::{Side, Table};
use crate::record::verify::{Chained, Finding, Report, UNSIGNED};

/// So many findings are told to people; programs get more.
const MOST: usize = 20;

/// What becomes of it all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The record is what was written.
    Good,
    /// What is signed is, and more is at its end than can be let pass.
    Unsigned,
    /// It is not.
    Wrong,
}

// === impl Verdict ===

impl Verdict {
    /// `strict`: nothing at the end may be unsigned. In a store a running Tollgate signs it in a minute; in a file nobody ever does.
    pub(super) fn of(report: &Report, strict: bool) -> Self {
        // One without any chain may be one that somebody has emptied.
        if !report.is_good() || report.chains.is_empty() {
            return Self::Wrong;
        }
        let unsigned = report.late > 0 && (strict || report.is_much_late() || report.behind > 0);
        if unsigned { Self::Unsigned } else { Self::Good }
    }
}

/// A table of the chains, what else there is to know, and the findings; what matters most comes last.
pub(super) fn human(report: &Report, verdict: Verdict, zone: &TimeZone, out: &mut dyn Write) -> io::Result<()> {
    if report.chains.is_empty() && report.is_good() {
        return writeln!(out, "NOT VERIFIED: there is no entry with a chain, so that nothing can be told");
    }
    let (left, right) = (Side::Left, Side::Right);
    let mut table = Table::new([
        ("INSTANCE", left),
        ("KIND", left),
        ("ENTRIES", right),
        ("ERASED", right),
        ("LOST", right),
        ("EXPIRED", right),
        ("SIGNED UP TO", right),
        ("SIGNED AT", left),
        ("UNSIGNED", right),
        ("FINDINGS", right),
    ]);
    for chain in report.chains.iter().filter(|chain| !is_empty(report, chain)) {
        let (upto, at) = match chain.covered {
            Some((seq, at)) => (grouped(seq), shown(at, zone)),
            None => ("-".to_owned(), "-".to_owned()),
        };
        let numbers = [chain.entries, chain.erased, chain.lost, chain.expired].map(grouped);
        let mut row = vec![chain.instance.to_string(), chain.kind.to_string()];
        row.extend(numbers);
        row.extend([upto, at, grouped(chain.uncovered), grouped(findings(report, chain))]);
        table.row(row);
    }
    table.write(out)?;
    writeln!(out)?;
    for (count, what) in [
        (report.lost(), "lost, as the record itself tells"),
        (report.dropped.0, "audit entries never taken, as the record itself tells"),
        (report.dropped.1, "usage entries never taken, as the record itself tells"),
        (report.copies, "in more than one file"),
        (
            report.sums_behind,
            "sums of a user and day that have not all entries yet: a running Tollgate adds them up in seconds",
        ),
        (
            report.sums_alone,
            "sums of a user and day whose entries have expired or were erased: nothing vouches for them",
        ),
    ] {
        if count > 0 {
            writeln!(out, "{} {what}", grouped(count))?;
        }
    }
    if report.unchained > 0 {
        let newest =
            report.newest_unchained.map_or_else(String::new, |at| format!(" (the newest of {})", shown(at, zone)));
        let count = grouped(report.unchained);
        writeln!(out, "{count} without a chain{newest}: nothing vouches for what was kept before there were chains")?;
    }
    let entries = grouped(report.entries());
    let Some(first) = report.findings.first() else {
        let heads = grouped(report.heads);
        return match report.uncovered() {
            0 => writeln!(out, "OK: {entries} entries are what was written, by {heads} signed heads"),
            new => {
                let (signed, new) = (grouped(report.entries().saturating_sub(new)), grouped(new));
                writeln!(
                    out,
                    "OK as far as it is signed: {signed} entries are what was written, by {heads} signed heads"
                )?;
                let what = if verdict == Verdict::Unsigned { "NOT SIGNED" } else { "NOT SIGNED YET" };
                writeln!(out, "{what}: {new} more entries, for which nothing vouches; {}", advice(report, verdict))
            }
        };
    };
    let all = u64::try_from(report.findings.len()).unwrap_or(u64::MAX).saturating_add(report.more);
    writeln!(out, "NOT WHAT WAS WRITTEN: {} among {entries} entries. The first:", findings_counted(all))?;
    writeln!(out, "  {}", plain(&first.to_string()))?;
    for finding in report.findings.iter().take(MOST).skip(1) {
        writeln!(out, "  {}", plain(&finding.to_string()))?;
    }
    let told = u64::try_from(report.findings.len().min(MOST)).unwrap_or(u64::MAX);
    match all.saturating_sub(told) {
        0 => Ok(()),
        more => writeln!(out, "  and {} more", grouped(more)),
    }
}

/// A JSON object with everything.
pub(super) fn json(report: &Report, verdict: Verdict, out: &mut dyn Write) -> io::Result<()> {
    let chain = |chain: &Chained| {
        json!({
            "instance": chain.instance,
            "kind": chain.kind.as_str(),
            "entries": chain.entries,
            "erased": chain.erased,
            "lost": chain.lost,
            "expired": chain.expired,
            "from": chain.span.map(|span| span.0),
            "to": chain.span.map(|span| span.1),
            "signed": chain.covered.map(|(seq, at)| json!({"seq": seq, "at": at.to_string()})),
            "unsigned": chain.uncovered,
            "findings": findings(report, chain),
        })
    };
    let object = json!({
        "ok": verdict == Verdict::Good,
        "entries": report.entries(),
        "heads": report.heads,
        "unsigned": report.uncovered(),
        "behind": report.behind,
        "erasures": report.erasures,
        "dropped": {"audit": report.dropped.0, "usage": report.dropped.1},
        "unchained": report.unchained,
        "copies": report.copies,
        "sums": {"good": report.sums, "behind": report.sums_behind, "alone": report.sums_alone},
        "chains": report.chains.iter().map(chain).collect::<Vec<_>>(),
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
        "more": report.more,
    });
    writeln!(out, "{object:#}")
}

/// What to do about entries that nobody has signed.
fn advice(report: &Report, verdict: Verdict) -> String {
    if verdict == Verdict::Good {
        "verify again in a minute".to_owned()
    } else if report.behind > 0 {
        format!("heads of {} are on their way, as after an outage: verify again in a minute", grouped(report.behind))
    } else if report.is_much_late() {
        format!("one Tollgate leaves {} at most: verify again in a minute", grouped(UNSIGNED))
    } else {
        "in a store a running Tollgate signs them in a minute, in a file nobody does: verify the store, or a later export"
            .to_owned()
    }
}

fn finding(finding: &Finding) -> Value {
    json!({
        "what": finding.what.as_str(),
        "kind": finding.kind.map(|kind| kind.as_str()),
        "instance": finding.instance,
        "from": finding.seq.map(|seq| seq.0),
        "to": finding.seq.map(|seq| seq.1),
        "id": finding.id,
        "at": finding.at.map(|at| at.to_string()),
        "sentence": finding.to_string(),
    })
}

/// Findings about this chain.
fn findings(report: &Report, chain: &Chained) -> u64 {
    let about = |finding: &&Finding| finding.instance == Some(chain.instance) && finding.kind == Some(chain.kind);
    u64::try_from(report.findings.iter().filter(about).count()).unwrap_or(u64::MAX)
}

/// A chain that never had an entry: a command leaves one of its two empty.
fn is_empty(report: &Report, chain: &Chained) -> bool {
    chain.entries == 0 && chain.lost == 0 && chain.expired == 0 && findings(report, chain) == 0
}

fn findings_counted(count: u64) -> String {
    if count == 1 { "1 finding".to_owned() } else { format!("{} findings", grouped(count)) }
}
