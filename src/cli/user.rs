//! `countersign user add|list|disable`.

use std::io::BufRead as _;

use anyhow::Context as _;
use clap::Subcommand;

use crate::app::App;
use crate::config::Flags;
use crate::identity::people::{NewUser, PeopleFilter};
use crate::identity::{self, Actor, Role};
use crate::ids::RegionId;
use crate::inventory::regions;

const ADD_EXAMPLES: &str = "\
The password is asked for; or read from standard input with --password-stdin; or made and printed
once with --generate-password.

Roles: ADMIN, VALIDATOR, GLOBAL_APPROVER, REGIONAL_APPROVER (with --region), OPERATOR, COMPLIANCE,
AUDITOR, MEMBER. Owners, developers and delegates are members; models name them.

Examples:
  countersign user add anna.keller@example.com --name 'Anna Keller' --role ADMIN
  countersign user add j.osei@example.com --name 'Joan Osei' --role REGIONAL_APPROVER --region UK --region EU
  echo \"$PASSWORD\" | countersign user add ci@example.com --name CI --password-stdin";

/// Manage people.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a person.
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// List everybody, with their roles.
    List(List),
    /// Disable a person: their sessions end and their tokens are revoked, at once.
    Disable(Disable),
}

/// Add a person.
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The address with which they sign in.
    email: String,
    /// Their name.
    #[arg(long)]
    name: String,
    /// A role; repeat it for several. Without one they are a MEMBER.
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<Role>,
    /// Code of a region that they approve for; repeat it for several.
    #[arg(long = "region", value_name = "CODE")]
    regions: Vec<String>,
    /// Read the password from the first line of standard input.
    #[arg(long, conflicts_with = "generate_password")]
    password_stdin: bool,
    /// Make a password and print it, once.
    #[arg(long)]
    generate_password: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// List everybody.
#[derive(Debug, clap::Args)]
pub struct List {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Disable a person.
#[derive(Debug, clap::Args)]
pub struct Disable {
    /// Their address.
    email: String,
    #[command(flatten)]
    flags: Flags<false>,
}

/// Does what was asked, as the console: whoever can run this can read the database anyway.
pub async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Add(args) => add(args).await,
        Command::List(args) => list(args).await,
        Command::Disable(args) => {
            let app = super::open(&args.flags).await?;
            let console = Actor::console();
            let person = identity::people::find_user(&app, &console, &args.email).await?;
            let person = identity::disable_user(&app, &console, person.user_id).await?;
            println!("{} <{}> is disabled.", person.name, person.email);
            Ok(())
        }
    }
}

async fn add(args: Add) -> anyhow::Result<()> {
    let app = super::open(&args.flags).await?;
    let approves_for = region_ids(&app, &args.regions).await?;
    let password =
        if args.generate_password { app.secret()[..20].to_owned() } else { ask_password(args.password_stdin)? };
    let new = NewUser {
        email: args.email,
        name: args.name,
        password: Some(password.clone()),
        roles: args.roles,
        approves_for,
    };
    let person = identity::add_user(&app, &Actor::console(), new).await?;
    println!("Added {} <{}> as number {}.", person.name, person.email, person.user_id);
    if args.generate_password {
        println!("Password: {password}\nIt is not shown again.");
    }
    Ok(())
}

async fn region_ids(app: &App, codes: &[String]) -> anyhow::Result<Vec<RegionId>> {
    let regions = regions::list(app).await?;
    let find = |code: &String| {
        let found = regions.iter().find(|region| region.code == *code).map(|region| region.region_id);
        let known: Vec<_> = regions.iter().map(|region| region.code.as_str()).collect();
        found.with_context(|| format!("There is no region {code}; there are: {}", known.join(", ")))
    };
    codes.iter().map(find).collect()
}

fn ask_password(from_stdin: bool) -> anyhow::Result<String> {
    if from_stdin {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).context("The password cannot be read")?;
        return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
    }
    let no_terminal = "The password cannot be asked for here; use --password-stdin or --generate-password";
    let password = rpassword::prompt_password("Password: ").context(no_terminal)?;
    let again = rpassword::prompt_password("Once more: ").context(no_terminal)?;
    anyhow::ensure!(password == again, "The two passwords differ; nobody was added.");
    Ok(password)
}

async fn list(args: List) -> anyhow::Result<()> {
    let app = super::open(&args.flags).await?;
    let mut filter = PeopleFilter { limit: Some(500), ..PeopleFilter::default() };
    loop {
        let people = identity::list_users(&app, &Actor::console(), &filter).await?;
        for person in &people.page.items {
            if args.json {
                println!("{}", serde_json::to_string(person)?);
            } else {
                let mut roles: Vec<_> = person.roles.iter().map(ToString::to_string).collect();
                if !person.approves_for.is_empty() {
                    roles.push(format!("for {}", person.region_codes()));
                }
                let state = if person.disabled { "  disabled" } else { "" };
                println!("{:>5}  {:<40} {:<30} {}{state}", person.user_id, person.email, person.name, roles.join(" "));
            }
        }
        if people.page.next_cursor.is_none() {
            return Ok(());
        }
        filter.cursor = people.page.next_cursor;
    }
}
