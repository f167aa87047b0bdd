//! The lines that `tollgate demo` shows to be pasted: what each does, and the command.

/// A tour of Tollgate at `base`, for a shell in which `ANN` and `BOB` are the two people's `Authorization` headers. Each stop is a
/// sentence saying what will be seen, and one or more lines of shell.
pub fn tour(base: &str) -> Vec<(&'static str, String)> {
    let json = "-H 'content-type: application/json'";
    let chat = |who: &str, endpoint: &str, model: &str| {
        format!(
            "curl -s {base}/api/agents/chat/{endpoint} -H \"${who}\" {json} \
             -d '{{\"endpoint\":\"{endpoint}\",\"model\":\"{model}\",\"text\":\"Hello\"}}'"
        )
    };
    vec![
        (
            "What Bob (USER) may choose: gpt-4o-mini and mindroom-basic, nothing else.",
            format!("curl -s {base}/api/models -H \"$BOB\""),
        ),
        ("What Ann (ADMIN) may choose: everything.", format!("curl -s {base}/api/models -H \"$ANN\"")),
        (
            "Bob asks for a model he may not use: 403, with the sentence that LibreChat's web client shows.",
            chat("BOB", "openAI", "gpt-4o"),
        ),
        ("The same for Ann: it starts, with the id of a stream.", chat("ANN", "openAI", "gpt-4o")),
        (
            "Bob asks for a model he may use, and reads the answer as it is written, word by word.",
            format!(
                "STREAM=$({} | sed 's/.*\"streamId\":\"\\([^\"]*\\)\".*/\\1/')\n  \
                 curl -sN {base}/api/agents/chat/stream/$STREAM -H \"$BOB\"",
                chat("BOB", "openAI", "gpt-4o-mini")
            ),
        ),
        (
            "Bob hides a second model in the same request: 403 all the same.",
            format!(
                "curl -s {base}/api/agents/chat/openAI -H \"$BOB\" {json} -d '{{\"endpoint\":\"openAI\",\
                 \"model\":\"gpt-4o-mini\",\"text\":\"Hello\",\"addedConvo\":{{\"endpoint\":\"openAI\",\"model\":\"o1\"}}}}'"
            ),
        ),
        ("Nobody is asked to sign in, in LibreChat's own words: 401.", format!("curl -s {base}/api/models")),
    ]
}
