//! Wiring: what the person asked for, the way in, the engine, the ways out, the exit code.
//!
//! Exit 0: done. 1: something failed, said in one line. 2: wrong usage. Data goes to standard output, everything said to the
//! person to standard error.

mod commands;

use std::process::ExitCode;

use whither::config::{Cli, Command};

fn main() -> ExitCode {
    let done = match Cli::typed().command {
        #[cfg(feature = "live")]
        Command::Watch(asked) => commands::watch::run(asked),
        #[cfg(not(feature = "live"))]
        Command::Watch(_) => Err(anyhow::anyhow!("this whither was built without live capture; build it with the feature `live`")),
        Command::Read(asked) => commands::read::run(asked),
        Command::Report(asked) => commands::report::run(asked),
        Command::Compare(asked) => commands::compare::run(asked),
        Command::Explain(asked) => commands::explain::run(asked),
        Command::Mark(asked) => commands::mark::run(&asked),
        Command::Simulate(asked) => commands::simulate::run(&asked),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // The reader of a pipe has seen enough: nothing failed.
        Err(error) if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe) => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            // A file's name, and what stands in it, may be somebody else's.
            eprintln!("whither: {}", whither::export::printable(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
