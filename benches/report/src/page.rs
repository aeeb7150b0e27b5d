//! The page of a comparison, and all files of it.

use crate::plot::svg;
use crate::results::{Comparison, Kind, Measure, Spread};
use crate::table::number;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:1000px;margin:2em auto;padding:0 1em;\
    color:#222}table{border-collapse:collapse;width:100%;font-size:14px}td,th{border-bottom:1px \
    solid #ccc;padding:.35em .6em;text-align:left;vertical-align:top}.n{text-align:right;\
    white-space:nowrap}.store{font-weight:bold}.missed{color:#b00}figure{margin:2em 0}img{width:\
    100%;height:auto}code{background:#f4f4f4;padding:0 .2em}";

/// Writes the data, the plots, and the page into a directory.
///
/// # Errors
/// If a file cannot be written, or a plot not be drawn.
pub fn write(comparison: &Comparison, dir: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let data = serde_json::to_string_pretty(comparison)?;
    std::fs::write(dir.join("results.json"), data + "\n")?;
    for plot in &comparison.plots {
        std::fs::write(dir.join(format!("{}.svg", plot.file)), svg(plot)?)?;
    }
    std::fs::write(dir.join("index.html"), html(comparison))?;
    Ok(())
}

/// Reads what [`write()`] has written.
///
/// # Errors
/// If there is no such file, or it holds something else.
pub fn read(dir: &Path) -> Result<Comparison, Box<dyn Error>> {
    Ok(serde_json::from_str(&std::fs::read_to_string(dir.join("results.json"))?)?)
}

fn html(comparison: &Comparison) -> String {
    let mut page = String::from("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">");
    let _ = write!(page, "<title>Grantkeep, compared</title><style>{STYLE}</style>");
    let _ = write!(
        page,
        "<h1>Grantkeep, compared</h1><p>Made by <code>{}</code> in {} minutes on {}. Engines take \
         turns round by round; figures are medians over the rounds, with the least and the most.",
        escaped(&comparison.command),
        number(comparison.took_s / 60.0),
        escaped(&comparison.machine)
    );
    page.push_str("<h2>Engines</h2><table><tr><th>engine<th>version and settings");
    for (name, settings) in &comparison.engines {
        let _ = write!(page, "<tr><td>{}<td>{}", escaped(name), escaped(settings));
    }
    page.push_str("</table><h2>Pictures</h2>");
    for plot in &comparison.plots {
        let (file, title) = (escaped(&plot.file), escaped(&plot.title));
        let _ = write!(page, "<figure><img src=\"{file}.svg\" alt=\"{title}\"></figure>");
    }
    page.push_str("<h2>Figures</h2>");
    comparison.measures.iter().for_each(|measure| section(&mut page, measure));
    page.push_str("</html>\n");
    page
}

fn section(page: &mut String, measure: &Measure) {
    let _ = write!(page, "<h3>{}</h3><p>{}", escaped(&measure.name), escaped(&measure.note));
    let _ = write!(
        page,
        "<table><tr><th>engine<th class=n>{}<th class=n>spread<th class=n>grantkeep is",
        escaped(&measure.unit)
    );
    for side in &measure.sides {
        let class = if side.kind == Kind::Store { " class=store" } else { "" };
        let figures = Spread::of(&side.rounds);
        let times = if side.kind == Kind::Store {
            String::new()
        } else {
            format!("{} times as good", number(measure.times(side).median))
        };
        let _ = write!(
            page,
            "<tr{class}><td>{}<td class=n>{}<td class=n>{}..{}<td class=n>{times}",
            escaped(&side.name),
            number(figures.median),
            number(figures.least),
            number(figures.most),
        );
    }
    page.push_str("</table>");
    for verdict in measure.verdicts() {
        let class = if verdict.met { "met" } else { "missed" };
        let of = if verdict.against.is_empty() {
            measure.unit.clone()
        } else {
            format!("times {}", verdict.against)
        };
        let _ = write!(
            page,
            "<p class={class}>Bound: {} {}; found {}: {class}.",
            number(verdict.bound),
            escaped(&of),
            number(verdict.found.median)
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Bound, Plot};

    // Goal: a comparison is read as it was written, and its page names every engine, figure, and
    // missed bound, with nothing of a text taken for markup. Method: one of each.
    #[test]
    fn page_has_all_of_a_comparison() {
        let mut measure = Measure::new("issue <16>", "pairs/s", true).bound(Bound::BestPeer(9.0));
        measure.push("grantkeep", Kind::Store, 40_000.0);
        measure.push("peer & co", Kind::Peer, 10_000.0);
        let mut plot = Plot { file: "rates".to_owned(), ..Plot::default() };
        plot.push("grantkeep", (1.0, 2.0));
        let comparison = Comparison {
            command: "compare --quick".to_owned(),
            engines: vec![("peer & co".to_owned(), "7".to_owned())],
            measures: vec![measure],
            plots: vec![plot],
            ..Comparison::default()
        };
        let dir = std::env::temp_dir().join(format!("page-{}", std::process::id()));
        write(&comparison, &dir).unwrap();
        let page = std::fs::read_to_string(dir.join("index.html")).unwrap();
        for words in ["issue &lt;16&gt;", "peer &amp; co", "40,000", "class=missed", "rates.svg"] {
            assert!(page.contains(words), "{words} is not in {page}");
        }
        assert!(dir.join("rates.svg").is_file());
        let read = read(&dir).unwrap();
        assert_eq!(read.measures[0].sides[1].rounds, [10_000.0]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
