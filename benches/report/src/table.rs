//! The table of a comparison in Markdown, and where it stands in documents.

use crate::results::{Comparison, Kind, Measure, Spread};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

const START: &str = "<!-- the table of the comparison: made by its command -->";
const END: &str = "<!-- the end of the table -->";

/// The whole table: a row a measure, every engine, and every bound.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::from(
        "| measure | grantkeep | peers, the best first | best peer (spread) | bounds |\n\
         |---|---|---|---|---|\n",
    );
    for measure in &comparison.measures {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            measure.name,
            store(measure),
            others(measure),
            best(measure),
            bounds(measure)
        );
    }
    text
}

fn store(measure: &Measure) -> String {
    let figures = measure.store().map(|side| side.rounds.as_slice()).unwrap_or_default();
    format!("**{}** {}", number(Spread::of(figures).median), measure.unit)
}

fn others(measure: &Measure) -> String {
    let mut sides: Vec<_> = measure.sides.iter().filter(|side| side.kind != Kind::Store).collect();
    let median = |side: &&crate::Side| Spread::of(&side.rounds).median;
    sides.sort_by(|one, other| {
        let order = median(one).total_cmp(&median(other));
        if measure.more_is_better { order.reverse() } else { order }
    });
    let named = |side: &&crate::Side| format!("{} {}", side.name, number(median(side)));
    let words: Vec<String> = sides.iter().map(named).collect();
    words.join(", ")
}

fn best(measure: &Measure) -> String {
    measure.best_peer().map_or_else(String::new, |peer| {
        let times = measure.times(peer);
        let (least, most) = (number(times.least), number(times.most));
        format!("{} x {} ({least}..{most})", number(times.median), peer.name)
    })
}

fn bounds(measure: &Measure) -> String {
    let words = measure.verdicts().into_iter().map(|verdict| {
        let met = if verdict.met { "met" } else { "**missed**" };
        let bound = number(verdict.bound);
        if verdict.against.is_empty() {
            let side = if measure.more_is_better { "at least" } else { "at most" };
            return format!("{side} {bound}: {met}");
        }
        let found = number(verdict.found.median);
        format!("{bound} x {}: {found}, {met}", verdict.against)
    });
    words.collect::<Vec<_>>().join("; ")
}

/// A figure with three digits that count.
pub fn number(figure: f64) -> String {
    let digits = match figure.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{figure:.digits$}");
    if figure.abs() < 10_000.0 {
        return text;
    }
    // Thousands apart.
    let (count, mut apart) = (text.len(), String::new());
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (count - at).is_multiple_of(3) && digit != '-' {
            apart.push(',');
        }
        apart.push(digit);
    }
    apart
}

/// Puts the table between its marks in a document.
///
/// # Errors
/// If the document cannot be read or written, or has no marks.
pub fn put(document: &Path, table: &str) -> io::Result<()> {
    let text = std::fs::read_to_string(document)?;
    let place = text.find(START).zip(text.find(END)).filter(|(start, end)| start < end);
    let (start, end) = place.ok_or_else(|| {
        let message = format!("{} has no place for the table: {START}", document.display());
        io::Error::new(io::ErrorKind::InvalidData, message)
    })?;
    let (before, after) = (&text[..start + START.len()], &text[end..]);
    std::fs::write(document, format!("{before}\n\n{table}\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Bound;

    // Goal: a table says who is how many times as good, and a missed bound says so. Method: a
    // measure of three sides, one where more is better and one where less is.
    #[test]
    fn table_names_ratios_and_missed_bounds() {
        let mut comparison = Comparison::default();
        for more_is_better in [true, false] {
            let measure = Measure::new("issue", "pairs/s", more_is_better);
            let mut measure = measure.bound(Bound::BestPeer(2.0)).bound(Bound::Figure(30_000.0));
            for (name, kind, figures) in [
                ("grantkeep", Kind::Store, [40_000.0, 44_000.0, 42_000.0]),
                ("one", Kind::Peer, [20_000.0, 20_000.0, 21_000.0]),
                ("other", Kind::Peer, [80_000.0, 90_000.0, 10.0]),
            ] {
                figures.into_iter().for_each(|figure| measure.push(name, kind, figure));
            }
            comparison.measures.push(measure);
        }
        let table = markdown(&comparison);
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows[0],
            "| issue | **42,000** pairs/s | other 80,000, one 20,000 | 0.500 x other \
             (0.489..4200) | 2.00 x other: 0.500, **missed**; at least 30,000: met |"
        );
        assert!(rows[1].contains("one 20,000, other 80,000"), "{table}");
        assert!(rows[1].ends_with("2.00 x one: 0.500, **missed**; at most 30,000: **missed** |"));
    }

    // Goal: a document keeps all but its table, and one without a place for it is refused.
    // Method: a table put twice.
    #[test]
    fn table_takes_its_place_in_a_document() {
        let path = std::env::temp_dir().join(format!("table-{}.md", std::process::id()));
        std::fs::write(&path, format!("before\n\n{START}\n\n{END}\n\nafter\n")).unwrap();
        for table in ["| old |\n", "| new |\n"] {
            put(&path, table).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("before\n\n{START}\n\n| new |\n\n{END}\n\nafter\n"));
        std::fs::write(&path, "no place").unwrap();
        assert!(put(&path, "| new |").unwrap_err().to_string().contains("has no place"));
        std::fs::remove_file(&path).unwrap();
    }
}
