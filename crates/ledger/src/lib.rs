//! The ledger's hash chain: what an entry is, how it is hashed, and how a chain is verified.
//!
//! Usable alone: it knows neither the product nor its database, so that an auditor can check an
//! exported ledger with nothing but this crate. It never writes and never reads a clock.
//!
//! The hash of an entry is `SHA-256(DOMAIN ‖ previous hash ‖ "\n" ‖ canonical JSON)`, where the
//! canonical JSON is the entry's fields in the order of [`Entry`], without white space.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Separates these hashes from any other use of SHA-256.
const DOMAIN: &[u8] = b"countersign-ledger-v1\n";

/// What the first entry names as its predecessor: 64 zeros.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One act, as it was recorded. Every field is covered by the entry's hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the ledger, from 1, without gaps.
    pub seq: i64,
    /// Instant in UTC, RFC 3339 with microseconds and `Z`.
    pub at: String,
    /// The person's number; none for the product itself.
    pub actor_id: Option<i64>,
    /// The person's name at that time.
    pub actor: String,
    /// The software agent that acted for the person, if one did.
    pub agent: Option<String>,
    /// What was done, for example `task.confirmed`.
    pub action: String,
    /// The kind of thing it was done to, for example `task`.
    pub entity: String,
    /// The thing's number or digest.
    pub entity_id: String,
    /// The model it concerns, if it concerns one.
    pub model_id: Option<i64>,
    /// The thing before, as JSON text.
    pub before: Option<String>,
    /// The thing after, as JSON text.
    pub after: Option<String>,
    /// The reason the person gave.
    pub reason: Option<String>,
    /// The request that carried the act.
    pub request_id: String,
}

impl Entry {
    /// The entry's hash, given the hash of the entry before it, as 64 hexadecimal digits.
    #[must_use]
    pub fn hash(&self, previous: &str) -> String {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        hasher.update(previous.as_bytes());
        hasher.update(b"\n");
        // A struct of strings and numbers always serialises.
        hasher.update(serde_json::to_vec(self).unwrap_or_default());
        hex::encode(hasher.finalize())
    }
}

/// An entry together with the two hashes stored beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// The act.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of the entry before.
    pub prev_hash: String,
    /// The hash of this entry.
    pub hash: String,
}

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Number of the last entry; 0 for an empty ledger.
    pub seq: i64,
    /// Its hash; [`GENESIS`] for an empty ledger.
    pub hash: String,
}

impl Default for Head {
    fn default() -> Self {
        Self { seq: 0, hash: GENESIS.to_owned() }
    }
}

/// Why a ledger does not verify, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// An entry's content does not hash to the hash stored with it.
    Changed {
        /// The entry.
        seq: i64,
    },
    /// Entries are absent between the one expected and the one found.
    Missing {
        /// The first absent entry.
        from: i64,
        /// The last absent entry.
        to: i64,
    },
    /// An entry stands where another should.
    Reordered {
        /// The number expected at this place.
        expected: i64,
        /// The number found.
        found: i64,
    },
    /// An entry does not name the hash of the entry before it.
    Unlinked {
        /// The entry.
        seq: i64,
    },
    /// The chain is whole, but does not end where the recorded head says.
    WrongHead {
        /// The end of the chain.
        found: i64,
        /// The end that was recorded.
        recorded: i64,
    },
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Changed { seq } => write!(f, "entry {seq} was changed: its content does not match its hash"),
            Self::Missing { from, to } if from == to => write!(f, "entry {from} is missing"),
            Self::Missing { from, to } => write!(f, "entries {from} to {to} are missing"),
            Self::Reordered { expected, found } => {
                write!(f, "entries are out of order: {found} stands where {expected} belongs")
            }
            Self::Unlinked { seq } => {
                write!(f, "entry {seq} does not follow from the entry before it: one of the two was replaced")
            }
            Self::WrongHead { found, recorded } => {
                write!(
                    f,
                    "the ledger ends at entry {found}, but its head says {recorded}: entries were cut off or added"
                )
            }
        }
    }
}

impl std::error::Error for Fault {}

/// Verifies a chain entry by entry, in the order of storage, in constant memory.
#[derive(Debug, Default)]
pub struct Verifier {
    head: Head,
}

impl Verifier {
    /// A verifier that expects the first entry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The end of what was verified so far.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The [`Fault`] at this entry; nothing after it can be trusted.
    pub fn push(&mut self, sealed: &Sealed) -> Result<(), Fault> {
        let expected = self.head.seq + 1;
        let found = sealed.entry.seq;
        if found > expected {
            return Err(Fault::Missing { from: expected, to: found - 1 });
        }
        if found < expected {
            return Err(Fault::Reordered { expected, found });
        }
        if sealed.entry.hash(&sealed.prev_hash) != sealed.hash {
            return Err(Fault::Changed { seq: found });
        }
        if sealed.prev_hash != self.head.hash {
            return Err(Fault::Unlinked { seq: found });
        }
        self.head = Head { seq: found, hash: sealed.hash.clone() };
        Ok(())
    }

    /// Compares the end of the chain with the recorded head.
    ///
    /// # Errors
    /// [`Fault::WrongHead`] if entries were cut off at the end or added without the product.
    pub fn finish(self, recorded: &Head) -> Result<Head, Fault> {
        if self.head == *recorded {
            Ok(self.head)
        } else {
            Err(Fault::WrongHead { found: self.head.seq, recorded: recorded.seq })
        }
    }
}

#[cfg(test)]
mod tests;
