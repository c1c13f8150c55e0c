use super::rules::{Digest, safe_name};

#[test]
fn a_digest_is_64_hexadecimal_digits_whatever_their_case() {
    let digits = "AB".repeat(32);
    let digest: Digest = format!(" sha256:{digits} ").parse().unwrap();
    assert_eq!(digest.as_str(), digits.to_lowercase());
    for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(65), "sha512:aa"] {
        assert!(wrong.parse::<Digest>().is_err(), "{wrong} is no digest");
    }
}

#[test]
fn a_file_name_never_leads_out_of_its_folder() {
    for (given, kept) in [
        ("model.onnx", "model.onnx"),
        ("../../etc/passwd", "passwd"),
        ("C:\\models\\pd.pkl", "pd.pkl"),
        (".hidden", "hidden"),
        ("..", "artifact"),
        ("", "artifact"),
        ("a\"b\r\nc;d", "abcd"),
        ("Modell für PD.bin", "Modell für PD.bin"),
    ] {
        assert_eq!(safe_name(given), kept, "of {given:?}");
    }
    assert_eq!(safe_name(&"x".repeat(500)).len(), 120);
}
