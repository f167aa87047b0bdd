//! `tollgate schema`: what files look like, for editors and for programs that read the record.

use std::io::Write;

use clap::ValueEnum;

use super::exit::Exit;

/// Print the JSON Schema of policy files, of case files, or of the lines of the record.
///
/// An editor with a language server for YAML uses it where a file begins with a line
/// `# yaml-language-server: $schema=` and the way to the schema.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tollgate schema policy > policy.schema.json
  tollgate schema cases > cases.schema.json
  tollgate schema records > records.schema.json")]
pub struct Args {
    /// What the schema is of
    #[arg(value_enum, value_name = "WHAT")]
    pub of: Of,
}

/// What a schema is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// A policy file (JSON Schema draft 7)
    Policy,
    /// A case file, *.test.yaml (JSON Schema draft 7)
    Cases,
    /// A line of the record (JSON Schema 2020-12)
    Records,
}

/// Runs the command.
pub fn run(args: &Args, out: &mut dyn Write) -> Exit {
    let schema = match args.of {
        Of::Policy => include_str!("../../policies/policy.schema.json"),
        Of::Cases => include_str!("../../policies/cases.schema.json"),
        Of::Records => include_str!("../../docs/records.schema.json"),
    };
    out.write_all(schema.as_bytes()).map(|()| Exit::Ok).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_schema_is_printed_as_it_is_kept() {
        for (of, title) in [
            (Of::Policy, "A policy file of Tollgate"),
            (Of::Cases, "A case file of Tollgate"),
            (Of::Records, "A line of Tollgate's record"),
        ] {
            let mut out = Vec::new();
            assert_eq!(run(&Args { of }, &mut out), Exit::Ok);
            let printed: serde_json::Value = serde_json::from_slice(&out).unwrap();
            assert_eq!(printed["title"], title);
        }
    }
}
