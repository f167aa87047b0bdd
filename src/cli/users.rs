//! `tollgate users`: the people of the embedded directory.

use std::io::Write;
use std::path::PathBuf;

/// Show and change the people of the embedded directory.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of the embedded store
    #[arg(long, value_name = "DIR", default_value = "./tollgate-data")]
    pub data: PathBuf,
    /// Set by the caller where the settings name MongoDB: the directory is LibreChat's then, and this one is not asked.
    #[arg(skip)]
    pub librechat_directory: bool,
}

/// Runs the command and returns its exit code: 0 done, 1 failed, 64 bad usage.
pub fn run(_args: &Args, _out: &mut dyn Write, _err: &mut dyn Write) -> u8 {
    0
}
