//! The `tollgate` program: arguments in, exit code out.

use std::process::ExitCode;

use tollgate::cli;
use tollgate::config::Environment;

/// Long-lived streams come and go: jemalloc gives their memory back, where others keep it (PERFORMANCE.md section 3d).
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), &Environment::of_process()).into()
}
