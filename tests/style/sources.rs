use super::{files, is_test};
use grantkeep::backend::Kind;

/// Lines of a file; of one in `tests/`.
const LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 700;
const COLUMNS_MAX: usize = 100;
/// Names that say nothing of what is inside.
const VAGUE: [&str; 6] = ["common", "helpers", "manager", "misc", "util", "utils"];

/// What is wrong with one source file.
fn faults(path: &str, text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let mut faults = Vec::new();
    let lines_max = if path.starts_with("tests/") { TEST_LINES_MAX } else { LINES_MAX };
    if lines.len() > lines_max {
        faults.push(format!("{path}: {} lines, more than {lines_max}", lines.len()));
    }
    let stem = path.rsplit('/').find(|part| *part != "mod.rs").unwrap_or(path);
    if VAGUE.contains(&stem.trim_end_matches(".rs")) {
        faults.push(format!("{path}: a name that says nothing"));
    }
    // In two parts, so that this file does not hold them.
    let unfinished = [("to", "do!"), ("unimple", "mented!"), ("db", "g!"), ("#[igno", "re")];
    for (at, line) in lines.iter().enumerate() {
        let mut fault = |what: &str| faults.push(format!("{path}:{}: {what}", at + 1));
        if line.chars().count() > COLUMNS_MAX {
            fault("too long a line");
        }
        if !line.is_ascii() {
            fault("not ASCII");
        }
        if unfinished.iter().any(|(first, last)| line.contains(&format!("{first}{last}"))) {
            fault("left unfinished");
        }
        let comment = || {
            let above = lines[..at].iter().rev().map(|line| line.trim());
            above.take_while(|line| line.starts_with("//")).last()
        };
        if is_test(line.trim()) && !comment().is_some_and(|line| line.starts_with("// Goal: ")) {
            fault("a test that does not open with its goal");
        }
    }
    faults
}

// Goal: every source keeps to the conventions: length, columns, ASCII, a goal on each test, nothing
// left unfinished. Method: read them all.
#[test]
fn sources_keep_to_the_conventions() {
    let sources = files("rs");
    assert!(sources.len() > 100, "only {} sources were found", sources.len());
    let faults: Vec<_> = sources.iter().flat_map(|(path, text)| faults(path, text)).collect();
    assert!(faults.is_empty(), "{faults:#?}");
}

// Goal: every kind of record is told by a name of its own in metrics and in what is serialized,
// never by its number. Method: read the kinds that the sources give to records.
#[test]
fn every_kind_of_record_is_named() {
    let mut names = std::collections::BTreeMap::new();
    let sources = files("rs");
    for (path, text) in sources.iter().filter(|(path, _)| path.contains("/src/store/")) {
        for line in text.lines().filter(|line| line.contains(": Kind = Kind::")) {
            let (how, number) = line
                .split_once("Kind::")
                .unwrap()
                .1
                .split_once('(')
                .unwrap_or(("write_once", "5) // REMEMBERED"));
            let number = number.split(')').next().unwrap();
            let number = number.strip_prefix("0x").map_or_else(
                || number.parse().unwrap(),
                |number| u8::from_str_radix(number, 16).unwrap(),
            );
            let kind =
                if how == "revised" { Kind::revised(number) } else { Kind::write_once(number) };
            let name = kind.name().unwrap_or_else(|| panic!("{path}: {kind:?} has no name"));
            let before = names.insert(name, (path, number));
            assert!(before.is_none(), "{name}: {path} and {before:?}");
        }
    }
    assert!(names.len() >= 16, "only {names:?} were found");
}

// Goal: each rule can fail. Method: a file that breaks each of them, and one that breaks none.
#[test]
fn every_rule_catches_its_fault() {
    let good = "//! A concept.\n\n// Goal: it holds. Method: look.\n#[test]\nfn it_holds() {}\n";
    assert_eq!(faults("tests/suite/concept.rs", good), Vec::<String>::new());
    let long = "\n".repeat(LINES_MAX + 1);
    assert!(faults("tests/long.rs", &long).is_empty());
    let marked = |text: &str| format!("fn f() {{ {text}(); }}\n");
    for (path, text) in [
        ("crates/a/src/long.rs", long),
        ("tests/long.rs", "\n".repeat(TEST_LINES_MAX + 1)),
        ("crates/a/src/utils.rs", String::new()),
        ("crates/a/src/helpers/mod.rs", String::new()),
        ("a.rs", "x".repeat(COLUMNS_MAX + 1)),
        ("a.rs", "// \u{2014}\n".to_owned()),
        ("a.rs", marked(concat!("to", "do!"))),
        ("a.rs", marked(concat!("db", "g!"))),
        ("a.rs", concat!("#[igno", "re]\n").to_owned()),
        ("a.rs", good.replace("Goal", "Aim")),
        ("a.rs", good.replace("Method: look.\n", "Method: look.\n\n")),
    ] {
        assert_eq!(faults(path, &text).len(), 1, "{path}: {text}");
    }
}
