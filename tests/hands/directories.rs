use super::options;
use grantkeep::ErrorKind;
use std::fs;
use std::path::Path;

fn refusal(dir: &Path) -> String {
    let error = options().open(dir).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotAStore, "{error}");
    error.to_string()
}

// Goal: who opens the top of a fresh volume is told what is in the way, and what to do; who opens
// something else, what it holds. Method: `lost+found` alone, foreign files alone and many, and
// both.
#[test]
fn a_refused_directory_is_told_what_is_in_the_way() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path();
    fs::create_dir(dir.join("lost+found")).unwrap();
    let said = refusal(dir);
    let instead = format!("{}/tokens", dir.display());
    assert!(["`lost+found`", "subdirectory", &instead].iter().all(|w| said.contains(w)), "{said}");
    options().open(dir.join("tokens")).unwrap().close().unwrap();

    for number in 0..5 {
        fs::write(dir.join(format!("letter-{number}")), "dear").unwrap();
    }
    let said = refusal(dir);
    let words = ["`letter-0`", "`letter-1`", "`letter-2`", "and 4 more", "another directory"];
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert!(!dir.join("LOCK").exists(), "refusing made something");
}
