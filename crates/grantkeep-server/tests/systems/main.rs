//! The four systems, called as their own documents say: the commands that stand there are run to
//! the letter, by `curl`, with the host swapped and the placeholders filled in.

// Helpers of tests are outside test functions, where clippy does not look for tests.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod contract;
mod curl;
mod expiry;
mod hapn;
mod hospitable;
mod hourfleet;
mod operators;
mod rest_api_v1;
mod started;

/// The document of a system, which lies beside the project; `None`, and said so, where it does not.
fn document(name: &str) -> Option<String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/seeds");
    let path = std::path::Path::new(root).join(format!("{name}.txt"));
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped because the documents of the systems are not beside the project");
        return None;
    };
    // Where a sign was lost on the way, what is looked for is plain ASCII.
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The commands of a document that begin with `curl`: each with its following lines, as long as a
/// quote is open or a line ends with a backslash. Blank lines between them are the document's own.
fn commands(document: &str) -> Vec<String> {
    let mut commands = Vec::new();
    let mut open: Option<String> = None;
    for line in document.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        let command = match open.take() {
            Some(before) => format!("{before}\n{line}"),
            None if line.starts_with("curl ") => line.to_owned(),
            None => continue,
        };
        let goes_on = line.ends_with('\\') || command.matches('\'').count() % 2 == 1;
        if goes_on { open = Some(command) } else { commands.push(command) }
    }
    commands
}

/// Swaps each text for the other, and misses none of them.
fn filled(command: &str, swapped: &[(&str, &str)]) -> String {
    swapped.iter().fold(command.to_owned(), |command, (placeholder, value)| {
        assert!(command.contains(placeholder), "{placeholder} is not in {command}");
        command.replace(placeholder, value)
    })
}
