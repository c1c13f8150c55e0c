//! One policy for every act: Cedar decides, and a refusal says in a sentence which rule refused.
//!
//! The policy file speaks of roles, relations and acts; it never sees the database. What it cannot
//! say in those words (a requester never approves their own ask) is a rule of the area concerned.

use std::collections::HashMap;
use std::str::FromStr as _;

use anyhow::Context as _;
use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Effect, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request, RestrictedExpression,
};

use super::rules::{Action, Relation, Role};

/// The policy that ships with the product.
pub const BUILT_IN: &str = include_str!("../../policies/countersign.cedar");

/// What the policy is asked about a person.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The person's number; 0 for the product itself.
    pub person: i64,
    /// Their roles.
    pub roles: &'a [Role],
    /// How they stand to the thing.
    pub relations: &'a [Relation],
    /// Whether their token may only read.
    pub read_only: bool,
    /// Whether an agent acts for them.
    pub agent: bool,
}

/// Why the policy refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The rules that decided: those that forbid, or those that might have permitted.
    pub rules: Vec<String>,
    /// Their sentences, joined.
    pub sentence: String,
}

/// A rule of the policy, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule<'a> {
    /// Its name.
    pub id: &'a str,
    /// What it says.
    pub says: &'a str,
    /// Whether it forbids, whatever others permit.
    pub forbids: bool,
}

/// A policy, parsed and ready to answer.
#[derive(Debug)]
pub struct Policy {
    digest: String,
    set: PolicySet,
    authorizer: Authorizer,
    actions: HashMap<Action, EntityUid>,
    person_type: EntityTypeName,
    resource: EntityUid,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// The text is not Cedar, or a rule lacks `@id` or `@says`.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let parsed = PolicySet::from_str(text).context("the policy file is not valid Cedar")?;
        let mut set = PolicySet::new();
        for policy in parsed.policies() {
            let id = policy.annotation("id").context("every rule of the policy needs an @id")?;
            policy.annotation("says").with_context(|| format!("the rule {id} needs a sentence, @says"))?;
            set.add(policy.new_id(cedar_policy::PolicyId::new(id)))?;
        }
        let mut actions = HashMap::new();
        for action in Action::ALL {
            actions.insert(*action, uid("Action", action.as_str())?);
        }
        Ok(Self {
            digest: super::digest_of_secret(text),
            set,
            authorizer: Authorizer::new(),
            actions,
            person_type: EntityTypeName::from_str("User")?,
            resource: uid("Thing", "this")?,
        })
    }

    /// The SHA-256 of the policy's text: what a preview was made under.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Whether the person may do `action` on the thing they stand to in these relations.
    ///
    /// # Errors
    /// The refusal, with its rules and sentence.
    pub fn decide(&self, question: Question<'_>, action: Action) -> Result<(), Refusal> {
        let Some(request) = self.request(question, action) else {
            return Err(Refusal { rules: Vec::new(), sentence: "the policy cannot be asked".to_owned() });
        };
        let response = self.authorizer.is_authorized(&request, &self.set, &Entities::empty());
        if response.decision() == Decision::Allow {
            return Ok(());
        }
        let mut rules: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        if rules.is_empty() {
            rules = self.might_permit(action);
        }
        rules.sort();
        let sentences: Vec<&str> = rules.iter().filter_map(|id| self.says(id)).collect();
        Err(Refusal { sentence: sentences.join("; "), rules })
    }

    /// The rules, sorted by name.
    pub fn rules(&self) -> impl Iterator<Item = Rule<'_>> {
        let mut rules: Vec<_> = self
            .set
            .policies()
            .filter_map(|policy| {
                let (id, says) = (policy.annotation("id")?, policy.annotation("says")?);
                Some(Rule { id, says, forbids: policy.effect() == Effect::Forbid })
            })
            .collect();
        rules.sort_by_key(|rule| rule.id);
        rules.into_iter()
    }

    fn request(&self, question: Question<'_>, action: Action) -> Option<Request> {
        let words = |list: Vec<&str>| {
            RestrictedExpression::new_set(
                list.into_iter().map(|word| RestrictedExpression::new_string(word.to_owned())),
            )
        };
        let context = Context::from_pairs([
            ("roles".to_owned(), words(question.roles.iter().map(|role| role.as_str()).collect())),
            ("relations".to_owned(), words(question.relations.iter().map(|one| one.as_str()).collect())),
            ("mutates".to_owned(), RestrictedExpression::new_bool(action.mutates())),
            ("read_only".to_owned(), RestrictedExpression::new_bool(question.read_only)),
            ("agent".to_owned(), RestrictedExpression::new_bool(question.agent)),
        ])
        .ok()?;
        let person =
            EntityUid::from_type_name_and_id(self.person_type.clone(), EntityId::new(question.person.to_string()));
        Request::new(person, self.actions.get(&action)?.clone(), self.resource.clone(), context, None).ok()
    }

    /// The rules that permit `action` to somebody.
    fn might_permit(&self, action: Action) -> Vec<String> {
        let Some(wanted) = self.actions.get(&action) else { return Vec::new() };
        self.set
            .policies()
            .filter(|policy| policy.effect() == Effect::Permit)
            .filter(|policy| match policy.action_constraint() {
                ActionConstraint::Any => true,
                ActionConstraint::Eq(one) => one == *wanted,
                ActionConstraint::In(many) => many.contains(wanted),
            })
            .map(|policy| policy.id().to_string())
            .collect()
    }

    fn says(&self, id: &str) -> Option<&str> {
        self.set.policy(&cedar_policy::PolicyId::new(id))?.annotation("says")
    }
}

fn uid(type_name: &str, id: &str) -> anyhow::Result<EntityUid> {
    Ok(EntityUid::from_type_name_and_id(EntityTypeName::from_str(type_name)?, EntityId::new(id)))
}
