//! A plot as SVG.

use crate::results::{Line, Plot};
use crate::table::number;
use plotters::coord::Shift;
use plotters::coord::combinators::{IntoLogRange as _, LogCoord};
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use std::ops::Range;

const SIZE: (u32, u32) = (1_000, 520);
/// The width of the column of names beside the chart.
const NAMES: u32 = 130;
const FONT: &str = "sans-serif";
/// Colors that are told apart, also by those who do not see red and green (Okabe and Ito); the
/// store's first.
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 0, 0),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 158, 115),
    RGBColor(213, 94, 0),
    RGBColor(0, 114, 178),
    RGBColor(204, 121, 167),
    RGBColor(150, 150, 150),
];
const MARK_SHADE: f64 = 0.18;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// Draws a plot.
///
/// # Errors
/// If it has no points, or the library refuses to draw it.
pub fn svg(plot: &Plot) -> Result<String, Box<dyn std::error::Error>> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let points = || plot.lines.iter().flat_map(|line| &line.points);
        let across = range(points().map(|point| point.0), plot.logarithmic.0);
        let upwards = range(points().map(|point| point.1), plot.logarithmic.1);
        let (across, upwards) = across.zip(upwards).ok_or("a plot without points")?;
        let log = |range: Range<f64>| range.log_scale();
        match plot.logarithmic {
            (false, false) => draw::<RangedCoordf64, RangedCoordf64>(&area, plot, across, upwards),
            (true, false) => {
                draw::<LogCoord<f64>, RangedCoordf64>(&area, plot, log(across), upwards)
            }
            (false, true) => {
                draw::<RangedCoordf64, LogCoord<f64>>(&area, plot, across, log(upwards))
            }
            (true, true) => {
                draw::<LogCoord<f64>, LogCoord<f64>>(&area, plot, log(across), log(upwards))
            }
        }?;
        area.present()?;
    }
    Ok(text)
}

/// A range that all figures are in, with some room above.
fn range(figures: impl Iterator<Item = f64> + Clone, logarithmic: bool) -> Option<Range<f64>> {
    let least = figures.clone().reduce(f64::min)?;
    let most = figures.reduce(f64::max)?;
    Some(if logarithmic { least.max(1e-9) * 0.8..most.max(1e-9) * 1.25 } else { 0.0..most * 1.08 })
}

fn draw<X, Y>(
    area: &Area<'_>,
    plot: &Plot,
    across: impl AsRangedCoord<CoordDescType = X, Value = f64>,
    upwards: impl AsRangedCoord<CoordDescType = Y, Value = f64>,
) -> Drawn
where
    X: Ranged<ValueType = f64> + ValueFormatter<f64>,
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let (area, beside) = area.split_horizontally(SIZE.0 - NAMES);
    let mut legend: Vec<(&str, ShapeStyle)> = Vec::new();
    let mut chart = ChartBuilder::on(&area)
        .caption(&plot.title, (FONT, 22))
        .margin(14)
        .x_label_area_size(48)
        .y_label_area_size(84)
        .build_cartesian_2d(across, upwards)?;
    chart
        .configure_mesh()
        .x_desc(&plot.across)
        .y_desc(&plot.upwards)
        .axis_desc_style((FONT, 16))
        .label_style((FONT, 14))
        .x_label_formatter(&|figure| short(*figure))
        .y_label_formatter(&|figure| short(*figure))
        .light_line_style(WHITE)
        .draw()?;
    let bottom = plot.lines.iter().flat_map(|line| &line.points).map(|point| point.1);
    let (low, high) = (bottom.clone().fold(f64::MAX, f64::min), bottom.fold(0.0, f64::max));
    let low = if plot.logarithmic.1 { low * 0.8 } else { 0.0 };
    let mut names: Vec<&str> = plot.marks.iter().map(|mark| mark.name.as_str()).collect();
    names.dedup();
    for (number, name) in names.into_iter().enumerate() {
        let color = COLORS[1 + number % (COLORS.len() - 1)].mix(MARK_SHADE);
        let marks = plot.marks.iter().filter(|mark| mark.name == name);
        let shades = marks
            .map(|mark| Rectangle::new([(mark.from, low), (mark.to, high * 1.08)], color.filled()));
        chart.draw_series(shades)?;
        legend.push((name, color.filled()));
    }
    for (at, Line { name, points }) in plot.lines.iter().enumerate() {
        let color = COLORS[at % COLORS.len()];
        let style = color.stroke_width(if at == 0 { 3 } else { 2 });
        chart.draw_series(LineSeries::new(points.iter().copied(), style))?;
        legend.push((name, style));
        if points.len() <= 20 {
            let dots = points.iter().map(|point| Circle::new(*point, 3, color.filled()));
            chart.draw_series(dots)?;
        }
    }
    name_all(&beside, &legend)
}

/// Names the lines and the shades, from the top to the bottom.
fn name_all(area: &Area<'_>, legend: &[(&str, ShapeStyle)]) -> Drawn {
    for ((name, style), y) in legend.iter().zip((60..).step_by(24)) {
        if style.filled {
            area.draw(&Rectangle::new([(0, y - 7), (20, y + 7)], *style))?;
        } else {
            area.draw(&PathElement::new([(0, y), (20, y)], *style))?;
        }
        area.draw(&Text::new((*name).to_owned(), (28, y - 7), (FONT, 15)))?;
    }
    Ok(())
}

/// A figure for an axis: 12k, 3.5M.
fn short(figure: f64) -> String {
    let trimmed = |figure: f64, unit: &str| {
        let text = format!("{figure:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match figure.abs() {
        size if size >= 1e9 => trimmed(figure / 1e9, "G"),
        size if size >= 1e6 => trimmed(figure / 1e6, "M"),
        size if size >= 1e3 => trimmed(figure / 1e3, "k"),
        size if size >= 0.01 || size == 0.0 => trimmed(figure, ""),
        _ => number(figure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Mark;

    // Goal: every kind of axis is drawn, with all lines, marks, and names. Method: a plot of two
    // lines on each; one without points is refused.
    #[test]
    fn plots_are_drawn_on_every_kind_of_axis() {
        let mut plot = Plot { title: "rates".to_owned(), ..Plot::default() };
        for (line, factor) in [("first", 1.0), ("second", 2.0)] {
            for at in 1..=5 {
                plot.push(line, (f64::from(at), f64::from(at) * factor));
            }
        }
        plot.marks.push(Mark { name: "sweep".to_owned(), from: 2.0, to: 3.0 });
        for logarithmic in [(false, false), (true, false), (false, true), (true, true)] {
            let text = svg(&Plot { logarithmic, ..plot.clone() }).unwrap();
            for word in ["rates", "first", "second", "sweep"] {
                assert!(text.contains(word), "{word} is not in the picture");
            }
            assert_eq!(text.matches("<circle").count(), 10);
        }
        assert!(svg(&Plot::default()).is_err());
    }
}
