//! The tools that an action adds to a stored agent (CONTRACT.md B.7).
//!
//! For each function of the action LibreChat adds a tool `<function>_action_<host>` to the agent, unchecked. The name of the
//! function is the writer's own; the host is that of `metadata.domain`, in the spelling of LibreChat's `domainParser`.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::Fields;
use crate::librechat::tools;
use crate::librechat::unreadable::Unreadable;
use crate::policy::words::Tool;

/// Between the name of a function and its host.
const ACTION: &str = "_action_";
/// What LibreChat writes for a full stop in a short host.
const STOP: &str = "---";
/// Longest host that LibreChat writes out, in UTF-16 units, and the length of what it writes for a longer one.
const LONGEST: usize = 10;

/// The tools that this body of `POST /api/agents/actions/:agent_id` adds.
///
/// # Errors
/// [`Unreadable::Action`] where JavaScript could make another name of it than is read here.
pub fn tools_of(body: &Fields) -> Result<Vec<Tool>, Unreadable> {
    let functions = body.get("functions").and_then(Value::as_array).ok_or(Unreadable::Action)?;
    let domain = match body.get("metadata").and_then(|metadata| metadata.get("domain")) {
        // LibreChat allows no such domain, and adds nothing.
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(domain) => domain.as_str().ok_or(Unreadable::Action)?,
    };
    let host = spelt(host_of(domain));
    let mut found = Vec::with_capacity(functions.len());
    for function in functions {
        let name = function.get("function").and_then(|function| function.get("name"));
        let name = name.and_then(Value::as_str).ok_or(Unreadable::Action)?;
        found.extend(tools::of_agent(&format!("{name}{ACTION}{host}")));
    }
    Ok(found)
}

/// What LibreChat takes for the host: no scheme, in lower case, and no path.
fn host_of(domain: &str) -> &str {
    let rest = domain.strip_prefix("https://").or_else(|| domain.strip_prefix("http://")).unwrap_or(domain);
    rest.split_once('/').map_or(rest, |(host, _)| host)
}

fn spelt(host: &str) -> Cow<'_, str> {
    if host.encode_utf16().count() <= LONGEST {
        return host.replace('.', STOP).into();
    }
    STANDARD.encode(host).chars().take(LONGEST).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Vec<String>, Unreadable> {
        let tools = tools_of(body.as_object().unwrap())?;
        Ok(tools.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_function_is_a_tool_of_its_host() {
        let called = |domain: &str| {
            let functions =
                json!([{"type": "function", "function": {"name": "a", "x": {}}}, {"function": {"name": "b"}}]);
            read(&json!({"functions": functions, "metadata": {"domain": domain}, "action_id": "x"})).unwrap().join(" ")
        };
        for (domain, host) in [
            ("https://a.test", "a---test"),
            ("http://a.test/path.x/y", "a---test"),
            ("a.test", "a---test"),
            ("https://1234567.ab", "1234567---ab"),
            ("https://12345678.ab", "MTIzNDU2Nz"),
            ("https://api.example.com:8443/v1", "YXBpLmV4YW"),
            // As it stands in LibreChat, however odd.
            ("HTTPS://a.test", "HTTPS:"),
            ("https://http://a.test", "http:"),
        ] {
            assert_eq!(called(domain), format!("a_action_{host} b_action_{host}"), "{domain}");
        }
    }

    #[test]
    fn what_is_no_action_adds_nothing_or_is_refused() {
        let function = json!({"function": {"name": "a"}});
        for none in [
            json!({"functions": [], "metadata": {"domain": "a.test"}}),
            json!({"functions": [function]}),
            json!({"functions": [function], "metadata": {"domain": null}}),
        ] {
            assert_eq!(read(&none), Ok(Vec::new()), "{none}");
        }
        for wrong in [
            json!({"metadata": {"domain": "a.test"}}),
            json!({"functions": "ab", "metadata": {"domain": "a.test"}}),
            json!({"functions": {"0": function, "length": 1}, "metadata": {"domain": "a.test"}}),
            json!({"functions": [{"name": "a"}], "metadata": {"domain": "a.test"}}),
            json!({"functions": [{"function": {"name": ["a"]}}], "metadata": {"domain": "a.test"}}),
            json!({"functions": [function], "metadata": {"domain": ["a.test"]}}),
        ] {
            assert_eq!(read(&wrong), Err(Unreadable::Action), "{wrong}");
        }
    }
}
