//! Tools by the names that LibreChat has for them.
//!
//! A tool of an MCP server is called `<tool>_mcp_<server>`; two special names stand for all tools of a server.

use crate::policy::words::Tool;

/// Answers with artifacts.
pub const ARTIFACTS: &str = "artifacts";
/// Skills.
pub const SKILLS: &str = "skills";

/// Between the name of a tool and that of its server.
const MCP: &str = "_mcp_";
/// In the place of a tool's name: all tools of the server.
const WHOLE_SERVER: [&str; 2] = ["sys__all__sys", "sys__server__sys"];

/// A name of an agent's `tools`.
pub fn of_agent(name: &str) -> Tool {
    match WHOLE_SERVER.iter().find_map(|whole| name.strip_prefix(whole)?.strip_prefix(MCP)) {
        Some(server) => of_server(server),
        None => Tool::Named(name.into()),
    }
}

/// All tools of an MCP server.
pub fn of_server(server: &str) -> Tool {
    Tool::Ending(format!("{MCP}{server}").into())
}
