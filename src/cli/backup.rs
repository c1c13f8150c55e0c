//! `countersign backup` and `countersign restore`.

use std::path::PathBuf;

use crate::backup;
use crate::config::{Config, Flags, LogFormat};

const BACKUP_EXAMPLES: &str = "\
Makes a new folder with a copy of the database, all artifacts, and a manifest with the SHA-256 of each
file. The server may go on running. The copy is verified, the whole ledger included, before the folder
gets its name. With PostgreSQL it calls pg_dump.

Examples:
  countersign backup /backups/2026-03-31 --data /var/lib/countersign
  countersign backup /backups/2026-03-31 --data /var/lib/countersign && tar -C /backups -czf 2026-03-31.tar.gz 2026-03-31";

const RESTORE_EXAMPLES: &str = "\
Verifies the backup first: a file that was changed, is missing or was added stops it, and nothing is
replaced. Stop the server before. With PostgreSQL it calls pg_restore, which fills an empty database,
or with --force replaces what the database holds, wholly or not at all.

Examples:
  countersign restore /backups/2026-03-31 --data /var/lib/countersign
  countersign restore /backups/2026-03-31 --data /var/lib/countersign --force";

/// Make a verified backup while the server runs.
#[derive(Debug, clap::Args)]
#[command(after_help = BACKUP_EXAMPLES)]
pub struct Backup {
    /// The folder to make.
    folder: PathBuf,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Put a backup into an empty data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = RESTORE_EXAMPLES)]
pub struct Restore {
    /// The backup.
    folder: PathBuf,
    /// Replace what the data folder, or the PostgreSQL database, holds.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Makes a backup.
pub async fn make(args: Backup) -> anyhow::Result<()> {
    let config = Config::load(&args.flags)?;
    super::ensure_database(&config)?;
    let app = super::open(&args.flags).await?;
    let manifest = backup::make(&app, &config.database, &args.folder).await?;
    app.db.close().await;
    println!("{} holds {} files, each with its SHA-256.", args.folder.display(), manifest.files.len());
    println!("Its ledger verifies: {} entries, head {}.", manifest.ledger_entries, manifest.ledger_head);
    Ok(())
}

/// Restores a backup.
pub async fn restore(args: Restore) -> anyhow::Result<()> {
    super::start_log(LogFormat::Text, "warn")?;
    let config = Config::load(&args.flags)?;
    let manifest = backup::check(&args.folder)?;
    let _held = super::serve::hold(&config)?;
    backup::restore(&args.folder, &manifest, &config.data, &config.database, args.force).await?;
    println!("Restored {} files, as of {}.", manifest.files.len(), manifest.made_at.format("%Y-%m-%d %H:%M UTC"));
    Ok(())
}
