//! "Did you mean": the known word that is nearest to what somebody wrote.

/// The known word nearest to `given`, if one is near enough that a slip of the keyboard explains the difference.
///
/// Case is ignored at first, since `openai` for `openAI` is the commonest slip of all.
pub fn nearest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A long word is compared in time proportional to the product of the lengths, and is no slip of a short one.
    const LONGEST: usize = 64;
    if given.len() > LONGEST {
        return None;
    }
    let lower = given.to_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&lower, &word.to_lowercase()), word))
        .filter(|&(distance, word)| distance <= word.chars().count().max(given.chars().count()) / 3)
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 5] = ["openAI", "azureOpenAI", "google", "models", "unrestricted"];

    #[test]
    fn slips_are_found() {
        for (given, expected) in [
            ("openai", Some("openAI")),
            ("OpenAI", Some("openAI")),
            ("opneAI", Some("openAI")),
            ("model", Some("models")),
            ("unrestrictd", Some("unrestricted")),
            ("AzureOpenAI", Some("azureOpenAI")),
        ] {
            assert_eq!(nearest(given, KNOWN), expected, "{given}");
        }
    }

    #[test]
    fn other_words_are_left_alone() {
        for given in ["MindRoom", "x", "", "colour", &"openAI".repeat(40)] {
            assert_eq!(nearest(given, KNOWN), None, "{given}");
        }
    }
}
