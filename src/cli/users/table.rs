//! People as a table whose columns line up.

use std::io::{self, Write};

use crate::store::Person;

const HEAD: [&str; 4] = ["ID", "EMAIL", "ROLE", "GROUPS"];

/// Writes the head and one line a person. What is absent is a dash.
pub(super) fn write(people: &[Person], out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<[String; 4]> = std::iter::once(HEAD.map(str::to_owned)).chain(people.iter().map(cells)).collect();
    let mut widths = [0_usize; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn cells(person: &Person) -> [String; 4] {
    let groups = if person.groups.is_empty() { "-".to_owned() } else { person.groups.join(", ") };
    [
        person.id.to_string(),
        person.email.as_deref().unwrap_or("-").to_owned(),
        person.role.as_deref().unwrap_or("-").to_owned(),
        groups,
    ]
}
