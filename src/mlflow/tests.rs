use super::rules;

#[test]
fn a_path_never_leads_out_of_its_run() {
    assert!(rules::clean("../x").is_err());
}
