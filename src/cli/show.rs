//! `countersign config show`.

use clap::Subcommand;

use crate::config::{Config, Flags};

const EXAMPLES: &str = "\
A flag wins over the environment, the environment over the file, the file over the default.

Example:
  COUNTERSIGN_LISTEN=0.0.0.0:80 countersign config show --config /etc/countersign.toml";

/// Look at the configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print each setting with its value and where that comes from; passwords are masked.
    #[command(after_help = EXAMPLES)]
    Show {
        /// The settings.
        #[command(flatten)]
        flags: Flags<true>,
    },
}

/// Prints the configuration.
pub fn run(command: Command) -> anyhow::Result<()> {
    let Command::Show { flags } = command;
    print!("{}", Config::load(&flags)?.show());
    Ok(())
}
