use super::*;

/// A name, and what LibreChat's own functions say of it in dollars: input, output, cache write, cache read, input and output of
/// a call with 200,001 tokens. Nothing for a name that it does not know.
type Case = (String, Option<(f64, f64, Option<f64>, Option<f64>, f64, f64)>);

fn picodollars(dollars: f64) -> u64 {
    (dollars * 1e6).round() as u64
}

#[test]
fn every_rate_is_that_of_librechats_own_functions() {
    let lines = include_str!("../../../tests/captures/rates.jsonl").lines();
    let mut unknown = 0;
    let cases: Vec<Case> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
    for (name, said) in &cases {
        let Some((input, output, write, read, input_long, output_long)) = *said else {
            assert_eq!(known(name, 1_000), None, "{name}");
            assert_eq!(rate(name, 200_001), UNKNOWN, "{name}");
            unknown += 1;
            continue;
        };
        // Without rates of their own, caches are as dear as the input.
        let price = |input: f64, output: f64| Price {
            input: picodollars(input),
            cached_input: picodollars(read.unwrap_or(input)),
            cache_write: picodollars(write.unwrap_or(input)),
            output: picodollars(output),
        };
        assert_eq!(known(name, 1_000), Some(price(input, output)), "{name}");
        assert_eq!(known(name, 200_001), Some(price(input_long, output_long)), "{name}");
    }
    assert!(cases.len() > 700 && unknown > 5, "{} {unknown}", cases.len());
    // Each row of the table is asked for by its own name.
    assert!(ROWS.iter().all(|(name, ..)| cases.iter().any(|(case, _)| case == name)));
}

#[test]
fn captured_rows_have_these_rates() {
    // captures/base/chat-cost.json: 20 and 11 tokens of gpt-4o, 70 and 11 of gpt-4o-mini, for 177.1 credits.
    let tokens = |input, output| crate::policy::charges::Tokens { input, output, ..Default::default() };
    let cost = rate("gpt-4o", 20).of(&tokens(20, 11)) + rate("gpt-4o-mini", 70).of(&tokens(70, 11));
    assert_eq!(cost, 177_100_000);
}

#[test]
fn a_long_prompt_makes_what_is_dearer_dearer_from_the_next_token_on() {
    let input = |model, given| rate(model, given).input;
    assert_eq!(
        (input("gemini-3.1-pro-preview", 200_000), input("gemini-3.1-pro-preview", 200_001)),
        (2_000_000, 4_000_000)
    );
    assert_eq!((input("gemini-3.1-flash-lite", 200_000), input("gemini-3.1-flash-lite", 200_001)), (250_000, 250_000));
}
