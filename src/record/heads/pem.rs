//! PEM (RFC 7468) with one block in it, as keys of Ed25519 are kept.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Letters in a line.
const LINE: usize = 64;

/// The block of this label, with line breaks.
pub(super) fn write(label: &str, bytes: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for (place, letter) in STANDARD.encode(bytes).chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            text.push('\n');
        }
        text.push(letter);
    }
    text.push_str(&format!("\n-----END {label}-----\n"));
    text
}

/// The bytes of the only block, which must have this label; else what is there instead.
pub(super) fn read(label: &str, text: &str) -> Result<Vec<u8>, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let begin = lines.next().unwrap_or_default();
    let Some(found) = begin.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
        return Err("it does not begin as PEM does".to_owned());
    };
    if found != label {
        return Err(format!("it holds `{found}` and not `{label}`"));
    }
    let end = format!("-----END {label}-----");
    let mut letters = String::new();
    for line in lines.by_ref() {
        if line == end {
            if lines.next().is_some() {
                return Err("it holds more than one key".to_owned());
            }
            return STANDARD.decode(&letters).map_err(|_| "its base64 is damaged".to_owned());
        }
        letters.push_str(line);
    }
    Err(format!("its last line is not `{end}`"))
}
