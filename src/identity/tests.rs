//! The pure rules: policy, roles, passwords, locks, delegations.

use chrono::{DateTime, TimeDelta, Utc};

use super::delegations::NewDelegation;
use super::policy::{BUILT_IN, Policy, Question, Refusal};
use super::rules::*;
use crate::ids::{RegionId, UserId};

fn policy() -> Policy {
    Policy::parse(BUILT_IN).unwrap()
}

fn by<'a>(roles: &'a [Role], relations: &'a [Relation]) -> Question<'a> {
    Question { person: 7, roles, relations, read_only: false, agent: false }
}

fn noon() -> DateTime<Utc> {
    "2026-03-31T12:00:00Z".parse().unwrap()
}

#[test]
fn several_roles_and_relations_permit_what_any_of_them_does() {
    let policy = policy();
    for action in Action::ALL {
        for role in Role::ALL.iter().filter(|role| **role != Role::Auditor) {
            for relation in Relation::ALL {
                let alone = policy.decide(by(&[*role], &[]), *action).is_ok()
                    || policy.decide(by(&[Role::Member], &[*relation]), *action).is_ok();
                let together = policy.decide(by(&[*role], &[*relation]), *action).is_ok();
                assert_eq!(together, alone, "{role} who is {relation}: {action}");
            }
        }
    }
}

#[test]
fn an_auditor_changes_nothing_whatever_they_are_to_the_thing() {
    let policy = policy();
    for action in Action::ALL.iter().filter(|action| action.mutates() && **action != Action::AccountManage) {
        let Refusal { rules, sentence } =
            policy.decide(by(&[Role::Auditor, Role::Admin], Relation::ALL), *action).unwrap_err();
        assert_eq!(rules, ["auditors-change-nothing"], "{action}");
        assert_eq!(sentence, "an auditor reads everything and changes nothing");
    }
    policy.decide(by(&[Role::Auditor], &[Relation::Oneself]), Action::AccountManage).unwrap();
}

#[test]
fn an_auditor_reads_everything() {
    for action in Action::ALL.iter().filter(|action| !action.mutates()) {
        policy().decide(by(&[Role::Auditor], &[]), *action).unwrap();
    }
}

#[test]
fn a_read_only_token_changes_nothing_and_reads_what_its_person_may() {
    let policy = policy();
    for action in Action::ALL {
        let question = Question { read_only: true, ..by(&[Role::Admin], Relation::ALL) };
        let decision = policy.decide(question, *action);
        if action.mutates() {
            assert_eq!(decision.unwrap_err().rules, ["read-only-token"], "{action}");
        } else {
            decision.unwrap();
        }
    }
}

#[test]
fn an_agent_acts_for_its_person_but_never_decides() {
    let policy = policy();
    for action in Action::ALL {
        for role in Role::ALL.iter().filter(|role| **role != Role::Auditor) {
            let question = by(std::slice::from_ref(role), Relation::ALL);
            let person = policy.decide(question, *action);
            let agent = policy.decide(Question { agent: true, ..question }, *action);
            if *action == Action::TicketDecide {
                assert!(agent.unwrap_err().rules.contains(&"agents-never-decide".to_owned()), "{role}");
            } else {
                assert_eq!(agent.is_ok(), person.is_ok(), "{role}: {action}");
            }
        }
    }
}

#[test]
fn every_refusal_says_which_rule_in_a_sentence() {
    let policy = policy();
    let known: Vec<_> = policy.rules().map(|rule| rule.id.to_owned()).collect();
    for action in Action::ALL {
        for role in Role::ALL {
            if let Err(Refusal { rules, sentence }) = policy.decide(by(&[*role], &[]), *action) {
                assert!(
                    !rules.is_empty() && rules.iter().all(|rule| known.contains(rule)),
                    "{role}: {action}: {rules:?}"
                );
                assert!(sentence.len() > 20 && !sentence.ends_with('.'), "{role}: {action}: “{sentence}”");
            }
        }
    }
}

#[test]
fn no_act_is_permitted_to_nobody() {
    for action in Action::ALL {
        let anybody = Role::ALL.iter().any(|role| policy().decide(by(&[*role], Relation::ALL), *action).is_ok());
        assert!(anybody, "{action}");
    }
}

#[test]
fn a_policy_without_names_and_sentences_is_refused() {
    assert!(Policy::parse("permit (principal, action, resource);").is_err());
    assert!(Policy::parse("@id(\"all\") permit (principal, action, resource);").is_err());
    assert!(Policy::parse("@id(\"all\") @says(\"all may\") permit (principal, action, resource);").is_ok());
    assert!(Policy::parse("let everybody = in;").is_err());
}

#[test]
fn a_lock_starts_at_the_fifth_failure_and_doubles_up_to_an_hour() {
    let seconds = |failures| locked_until(failures, noon()).map(|until| (until - noon()).num_seconds());
    assert_eq!(seconds(4), None);
    let locks: Vec<_> = (5..=13).filter_map(seconds).collect();
    assert_eq!(locks, [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]);
    assert_eq!(seconds(i64::MAX), Some(3600));
}

#[test]
fn a_password_is_long_enough_and_not_the_address() {
    let check = |password: &str| check_password(password, "anna.keller@example.com").is_ok();
    assert!(check("correct horse battery"));
    assert!(check("ünïcödé wörd"));
    assert!(!check("elevenchars"));
    assert!(!check("anna.keller1234"));
    assert!(!check(&"x".repeat(201)));
}

#[test]
fn an_address_has_two_sides_and_no_white_space() {
    for good in ["a@bc.d", "anna.keller@example.com", "Ä@ö.example"] {
        assert!(is_email(good), "{good}");
    }
    for bad in ["", "anna", "@example.com", "anna@", "anna@b", "a b@example.com", "a@b@example.com", "a@example.com\n"]
    {
        assert!(!is_email(bad), "{bad:?}");
    }
}

#[test]
fn after_sign_in_one_stays_on_this_server() {
    for good in ["/", "/models?owner_id=7", "/models/1?tab=access#x", "/a//b"] {
        assert_eq!(local_path(good), good);
    }
    let foreign = [
        "",
        "models",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/ü",
    ];
    for bad in foreign {
        assert_eq!(local_path(bad), "/", "{bad:?}");
    }
}

#[test]
fn roles_and_regions_go_together() {
    let uk = [RegionId(1)];
    assert!(check_roles(&[Role::RegionalApprover], &uk).is_ok());
    assert_eq!(check_roles(&[Role::RegionalApprover], &[]).unwrap_err().0, "approves_for");
    assert_eq!(check_roles(&[Role::Validator], &uk).unwrap_err().0, "approves_for");
    assert_eq!(check_roles(&[Role::Auditor, Role::Admin], &[]).unwrap_err().0, "roles");
    assert!(check_roles(&[Role::Auditor], &[]).is_ok());
}

#[test]
fn lent_rights_end_by_the_clock_or_by_hand_whichever_is_first() {
    let (before, after) = (noon() - TimeDelta::seconds(1), noon() + TimeDelta::seconds(1));
    let table = [
        (None, None, DelegationState::Active),
        (Some(after), None, DelegationState::Active),
        (Some(noon()), None, DelegationState::Expired),
        (Some(before), None, DelegationState::Expired),
        (None, Some(before), DelegationState::Revoked),
        (Some(after), Some(before), DelegationState::Revoked),
        (Some(before), Some(noon()), DelegationState::Expired),
    ];
    for (expires, revoked, state) in table {
        assert_eq!(delegation_state(expires, revoked, noon()), state, "{expires:?} {revoked:?}");
    }
}

#[test]
fn rights_are_lent_to_others_and_until_an_instant_to_come() {
    let (owner, admin, ben) = (UserId(1), UserId(2), UserId(3));
    let lend = |by, to, disabled, deploy, expires_at| {
        let new = NewDelegation { user_id: to, can_deploy: deploy, can_submit_changes: false, expires_at };
        check_delegation(by, owner, disabled, &new, noon())
    };
    lend(owner, ben, false, true, None).unwrap();
    lend(admin, ben, false, true, Some(noon() + TimeDelta::seconds(1))).unwrap();
    let field = |result: crate::error::Result<()>| result.unwrap_err().field_errors()[0].field.clone();
    assert_eq!(field(lend(owner, owner, false, true, None)), "user_id");
    assert_eq!(field(lend(admin, admin, false, true, None)), "user_id");
    assert_eq!(field(lend(admin, owner, false, true, None)), "user_id");
    assert_eq!(field(lend(owner, ben, true, true, None)), "user_id");
    assert_eq!(field(lend(owner, ben, false, false, None)), "can_deploy");
    assert_eq!(field(lend(owner, ben, false, true, Some(noon()))), "expires_at");
}
