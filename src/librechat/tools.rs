//! Tools by the names that LibreChat has for them, and those that a chat without a stored agent would use.
//!
//! A tool of an MCP server is called `<tool>_mcp_<server>`; two special names stand for all tools of a server. A chat body
//! switches tools on in `ephemeralAgent`, its own or that of `addedConvo` (CONTRACT.md B.1), and a provider's own search of
//! the web in `web_search`.
//!
//! Some bring others with them: skills whatever their authors name in `allowed-tools`, and a toolkit all of its tools.

use serde::Deserialize;
use serde_json::Value;

use super::unreadable::Unreadable;
use crate::policy::words::{Target, Tool};

/// The code interpreter.
pub const EXECUTE_CODE: &str = "execute_code";
/// Search in files.
pub const FILE_SEARCH: &str = "file_search";
/// Search of the web, by LibreChat or by the provider.
pub const WEB_SEARCH: &str = "web_search";
/// Answers with artifacts.
pub const ARTIFACTS: &str = "artifacts";
/// Skills.
pub const SKILLS: &str = "skills";

/// Between the name of a tool and that of its server.
const MCP: &str = "_mcp_";
/// In the place of a tool's name: all tools of the server.
const WHOLE_SERVER: [&str; 2] = ["sys__all__sys", "sys__server__sys"];

/// Tools of which LibreChat takes all wherever it is told one (its `toolkitExpansion` and `toolkitParent`).
const TOOLKITS: [[&str; 2]; 1] = [["image_gen_oai", "image_edit_oai"]];

/// The members of a chat body that switch tools on. LibreChat takes whatever counts as true in JavaScript.
#[derive(Deserialize)]
struct Switches {
    #[serde(default, rename = "ephemeralAgent")]
    ephemeral: Value,
    #[serde(default)]
    web_search: Value,
    #[serde(default, rename = "addedConvo")]
    added: Value,
}

/// The tools that a chat body would make LibreChat use. `body` is the canonical text that was selected from.
///
/// # Errors
/// [`Unreadable::EphemeralAgent`] where `ephemeralAgent` has another shape than LibreChat's client sends.
pub fn of_turn(body: &[u8]) -> Result<Vec<Target>, Unreadable> {
    let body: Switches = serde_json::from_slice(body).map_err(|_| Unreadable::NotJson)?;
    let mut tools = Vec::new();
    for (ephemeral, web_search) in [
        (Some(&body.ephemeral), Some(&body.web_search)),
        (body.added.get("ephemeralAgent"), body.added.get("web_search")),
    ] {
        if web_search.is_some_and(is_on) {
            tools.push(Tool::Named(WEB_SEARCH.into()));
        }
        of_ephemeral(ephemeral.unwrap_or(&Value::Null), &mut tools)?;
    }
    Ok(tools.into_iter().map(Target::Tool).collect())
}

/// The tools that a model spec adds to a turn (CONTRACT.md B.2); none where the servers are not a list of names.
pub(super) fn of_spec(spec: &Value) -> Option<Vec<Tool>> {
    let mut tools = Vec::new();
    for (switch, name) in [
        ("executeCode", EXECUTE_CODE),
        ("fileSearch", FILE_SEARCH),
        ("webSearch", WEB_SEARCH),
        ("artifacts", ARTIFACTS),
    ] {
        if spec.get(switch).is_some_and(is_on) {
            tools.push(Tool::Named(name.into()));
        }
    }
    if spec.get("skills").is_some_and(is_on) {
        tools.extend(of_skills());
    }
    match spec.get("mcpServers") {
        None | Some(Value::Null) => {}
        Some(servers) => {
            for server in servers.as_array()? {
                tools.push(of_server(server.as_str()?));
            }
        }
    }
    Some(tools)
}

/// The tool that a path calls by itself: `/api/agents/tools/<tool>/call`. None for other paths.
pub fn called(path: &str) -> Option<Target> {
    let mut segments = path.rsplit('/');
    let (call, tool) = (segments.next()?, segments.next()?);
    call.eq_ignore_ascii_case("call").then(|| Target::Tool(Tool::Named(tool.into())))
}

fn of_ephemeral(agent: &Value, tools: &mut Vec<Tool>) -> Result<(), Unreadable> {
    let agent = match agent {
        Value::Null => return Ok(()),
        Value::Object(agent) => agent,
        _ => return Err(Unreadable::EphemeralAgent),
    };
    for name in [EXECUTE_CODE, FILE_SEARCH, WEB_SEARCH, ARTIFACTS] {
        if agent.get(name).is_some_and(is_on) {
            tools.push(Tool::Named(name.into()));
        }
    }
    if agent.get(SKILLS).is_some_and(is_on) {
        tools.extend(of_skills());
    }
    match agent.get("mcp") {
        None | Some(Value::Null) => {}
        Some(Value::Array(servers)) => {
            for server in servers {
                tools.push(of_server(server.as_str().ok_or(Unreadable::EphemeralAgent)?));
            }
        }
        Some(_) => return Err(Unreadable::EphemeralAgent),
    }
    Ok(())
}

/// Whether JavaScript takes it for true.
pub(super) fn is_on(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(on) => *on,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// What a name of an agent's `tools` stands for.
pub fn of_agent(name: &str) -> Vec<Tool> {
    if let Some(server) = WHOLE_SERVER.iter().find_map(|whole| name.strip_prefix(whole)?.strip_prefix(MCP)) {
        return vec![of_server(server)];
    }
    let kit = TOOLKITS.iter().find(|kit| kit.contains(&name));
    kit.map_or(&[name][..], |kit| kit).iter().map(|name| Tool::Named((*name).into())).collect()
}

/// All tools of an MCP server. Which one is meant by a name that holds the divider itself cannot be told: LibreChat takes
/// what follows the first divider in one place and what follows the last in another.
pub fn of_server(server: &str) -> Tool {
    if server.contains(MCP) { any() } else { Tool::Ending(format!("{MCP}{server}").into()) }
}

/// Skills, and with them any tool: a skill's author, who may be the caller, names tools that it adds to the turn.
pub fn of_skills() -> [Tool; 2] {
    [Tool::Named(SKILLS.into()), any()]
}

/// What a caller reads who may not use a tool.
pub fn sentence(tool: &Tool) -> String {
    if *tool == any() {
        return "Skills can bring any tool with them, and you may not use every tool. Switch skills off, or ask your \
                administrator."
            .to_owned();
    }
    format!("You may not use the tool {tool}. Switch it off, or ask your administrator.")
}

/// Every tool there is.
fn any() -> Tool {
    Tool::Ending("".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tools(body: &Value) -> Result<String, Unreadable> {
        let tools = of_turn(body.to_string().as_bytes())?;
        let named = tools.iter().map(|target| match target {
            Target::Tool(tool) => tool.to_string(),
            other => panic!("{other:?}"),
        });
        Ok(named.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn tools_of_a_chat_are_those_that_are_switched_on() {
        let captured =
            json!({"mcp": [], "web_search": false, "file_search": true, "execute_code": false, "artifacts": ""});
        for (body, expected) in [
            (json!({}), ""),
            (json!({"ephemeralAgent": null, "addedConvo": null}), ""),
            (json!({"ephemeralAgent": captured}), "file_search"),
            (
                json!({"ephemeralAgent": {"execute_code": true, "skills": true, "artifacts": "default"}}),
                "execute_code artifacts skills *",
            ),
            (json!({"ephemeralAgent": {"mcp": ["github", "a_b"]}}), "*_mcp_github *_mcp_a_b"),
            // LibreChat would take this for the server "github".
            (json!({"ephemeralAgent": {"mcp": ["x_mcp_github"]}}), "*"),
            (json!({"ephemeralAgent": {"mcp": ["mcp_github", "x_mcp"]}}), "*_mcp_mcp_github *_mcp_x_mcp"),
            // What JavaScript takes for true switches on, what it takes for false does not.
            (
                json!({"ephemeralAgent": {"execute_code": "no", "web_search": 1, "file_search": {}}}),
                "execute_code file_search web_search",
            ),
            (json!({"ephemeralAgent": {"execute_code": 0, "web_search": "", "file_search": null, "mcp": null}}), ""),
            (json!({"addedConvo": {"ephemeralAgent": {"execute_code": true}}}), "execute_code"),
            (json!({"web_search": true}), "web_search"),
            (json!({"addedConvo": {"web_search": true}}), "web_search"),
        ] {
            assert_eq!(tools(&body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn a_path_calls_the_tool_it_names() {
        let named = |name: &str| Some(Target::Tool(Tool::Named(name.into())));
        assert_eq!(called("/api/agents/tools/execute_code/call"), named("execute_code"));
        assert_eq!(called("/API/agents/tools/Execute_code/CALL"), named("Execute_code"));
        assert_eq!(called("/api/agents/tools/calls"), None);
    }

    #[test]
    fn another_shape_is_refused() {
        for agent in
            [json!([]), json!("x"), json!(true), json!({"mcp": "github"}), json!({"mcp": [5]}), json!({"mcp": {}})]
        {
            for body in [json!({"ephemeralAgent": agent}), json!({"addedConvo": {"ephemeralAgent": agent}})] {
                assert_eq!(tools(&body), Err(Unreadable::EphemeralAgent), "{body}");
            }
        }
    }
}
