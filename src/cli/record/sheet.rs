//! CSV by RFC 4180 that a spreadsheet can open without harm. All texts stand in quotes: where a spreadsheet takes `;` or a tab to be between
//! cells, a text must not become several of them.

use std::io::{self, Write};

use csv::{QuoteStyle, Terminator, WriterBuilder};

/// Writes rows of cells.
pub struct Sheet<W: Write>(csv::Writer<W>);

// === impl Sheet ===

impl<W: Write> Sheet<W> {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// Where nobody takes the output.
    pub fn begin<'a>(columns: impl IntoIterator<Item = &'a str>, out: W) -> io::Result<Self> {
        let mut sheet = WriterBuilder::new();
        let sheet = sheet.terminator(Terminator::CRLF).quote_style(QuoteStyle::NonNumeric).from_writer(out);
        let mut sheet = Self(sheet);
        sheet.0.write_record(columns).map_err(io_error)?;
        Ok(sheet)
    }

    /// Writes a row. Texts that others wrote are to be [`defused`] before.
    ///
    /// # Errors
    /// Where nobody takes the output.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) -> io::Result<()> {
        self.0.write_record(cells.into_iter().map(String::into_bytes)).map_err(io_error)
    }

    /// Writes what is still held back.
    ///
    /// # Errors
    /// Where nobody takes the output.
    pub fn end(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text that a spreadsheet would take for a formula, with a ' before it: what callers write gets into entries.
pub fn defused(text: String) -> String {
    // A dash alone stands for nothing, here as there.
    let formula = text != "-" && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    if formula { format!("'{text}") } else { text }
}

/// What went wrong beneath: a reader who has gone must still be known as such.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_defused() {
        for text in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1"] {
            assert_eq!(defused(text.into()), format!("'{text}"), "{text:?}");
        }
        for text in ["gpt-4o", "", " a", "1-1", "'=1", "-"] {
            assert_eq!(defused(text.into()), text);
        }
    }

    #[test]
    fn no_text_becomes_two_cells_whatever_is_between_cells() {
        let mut out = Vec::new();
        let mut sheet = Sheet::begin(["userAgent", "status"], &mut out).unwrap();
        sheet.row([";=x".to_owned(), "403".to_owned()]).unwrap();
        sheet.row(["a\t=y\"".to_owned(), String::new()]).unwrap();
        sheet.end().unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "\"userAgent\",\"status\"\r\n\";=x\",403\r\n\"a\t=y\"\"\",\"\"\r\n");
    }

    #[test]
    fn who_reads_no_more_is_known_as_such() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sheet = Sheet::begin(["a"], Gone).unwrap();
        let fault = std::iter::repeat_with(|| sheet.row(["x".repeat(1_000)])).take(100).find_map(Result::err);
        assert_eq!(fault.unwrap().kind(), io::ErrorKind::BrokenPipe);
    }
}
