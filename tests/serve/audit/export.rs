//! The record as a file.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::json;

use super::{USER, err, of_kind, out, refusal, texts, thirty, turn, with_stores};

#[tokio::test(flavor = "multi_thread")]
async fn lines_are_exported_as_they_are_kept_in_the_order_of_time() {
    with_stores(async |scene| {
        let lines = thirty();
        let shuffled: Vec<_> = (0..30).map(|n| lines[n * 7 % 30].clone()).collect();
        scene.keep(&shuffled).await;
        assert_eq!(scene.told(&["audit", "export"]), texts(&lines), "{}", scene.sink);
        let made = scene.run(&["audit", "export", "--out", "record.jsonl"]);
        assert_eq!((made.status.code(), out(&made).as_str()), (Some(0), ""));
        assert_eq!(err(&made), "30 entries written to record.jsonl\n");
        let file = scene.dir.path().join("record.jsonl");
        assert_eq!(fs::read_to_string(&file).unwrap(), texts(&lines));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o777, 0o600);
        assert!(!scene.dir.path().join("record.jsonl.part").exists());
        let again = scene.run(&["audit", "export", "--out", "record.jsonl"]);
        assert_eq!(again.status.code(), Some(1));
        assert!(err(&again).contains("is there already"), "{}", err(&again));
        // Out of files, the same: in any order, twice, and with the same filters.
        fs::write(scene.dir.path().join("rotated.jsonl"), texts(shuffled.iter().rev())).unwrap();
        let files = ["audit", "export", "--file", "rotated.jsonl", "record.jsonl"];
        assert_eq!(scene.told(&files), texts(&lines));
        for filter in
            [["--user", USER], ["--severity", "error"], ["--kind", "usage"], ["--model", "gpt-4o"], ["--group", "lab"]]
        {
            let (store, file) = ([&["audit", "export"], &filter[..]].concat(), [&files[..], &filter[..]].concat());
            let told = scene.told(&store);
            assert_eq!(scene.told(&file), told, "{filter:?}");
            assert!(!told.is_empty() && told.len() < texts(&lines).len(), "{filter:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spreadsheet_takes_nothing_for_a_formula() {
    with_stores(async |scene| {
        let evil = json!({"details": {
            "ip": "192.0.2.7", "userAgent": "=HYPERLINK(\"http://evil.test\",\"a, b\")\r\nx", "method": "POST",
            "path": "@SUM(1)", "query": ["+a", "b"], "response": {"status": 403, "time": 0.5},
        }});
        scene.keep(&[refusal(1, evil), turn(2, json!({"model": "-1+1"})), refusal(3, json!({}))]).await;
        let told = scene.told(&["audit", "export", "--format", "csv"]);
        let mut table = csv::Reader::from_reader(told.as_bytes());
        let names = table.headers().unwrap().clone();
        let rows: Vec<_> = table.records().map(Result::unwrap).collect();
        assert_eq!(rows.len(), 2, "one kind, audit where none is named: {told}");
        let cell = |row: usize, name: &str| rows[row][names.iter().position(|it| it == name).unwrap()].to_owned();
        assert_eq!(cell(0, "userAgent"), "'=HYPERLINK(\"http://evil.test\",\"a, b\")\r\nx");
        assert_eq!((cell(0, "path").as_str(), cell(0, "query").as_str()), ("'@SUM(1)", "'+a; b"));
        assert_eq!((cell(1, "status").as_str(), cell(1, "model").as_str()), ("403", "gpt-4o"));
        assert!(told.lines().all(|line| !line.starts_with(['=', '+', '-', '@'])) && told.ends_with("\r\n"));
        let told = scene.told(&["audit", "export", "--format", "csv", "--kind", "usage"]);
        assert!(told.contains(",\"'-1+1\",") && told.contains(",1200,1024,0,340,0.0004608,"), "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_heard_enough_is_no_failure() {
    with_stores(async |scene| {
        let lines: Vec<_> = (0..3_000).map(|n| refusal(n, json!({}))).collect();
        scene.keep(&lines).await;
        for arguments in
            [vec!["audit", "export"], vec!["audit", "tail", "-n", "3000"], vec!["audit", "export", "--format", "csv"]]
        {
            let mut child = scene.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut reader = BufReader::with_capacity(1 << 10, child.stdout.take().unwrap());
            reader.read_line(&mut String::new()).unwrap();
            drop(reader);
            let mut told = String::new();
            child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
            assert_eq!((child.wait().unwrap().code(), told.as_str()), (Some(0), ""), "{arguments:?}");
        }
        assert_eq!(
            of_kind(&lines, "audit").len(),
            scene.told(&["audit", "export"]).lines().count(),
            "more than a page"
        );
    })
    .await;
}
