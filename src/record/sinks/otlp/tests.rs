use parking_lot::Mutex;

use super::*;
use crate::record::samples::{event, refusal, turn};
use crate::record::{Category, Entry, Severity};

/// A collector that gives one answer, and keeps what it was asked.
struct Says(Result<Answer, String>, std::sync::Arc<Mutex<Vec<Bytes>>>);

#[async_trait]
impl Collector for Says {
    async fn post(&self, document: Bytes) -> Result<Answer, String> {
        self.1.lock().push(document);
        self.0.clone()
    }
}

/// How a batch of two went: done, and else whether it may be repeated and why it has to be.
async fn ended(says: Result<(u16, &'static str), &str>) -> Result<(), (bool, String)> {
    let says = says.map(|(status, body)| Answer { status, body: body.into() }).map_err(str::to_owned);
    let lines = [refusal(1), turn(2)].map(|entry| entry.line().unwrap());
    let written = Otlp::new(Says(says, Default::default())).write(&lines).await;
    written.map_err(|error| (error.transient, error.message))
}

#[tokio::test]
async fn only_a_whole_200_means_that_lines_have_arrived() {
    for body in [
        "",
        "{}",
        r#"{"partialSuccess":{}}"#,
        r#"{"partialSuccess":null}"#,
        r#"{"partialSuccess":{"rejectedLogRecords":"0","errorMessage":"x"}}"#,
    ] {
        assert_eq!(ended(Ok((200, body))).await, Ok(()), "{body}");
    }
    for (says, transient, why) in [
        (Err("no connection"), true, "no connection"),
        (
            Ok((200, r#"{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"a secret"}}"#)),
            false,
            "rejects 1 of 2 records",
        ),
        (Ok((200, r#"{"partialSuccess":{"rejectedLogRecords":2}}"#)), false, "rejects 2 of 2 records"),
        (Ok((200, r#"{"partialSuccess":{"rejectedLogRecords":"-1"}}"#)), true, "none of OTLP"),
        (Ok((200, "<html>sign in</html>")), true, "none of OTLP"),
        (Ok((202, "")), false, "status 202"),
        (Ok((302, "")), true, "status 302"),
        (Ok((400, "")), false, "status 400"),
        (Ok((401, "")), true, "status 401"),
        (Ok((403, "")), true, "status 403"),
        (Ok((404, "")), true, "status 404"),
        (Ok((413, "")), false, "status 413"),
        (Ok((429, "")), true, "status 429"),
        (Ok((500, "")), false, "status 500"),
        (Ok((502, "")), true, "status 502"),
        (Ok((503, "")), true, "status 503"),
        (Ok((504, "")), true, "status 504"),
    ] {
        let (again, message) = ended(says).await.unwrap_err();
        assert_eq!(again, transient, "{says:?}: {message}");
        assert!(message.contains(why) && !message.contains("secret"), "{says:?}: {message}");
    }
}

#[tokio::test]
async fn each_line_is_a_record_with_its_text_as_body() {
    let lines = [refusal(1), turn(2), event(3)].map(|entry| entry.line().unwrap());
    let asked = std::sync::Arc::default();
    let ok = Answer { status: 200, body: Bytes::new() };
    Otlp::new(Says(Ok(ok), std::sync::Arc::clone(&asked))).write(&lines).await.unwrap();
    let asked: Value = serde_json::from_slice(&asked.lock()[0]).unwrap();
    let resource = &asked["resourceLogs"][0];
    assert_eq!(
        resource["resource"]["attributes"][0],
        json!({"key": "service.name", "value": {"stringValue": "tollgate"}})
    );
    assert_eq!(resource["scopeLogs"][0]["scope"], json!({"name": "tollgate.record"}));
    let records = resource["scopeLogs"][0]["logRecords"].as_array().unwrap();
    let bodies: Vec<_> = records.iter().map(|record| record["body"]["stringValue"].as_str().unwrap()).collect();
    assert_eq!(bodies, lines.iter().map(|line| &*line.text).collect::<Vec<_>>());
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let attributes = json!([
        text("kind", "audit"),
        text("_id", &lines[0].id.to_string()),
        text("category", "SECURITY"),
        text("severity", "WARNING")
    ]);
    assert_eq!(records[0]["attributes"], attributes);
    assert_eq!((&records[0]["severityNumber"], &records[0]["severityText"]), (&json!(13), &json!("WARNING")));
    assert_eq!(records[0]["timeUnixNano"], "1800000000000001000");
    assert_eq!(records[1]["attributes"], json!([text("kind", "usage"), text("_id", &lines[1].id.to_string())]));
    assert_eq!((&records[1]["severityNumber"], records[1].get("severityText")), (&json!(9), None));
}

#[test]
fn each_severity_has_its_number() {
    let line = |severity| {
        let Entry::Event(mut one) = event(1) else { panic!() };
        (one.severity, one.category) = (severity, Category::System);
        Entry::Event(one).line().unwrap()
    };
    let number = |severity| record(&line(severity))["severityNumber"].as_u64().unwrap();
    let all = [Severity::Info, Severity::Warning, Severity::Error, Severity::Critical].map(number);
    assert_eq!(all, [9, 13, 17, 21]);
}
