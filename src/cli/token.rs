//! `countersign token create|revoke|list`.

use clap::Subcommand;

use crate::config::Flags;
use crate::identity::{self, Actor, NewToken, TokenScope, people};
use crate::ids::TokenId;

const EXAMPLES: &str = "\
The token is printed once, alone on standard output, so that a script can keep it.

Examples:
  TOKEN=$(countersign token create ci@example.com --name 'nightly report' --scope read)
  curl -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:7070/api/v1/models";

/// Manage API tokens.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a token that acts as a person.
    #[command(after_help = EXAMPLES)]
    Create(Create),
    /// Revoke a token, by its number.
    Revoke(Revoke),
    /// List a person's tokens, with their last use.
    List(List),
}

/// Make a token.
#[derive(Debug, clap::Args)]
pub struct Create {
    /// The address of the person whose rights the token has.
    email: String,
    /// What it is for.
    #[arg(long)]
    name: String,
    /// What it may do: read, or write (which includes reading).
    #[arg(long, default_value = "read")]
    scope: TokenScope,
    /// After how many days it expires, 1 to 366.
    #[arg(long, value_name = "N", default_value_t = 90)]
    days: i64,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Revoke a token.
#[derive(Debug, clap::Args)]
pub struct Revoke {
    /// Its number, as the list shows it.
    token: TokenId,
    #[command(flatten)]
    flags: Flags<false>,
}

/// List a person's tokens.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The person's address.
    email: String,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Does what was asked, as the console.
pub async fn run(command: Command) -> anyhow::Result<()> {
    let console = Actor::console();
    match command {
        Command::Create(args) => {
            let app = super::open(&args.flags).await?;
            let person = people::find_user(&app, &console, &args.email).await?;
            let new = NewToken { name: args.name, scope: args.scope, expires_in_days: args.days };
            let made = identity::create_token(&app, &console, person.user_id, new).await?;
            eprintln!(
                "Token {} of {}, until {}:",
                made.token.token_id,
                person.name,
                made.token.expires_at.date_naive()
            );
            println!("{}", made.secret);
        }
        Command::Revoke(args) => {
            let app = super::open(&args.flags).await?;
            let token = identity::revoke_token(&app, &console, args.token).await?;
            println!("Token {}, “{}”, is revoked.", token.token_id, token.name);
        }
        Command::List(args) => {
            let app = super::open(&args.flags).await?;
            let person = people::find_user(&app, &console, &args.email).await?;
            let now = app.now();
            for token in identity::list_tokens(&app, &console, person.user_id).await? {
                let used = token.last_used_at.map_or_else(|| "never".to_owned(), |at| at.date_naive().to_string());
                let state = if token.in_force(&now) { "in force" } else { "ended" };
                println!(
                    "{:>5}  {:<30} {:<6} until {}  last used {used:<10}  {state}",
                    token.token_id,
                    token.name,
                    token.scope,
                    token.expires_at.date_naive()
                );
            }
        }
    }
    Ok(())
}
