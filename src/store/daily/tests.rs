use super::*;
use crate::record::samples;

fn turn(members: &str) -> Facts {
    Facts::read(&format!("{{{members}}}")).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn a_day_is_what_its_turns_say() {
    let mut sums = Sums::default();
    let runs = r#"[{"endpoint":"b","model":"y","tokens":{"input":1,"output":2}},
                   {"endpoint":"a","model":"x","tokens":{"input":1},"cost":"0.5"}]"#;
    for (second, members) in [
        (5, format!(r#""role":"ADMIN","outcome":"started","time":2.5,"endpoint":"a","model":"x","runs":{runs},
                       "tokens":{{"input":2,"cachedInput":10,"cacheWrite":100,"output":1000}},"cost":"0.25""#)),
        (9, r#""role":"USER","outcome":"refused","time":0.5,"endpoint":"a","model":"x""#.to_owned()),
        (7, r#""role":"PRO","outcome":"failed","time":9.0,"endpoint":"a","model":"x","cost":"0.000000000001","tokens":{"output":1}"#.to_owned()),
        (8, r#""role":"PRO","outcome":"abandoned","time":0.0,"endpoint":"a","model":"x""#.to_owned()),
    ] {
        sums.add(at(second), &turn(&members));
    }
    let kept: Sums = serde_json::from_str(&serde_json::to_string(&sums).unwrap()).unwrap();
    assert_eq!(kept, sums);
    let day = kept.told("k".into(), "ann".into(), day(at(5)));
    assert_eq!((&*day.role, day.day.to_string().as_str()), ("USER", "1970-01-01"), "the role of the last turn");
    assert_eq!((day.api_calls, day.message_count, day.errors), (4, 1, 2));
    assert_eq!(day.token_usage, DayTokens { input: 112, cached: 10, output: 1001, total: 1113 });
    assert_eq!(day.cost, Some(Usd(250_000_000_001)));
    assert_eq!(day.response_time, ResponseTime { avg: 3.0, min: 0.0, max: 9.0 });
    let model = |endpoint: &str, model: &str, count, (input, cached, output), cost: Option<u64>| DayModel {
        endpoint: endpoint.into(),
        model: model.into(),
        count,
        tokens: DayTokens { input, cached, output, total: input + output },
        cost: cost.map(Usd),
    };
    assert_eq!(
        day.model_usage,
        [model("a", "x", 4, (1, 0, 1), Some(500_000_000_001)), model("b", "y", 1, (1, 0, 2), None)]
    );
}

#[test]
fn days_are_those_of_utc() {
    for (moment, expected) in [
        ("2026-11-21T23:59:59.999999999Z", "2026-11-21"),
        ("2026-11-22T00:00:00Z", "2026-11-22"),
        ("1969-12-31T23:59:59Z", "1969-12-31"),
    ] {
        let moment: Timestamp = moment.parse().unwrap();
        let day = day(moment);
        assert_eq!(day.to_string(), expected);
        assert!(midnight(day) <= moment && moment < midnight(day.tomorrow().unwrap()));
    }
    assert!(key(day(at(0)), "ann") < key(day(at(86_400)), "aaa"), "the day comes first");
}

#[test]
fn a_sample_is_a_turn() {
    let mut sums = Sums::default();
    sums.add(at(0), &Facts::read(&samples::turn(1).line().unwrap().text).unwrap());
    assert_eq!((sums.calls, sums.messages, sums.models.len()), (1, 1, 1));
}
