//! Printing a report: source lines and underlines for people, JSON for programs.

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};
use serde::Serialize;

use super::{ByteSpan, Fault, Place, Report, Severity, shown};

/// One fault as programs read it. A published format: the names stay.
#[derive(Serialize)]
struct Line<'a> {
    code: &'a str,
    severity: Severity,
    file: Option<String>,
    line: Option<u32>,
    column: Option<u32>,
    message: &'a str,
    help: Option<&'a str>,
}

/// A line of a source file: its text, and the part of it to underline.
struct Cut<'a> {
    text: &'a str,
    span: std::ops::Range<usize>,
}

pub(super) fn human(report: &Report, colour: bool) -> String {
    if report.is_empty() {
        return String::new();
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for fault in report.faults() {
        text.push_str(&one(report, fault, &renderer));
        text.push_str("\n\n");
    }
    text.push_str(&report.summary());
    text.push('\n');
    text
}

pub(super) fn json(report: &Report) -> String {
    let lines: Vec<_> = report.faults().into_iter().map(line).collect();
    // The structure has string keys and plain values only, which always serialise.
    serde_json::to_string_pretty(&lines).unwrap_or_else(|_| "[]".to_owned())
}

fn line(fault: &Fault) -> Line<'_> {
    let place = fault.place.as_ref();
    Line {
        code: fault.code,
        severity: fault.severity,
        file: place.map(|place| shown(&place.file)),
        line: place.map(|place| place.line).filter(|line| *line > 0),
        column: place.map(|place| place.column).filter(|column| *column > 0),
        message: &fault.message,
        help: fault.help.as_deref(),
    }
}

fn one(report: &Report, fault: &Fault, renderer: &Renderer) -> String {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = level.primary_title(fault.message.as_str()).id(fault.code).elements(Vec::<Origin<'_>>::new());
    if let Some(place) = &fault.place {
        group = match cut(report, place) {
            Some(cut) => group.element(snippet(place, &cut, AnnotationKind::Primary, None)),
            None => group.element(origin(place)),
        };
    }
    if let Some(related) = &fault.related {
        group = match cut(report, &related.place) {
            Some(cut) => group.element(snippet(&related.place, &cut, AnnotationKind::Context, Some(related.label))),
            None => group.element(origin(&related.place)),
        };
    }
    if let Some(help) = &fault.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    renderer.render(&[group])
}

fn snippet<'a>(
    place: &Place,
    cut: &Cut<'a>,
    kind: AnnotationKind,
    label: Option<&'static str>,
) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
    Snippet::source(cut.text)
        .line_start(place.line as usize)
        .path(shown(&place.file))
        .annotation(kind.span(cut.span.clone()).label(label))
}

fn origin(place: &Place) -> Origin<'static> {
    let origin = Origin::path(shown(&place.file));
    match place.line {
        0 => origin,
        line => origin.line(line as usize).char_column(place.column as usize),
    }
}

/// The line on which the place begins. A span that goes on over the end of the line is underlined up to there.
fn cut<'a>(report: &'a Report, place: &Place) -> Option<Cut<'a>> {
    let ByteSpan { start, end } = place.span;
    if place.line == 0 {
        return None;
    }
    let source = report.source(&place.file)?;
    let before = source.get(..start)?;
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let text = source.get(line_start..)?.lines().next().unwrap_or_default();
    let from = (start - line_start).min(text.len());
    let to = end.saturating_sub(line_start).clamp(from, text.len());
    text.get(from..to).map(|_| Cut { text, span: from..to })
}
