use super::*;

fn place(file: &str, text: &str, blamed: &str) -> Place {
    let start = text.find(blamed).expect("the blamed text is in the file");
    let before = text.get(..start).unwrap();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place {
        file: file.into(),
        line: u32::try_from(before.matches('\n').count()).unwrap() + 1,
        column: u32::try_from(before.get(line_start..).unwrap().chars().count()).unwrap() + 1,
        span: (start..start + blamed.len()).into(),
    }
}

#[test]
fn faults_are_drawn_with_their_line_and_sorted() {
    let text = "version: 1\nroles:\n  USER:\n    unrestrictd: true\n";
    let mut report = Report::new();
    report.add_source("b.yaml", text.into());
    report.push(Fault::warning("late", "something looks odd").at(place("b.yaml", text, "USER")));
    report.push(
        Fault::error("unknown-key", "unknown key \"unrestrictd\"").help("did you mean \"unrestricted\"?").at(place(
            "b.yaml",
            text,
            "unrestrictd",
        )),
    );
    report.push(Fault::error("unreadable", "cannot read the file: permission denied").at(Place::file("a.yaml")));
    report.push(Fault::error("no-place", "nothing to read"));
    let expected = "\
error[no-place]: nothing to read

error[unreadable]: cannot read the file: permission denied
--> a.yaml

warning[late]: something looks odd
 --> b.yaml:3:3
  |
3 |   USER:
  |   ^^^^

error[unknown-key]: unknown key \"unrestrictd\"
 --> b.yaml:4:5
  |
4 |     unrestrictd: true
  |     ^^^^^^^^^^^
  |
  = help: did you mean \"unrestricted\"?

3 faults in 2 files, 1 warning
";
    assert_eq!(report.render_human(false), expected);
    assert_eq!(report.to_string(), expected);
    assert!(report.has_errors());
}

#[test]
fn colour_adds_escapes_and_nothing_else() {
    let mut report = Report::new();
    report.push(Fault::error("code", "message").at(Place::file("a.yaml")));
    let (plain, colour) = (report.render_human(false), report.render_human(true));
    assert!(!plain.contains('\u{1b}'));
    assert!(colour.contains('\u{1b}'));
}

#[test]
fn a_related_place_is_drawn_too() {
    let (first, second) = ("roles:\n  USER: {}\n", "roles:\n\n  USER: {}\n");
    let mut report = Report::new();
    report.add_source("a.yaml", first.into());
    report.add_source("b.yaml", second.into());
    report.push(
        Fault::error("defined-twice", "role \"USER\" is defined twice")
            .at(place("b.yaml", second, "USER"))
            .related(place("a.yaml", first, "USER"), "first defined here"),
    );
    let text = report.render_human(false);
    assert!(text.contains("--> b.yaml:3:3"), "{text}");
    assert!(text.contains("::: a.yaml:2:3"), "{text}");
    assert!(text.contains("first defined here"), "{text}");
}

#[test]
fn a_file_whose_source_was_not_given_shows_only_its_position() {
    let text = "secret: hunter2\n";
    let mut report = Report::new();
    report.push(Fault::error("bad", "the value is too short").at(place("s.yaml", text, "hunter2")));
    assert_eq!(report.render_human(false), "error[bad]: the value is too short\n--> s.yaml:1:9\n\n1 fault in 1 file\n");
}

#[test]
fn json_names_what_is_known_and_null_for_the_rest() {
    let text = "a: b\n";
    let mut report = Report::new();
    report.push(Fault::error("bad", "bad value").help("write c").at(place("x.yaml", text, "b")));
    report.push(Fault::warning("whole", "odd file").at(Place::file("x.yaml")));
    report.push(Fault::warning("none", "odd"));
    let value: serde_json::Value = serde_json::from_str(&report.render_json()).unwrap();
    assert_eq!(
        value,
        serde_json::json!([
            {"code": "none", "severity": "warning", "file": null, "line": null, "column": null,
             "message": "odd", "help": null},
            {"code": "whole", "severity": "warning", "file": "x.yaml", "line": null, "column": null,
             "message": "odd file", "help": null},
            {"code": "bad", "severity": "error", "file": "x.yaml", "line": 1, "column": 4,
             "message": "bad value", "help": "write c"},
        ])
    );
    assert_eq!(Report::new().render_json(), "[]");
}

#[test]
fn summaries_count() {
    let fault = |file: &str| Fault::error("e", "m").at(Place::file(file));
    let mut report = Report::new();
    assert_eq!(report.summary(), "no faults");
    assert_eq!(report.render_human(false), "");
    report.push(Fault::warning("w", "m").at(Place::file("a")));
    assert_eq!(report.summary(), "1 warning in 1 file");
    assert!(!report.has_errors());
    report.push(fault("a"));
    report.push(fault("b"));
    assert_eq!(report.summary(), "2 faults in 2 files, 1 warning");
    report.merge(fault("a").into());
    assert_eq!(report.summary(), "3 faults in 2 files, 1 warning");
}

#[test]
fn places_at_odd_positions_do_not_break_the_drawing() {
    let text = "ä: ö\r\nlast";
    for (start, end) in
        [(0, 0), (0, 400), (1, 2), (2, 3), (4, 6), (7, 8), (8, 12), (12, 12), (12, 40), (99, 100), (5, 2)]
    {
        let mut report = Report::new();
        report.add_source("x", text.into());
        let span = ByteSpan { start, end };
        report.push(Fault::error("e", "m").at(Place { file: "x".into(), line: 1, column: 1, span }));
        let drawn = report.render_human(false);
        assert!(drawn.starts_with("error[e]: m\n"), "{start}..{end}: {drawn}");
    }
}

#[test]
fn control_characters_never_reach_the_terminal() {
    let mut report = Report::new();
    let text = "a: \u{1b}[31mred\u{202e}\n";
    report.add_source("x\u{7}.yaml", text.into());
    report.push(Fault::error("e", "bad \u{1b}[31m name").help("remove \u{9b}").at(place(
        "x\u{7}.yaml",
        text,
        "\u{1b}[31mred",
    )));
    let drawn = report.render_human(false);
    assert!(drawn.chars().all(|c| c == '\n' || !c.is_control()), "{drawn:?}");
    assert!(drawn.contains("bad \\u{1b}[31m name"), "{drawn}");
}

#[test]
fn names_are_quoted() {
    assert_eq!(quoted("gpt-4o"), "\"gpt-4o\"");
    assert_eq!(quoted("a\"b\\c\n\u{feff}"), r#""a\"b\\c\n\u{feff}""#);
    assert_eq!(counted(1, "entry"), "1 entry");
    assert_eq!(counted(2, "entry"), "2 entries");
}
