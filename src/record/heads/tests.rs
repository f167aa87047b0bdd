use std::fs;
use std::path::Path;

use super::super::chain::Chain;
use super::*;

/// RFC 8032, section 7.1, test 1: as `openssl` writes this key.
const PRIVATE: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";
/// A P-256 key: another type.
const OTHER: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEYx2bFXm3tHy4b1NkFDWfQ2qC8UXw\ndp9ODC078Vpym67HWECFpAea6C+MbIQlBhTB3yalsAArZl34uPLTMqNszA==\n-----END PUBLIC KEY-----\n";

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&fs::metadata(path).unwrap().permissions()) & 0o777
}

#[test]
fn a_key_is_made_once_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (key, public) = (directory.path().join("signing.key"), directory.path().join("signing.pub"));
    let made = Signer::open_or_make(&key).unwrap();
    made.publish(&public).unwrap();
    assert_eq!(mode(&key), 0o600);
    let again = Signer::open_or_make(&key).unwrap();
    assert_eq!(again.public(), made.public());
    assert_eq!(&Public::read(&fs::read_to_string(&public).unwrap()).unwrap(), made.public());
    let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
    // A public half that is another key's is written anew.
    fs::write(&public, PUBLIC).unwrap();
    again.publish(&public).unwrap();
    assert_eq!(fs::read_to_string(&public).unwrap(), made.public().pem());
    assert!(!format!("{made:?}").contains(fs::read_to_string(&key).unwrap().lines().nth(1).unwrap()));
}

#[test]
fn two_who_make_the_key_at_once_have_the_same_one() {
    for _ in 0..20 {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("signing.key");
        let keys: Vec<Public> = std::thread::scope(|scope| {
            let making: Vec<_> =
                (0..4).map(|_| scope.spawn(|| Signer::open_or_make(&key).unwrap().public().clone())).collect();
            making.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
    }
}

#[test]
fn a_key_that_openssl_made_is_read_and_signs_as_the_rfc_says() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("mine.pem");
    fs::write(&key, PRIVATE).unwrap();
    let signer = Signer::open(&key).unwrap();
    assert_eq!(signer.public().pem(), PUBLIC);
    let raw = decode("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=").unwrap();
    assert!(Hash::of(&raw).to_string().starts_with(signer.public().id()));
    assert_eq!(signer.public().id().len(), 16);
    let signature = signer.sign(b"").unwrap();
    let rfc = "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b";
    let mut hex = String::new();
    super::super::link::push_hex(&decode(&signature).unwrap(), &mut hex);
    assert_eq!(hex, rfc);
    assert!(signer.public().verifies(b"", &signature));
    assert!(!signer.public().verifies(b"x", &signature));
}

#[test]
fn what_is_no_key_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("mine.pem");
    let fault = Signer::open(&key).unwrap_err().to_string();
    assert!(fault.contains("mine.pem") && fault.contains("give it to the user"), "{fault}");
    for (text, why) in [
        ("", "does not begin as PEM"),
        ("secret", "does not begin as PEM"),
        (PUBLIC, "`PUBLIC KEY` and not `PRIVATE KEY`"),
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n", "last line"),
        ("-----BEGIN PRIVATE KEY-----\n!\n-----END PRIVATE KEY-----\n", "base64"),
        ("-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n", "another type"),
        (&format!("{PRIVATE}{PRIVATE}"), "more than one"),
        (&PRIVATE.replace("PRIVATE", "ENCRYPTED PRIVATE"), "`ENCRYPTED PRIVATE KEY`"),
    ] {
        fs::write(&key, text).unwrap();
        let fault = Signer::open(&key).unwrap_err().to_string();
        assert!(fault.contains(why) && fault.contains("openssl genpkey"), "{text}: {fault}");
        assert!(Signer::open_or_make(&key).is_err(), "{text}");
        assert_eq!(fs::read_to_string(&key).unwrap(), text, "it was written over");
    }
    for (text, why) in [(PRIVATE, "not `PUBLIC KEY`"), (OTHER, "another type"), ("", "does not begin")] {
        let fault = Public::read(text).unwrap_err().to_string();
        assert!(fault.contains(why) && fault.contains("signing.pub"), "{text}: {fault}");
    }
}

#[test]
fn a_head_is_what_the_documentation_says() {
    let directory = tempfile::tempdir().unwrap();
    let key = directory.path().join("mine.pem");
    fs::write(&key, PRIVATE).unwrap();
    let signer = Signer::open(&key).unwrap();
    let mut chain = Chain::new(Uuid::from_u128(7));
    let at: Timestamp = "2026-11-21T08:15:00Z".parse().unwrap();
    let entry = format!(r#"{{"kind":"audit","_id":"{}","timestamp":"{at}"}}"#, Uuid::from_u128(1));
    chain.link(&Line::read(&entry).unwrap()).unwrap();
    assert_eq!(chain.unsigned(), 1);
    let first = chain.head(&signer, Uuid::from_u128(2), at).unwrap();
    assert_eq!(chain.unsigned(), 0);
    // A clock that went back does not go into heads.
    let second = chain.head(&signer, Uuid::from_u128(3), "2026-11-21T08:14:00Z".parse().unwrap()).unwrap();
    let (zeros, id) = (Hash::ZERO, Uuid::from_u128(7));
    let audit = chain.ends().audit.hash;
    let expected = format!(
        r#"{{"kind":"head","_id":"{}","timestamp":"{at}","instance":"{id}","number":2,"prev":"{}","since":{{"timestamp":"{at}","audit":1,"usage":0}},"audit":{{"seq":1,"hash":"{audit}"}},"usage":{{"seq":0,"hash":"{zeros}"}},"key":"{}""#,
        Uuid::from_u128(3),
        Hash::of(first.text.as_bytes()),
        signer.public().id()
    );
    let (text, signature) = second.text.split_once(r#","signature":""#).unwrap();
    assert_eq!(text, expected);
    let signature = signature.strip_suffix("\"}").unwrap();
    assert!(signer.public().verifies(format!("tollgate head 1\n{expected}").as_bytes(), signature));
    assert!(first.text.contains(&format!(r#""number":1,"prev":"{zeros}","audit""#)), "{}", first.text);
    let head = Head::read(&second.text).unwrap();
    assert!(head.is_signed_by(signer.public()));
    assert!(!head.is_signed_by(&Public::read(&other_key()).unwrap()));
    assert_eq!((head.number, head.audit.seq, head.at), (2, 1, at));
}

#[test]
fn only_the_one_form_of_a_head_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let signer = Signer::open_or_make(&directory.path().join("signing.key")).unwrap();
    let mut chain = Chain::new(Uuid::from_u128(7));
    let head = chain.head(&signer, Uuid::from_u128(2), Timestamp::UNIX_EPOCH).unwrap();
    for (from, to) in [
        ("\"number\":1", "\"number\": 1"),
        ("\"number\":1", "\"number\":0"),
        ("\"kind\":\"head\"", "\"kind\":\"audit\""),
        ("{\"kind\"", "{\"more\":1,\"kind\""),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
        ("00000000-0000", "{00000000-0000"),
        ("\"}", "\"} "),
    ] {
        let changed = head.text.replacen(from, to, 1);
        assert_ne!(&*changed, &*head.text, "{from}");
        assert!(Head::read(&changed).is_err(), "{changed}");
    }
}

fn other_key() -> String {
    let directory = tempfile::tempdir().unwrap();
    Signer::open_or_make(&directory.path().join("signing.key")).unwrap().public().pem()
}
