use super::{document, files, is_test};
use std::collections::BTreeMap;

/// The goal of each test of the workspace, behind the paths of the files that it is in.
fn goals() -> BTreeMap<String, String> {
    let mut goals = BTreeMap::new();
    for (path, text) in files("rs") {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, _) in lines.iter().enumerate().filter(|(_, line)| is_test(line)) {
            let count = lines[..at].iter().rev().take_while(|line| line.starts_with("//")).count();
            let goal = lines[at - count..at].join(" ");
            let mut below = lines[at..].iter().filter_map(|line| line.split_once("fn "));
            let (name, _) = below.next().unwrap().1.split_once('(').unwrap();
            let held = goals.entry(name.to_owned()).or_insert_with(String::new);
            held.push_str(&format!(" {path} {goal}"));
        }
    }
    goals
}

/// The cells of each row of a document's tables.
fn rows(text: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|-"));
    rows.map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
}

/// What stands in backticks and has the form of a test's name.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted.filter(|name| {
        name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
    })
}

/// The promises of a table of promises, tests, and broken builds that no test of theirs names.
fn unproven(table: &str, goals: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut promises = 0;
    for cells in rows(table).filter(|cells| cells[0].starts_with('P')) {
        promises += 1;
        for name in cells[1..].iter().flat_map(|cell| names(cell)) {
            let named = |goal: &String| {
                let mut words = goal.split(|c: char| !c.is_ascii_alphanumeric());
                words.any(|word| word == cells[0])
            };
            if !goals.get(name).is_some_and(named) {
                faults.push(format!("{}: `{name}` is no test with this promise", cells[0]));
            }
        }
        for part in cells.get(1).into_iter().flat_map(|cell| cell.split(';')) {
            let folder = match part.trim().split_once(':') {
                Some((suite, _)) if suite.starts_with("unit tests") => "/src/".to_owned(),
                Some(("fuzz", _)) => "fuzz/".to_owned(),
                Some((suite, _)) => format!("/{suite}/"),
                None => continue,
            };
            let is_there = |name: &&str| {
                goals.get(*name).is_some_and(|goal| format!("/{goal}").contains(&folder))
            };
            for name in names(part).filter(|name| !is_there(name)) {
                faults.push(format!("{}: `{name}` is not in {folder}", cells[0]));
            }
        }
        for (what, cell) in [("test", cells.get(1)), ("broken build", cells.get(2))] {
            if cell.is_none_or(|cell| names(cell).count() == 0) {
                faults.push(format!("{}: no {what}", cells[0]));
            }
        }
    }
    if promises != 10 {
        faults.push(format!("{promises} promises"));
    }
    faults
}

// Goal: each promise is shown by tests, which say so in their goal, and by a broken build that
// is caught. Method: look up every test that the table of promises names.
#[test]
fn promises_name_tests_that_name_them() {
    let faults = unproven(&document("docs/guarantees.md"), &goals());
    assert!(faults.is_empty(), "{faults:#?}");
}

// Goal: a promise that nothing shows is seen. Method: a table with a test that does not exist, one
// of another promise, and a row without any, in both columns.
#[test]
fn unproven_promises_are_seen() {
    let goals = BTreeMap::from([("holds".to_owned(), "Goal: P1, P10.".to_owned())]);
    let row = |number: usize, test: &str| format!("| P{number} | {test} | {test} |\n");
    let table: String = (1..=10).map(|number| row(number, "`holds`")).collect();
    assert_eq!(unproven(&table, &goals).len(), 16);
    assert_eq!(unproven(&table.replace("`holds`", "`gone`"), &goals).len(), 20);
    assert_eq!(unproven(&row(1, ""), &goals).len(), 3);
}

// Goal: the tests that the documents name exist. Method: every name in the last column of the
// tables of hazards, of limits, of features, and of the four systems is a test.
#[test]
fn named_tests_exist() {
    let goals = goals();
    for path in ["docs/security.md", "docs/limits.md", "docs/features.md", "docs/systems.md"] {
        let text = document(path);
        for cells in rows(&text).skip(1) {
            for name in names(cells.last().unwrap()) {
                assert!(goals.contains_key(name), "{path} names `{name}`, which is no test");
            }
        }
    }
}

// Goal: the README is read in one go, and every document is linked from it. Method: count its
// lines, look for each file of `docs/`.
#[test]
fn readme_is_short_and_links_every_document() {
    let readme = document("README.md");
    assert!(readme.lines().count() <= 120);
    for (path, _) in files("md").iter().filter(|(path, _)| path.starts_with("docs/")) {
        assert!(readme.contains(&format!("]({path})")), "the README does not link {path}");
    }
}
