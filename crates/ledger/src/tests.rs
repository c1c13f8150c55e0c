//! Every way to tamper with a chain is found, and placed.

use super::*;

fn entry(seq: i64) -> Entry {
    Entry {
        seq,
        at: "2026-03-31T12:00:00.000000Z".into(),
        actor_id: Some(7),
        actor: "Anna Owner".into(),
        agent: None,
        action: "task.confirmed".into(),
        entity: "task".into(),
        entity_id: seq.to_string(),
        model_id: Some(1),
        before: Some(r#"{"status":"PENDING"}"#.into()),
        after: Some(r#"{"status":"CONFIRMED"}"#.into()),
        reason: None,
        request_id: "r".into(),
    }
}

fn chain(length: i64) -> (Vec<Sealed>, Head) {
    let mut head = Head::default();
    let sealed = (1..=length)
        .map(|seq| {
            let entry = entry(seq);
            let hash = entry.hash(&head.hash);
            let sealed = Sealed { entry, prev_hash: head.hash.clone(), hash: hash.clone() };
            head = Head { seq, hash };
            sealed
        })
        .collect();
    (sealed, head)
}

fn verify(entries: &[Sealed], head: &Head) -> Result<Head, Fault> {
    let mut verifier = Verifier::new();
    for entry in entries {
        verifier.push(entry)?;
    }
    verifier.finish(head)
}

#[test]
fn a_whole_chain_verifies() {
    let (entries, head) = chain(5);
    assert_eq!(verify(&entries, &head), Ok(head));
}

#[test]
fn an_empty_ledger_verifies() {
    assert_eq!(verify(&[], &Head::default()), Ok(Head::default()));
}

#[test]
fn a_changed_entry_is_found() {
    let (mut entries, head) = chain(5);
    entries[2].entry.reason = Some("forged".into());
    assert_eq!(verify(&entries, &head), Err(Fault::Changed { seq: 3 }));
}

#[test]
fn a_changed_entry_with_a_new_hash_breaks_the_next_link() {
    let (mut entries, head) = chain(5);
    entries[2].entry.actor = "Mallory".into();
    entries[2].hash = entries[2].entry.hash(&entries[2].prev_hash);
    assert_eq!(verify(&entries, &head), Err(Fault::Unlinked { seq: 4 }));
}

#[test]
fn a_missing_entry_is_found() {
    let (mut entries, head) = chain(5);
    entries.remove(1);
    assert_eq!(verify(&entries, &head), Err(Fault::Missing { from: 2, to: 2 }));
}

#[test]
fn a_cut_off_end_is_found() {
    let (mut entries, head) = chain(5);
    entries.truncate(3);
    assert_eq!(verify(&entries, &head), Err(Fault::WrongHead { found: 3, recorded: 5 }));
}

#[test]
fn a_repeated_entry_is_found() {
    let (mut entries, head) = chain(3);
    let again = entries[1].clone();
    entries.insert(2, again);
    assert_eq!(verify(&entries, &head), Err(Fault::Reordered { expected: 3, found: 2 }));
}

#[test]
fn swapped_entries_are_found() {
    let (mut entries, head) = chain(3);
    entries.swap(0, 1);
    assert_eq!(verify(&entries, &head), Err(Fault::Missing { from: 1, to: 1 }));
}
