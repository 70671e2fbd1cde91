//! The picture: for each thing that grows, cost above and memory below, over powers of ten. Plain SVG.

use std::fmt::Write as _;

use super::Point;

/// What grows, and what was measured.
pub(crate) struct Panel {
    pub(crate) what: &'static str,
    pub(crate) points: Vec<Point>,
}

const WIDTH: f64 = 230.0;
const HEIGHT: f64 = 150.0;
const GAP: f64 = 56.0;

/// The whole picture.
pub(crate) fn picture(panels: &[Panel]) -> String {
    let (width, height) = (GAP + panels.len() as f64 * (WIDTH + GAP), 2.0 * (HEIGHT + GAP) + 30.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
    );
    let points = || panels.iter().flat_map(|panel| &panel.points);
    let most = |of: fn(&Point) -> f64| round_up(points().map(of).fold(0.0, f64::max));
    let (nanos, mebibytes) = (most(|point| point.packet.max(point.opening / 5.0)), most(|point| point.peak));
    for (column, panel) in (0_u32..).zip(panels) {
        let left = GAP + f64::from(column) * (WIDTH + GAP);
        frame(&mut out, panel, (left, GAP / 2.0), "ns of CPU per packet", nanos);
        line(&mut out, panel, (left, GAP / 2.0), nanos, "#1f6feb", |point| point.packet);
        line(&mut out, panel, (left, GAP / 2.0), nanos, "#b35900", |point| point.opening / 5.0);
        frame(&mut out, panel, (left, GAP * 1.5 + HEIGHT), "peak memory, MiB", mebibytes);
        line(&mut out, panel, (left, GAP * 1.5 + HEIGHT), mebibytes, "#1a7f37", |point| point.peak);
    }
    let foot = height - 8.0;
    writeln!(out, "<text x=\"{GAP}\" y=\"{foot}\" fill=\"#1f6feb\">packet of an open connection</text>").unwrap();
    writeln!(out, "<text x=\"{}\" y=\"{foot}\" fill=\"#b35900\">packet of an opening, the mean of five</text>", GAP + 200.0).unwrap();
    out + "</svg>\n"
}

/// The axes of one panel: its corner, what is up, and the most of it.
fn frame(out: &mut String, panel: &Panel, (left, top): (f64, f64), up: &str, most: f64) {
    let bottom = top + HEIGHT;
    writeln!(out, "<rect x=\"{left}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" stroke=\"#bbb\"/>").unwrap();
    writeln!(out, "<text x=\"{left}\" y=\"{}\">{up}</text>", top - 6.0).unwrap();
    for part in [0.0, 0.5, 1.0] {
        let (y, value) = (bottom - part * HEIGHT, part * most);
        writeln!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>", left - 4.0, y + 4.0).unwrap();
    }
    let [first, last] = ends(panel);
    for power in first..=last {
        let x = place(panel, left, 10_f64.powi(power));
        writeln!(out, "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"#eee\"/>").unwrap();
        writeln!(
            out,
            "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">10<tspan dy=\"-4\" font-size=\"8\">{power}</tspan></text>",
            bottom + 14.0
        )
        .unwrap();
    }
    writeln!(out, "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>", left + WIDTH / 2.0, bottom + 27.0, panel.what).unwrap();
}

fn line(out: &mut String, panel: &Panel, (left, top): (f64, f64), most: f64, colour: &str, of: fn(&Point) -> f64) {
    let at = |point: &Point| (place(panel, left, point.number), top + HEIGHT * (1.0 - of(point) / most));
    let path: Vec<String> = panel.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>", path.join(" ")).unwrap();
    for (x, y) in panel.points.iter().map(at) {
        writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{colour}\"/>").unwrap();
    }
}

/// The powers of ten at the ends of a panel.
fn ends(panel: &Panel) -> [i32; 2] {
    let numbers = || panel.points.iter().map(|point| point.number.log10());
    [numbers().fold(f64::MAX, f64::min).floor() as i32, numbers().fold(0.0, f64::max).ceil() as i32]
}

fn place(panel: &Panel, left: f64, number: f64) -> f64 {
    let [first, last] = ends(panel).map(f64::from);
    left + WIDTH * (number.log10() - first) / (last - first).max(1.0)
}

/// The next number of one digit, or of a digit and a half, and zeros.
fn round_up(number: f64) -> f64 {
    let unit = 10_f64.powf(number.max(1.0).log10().floor());
    (number / unit * 2.0).ceil() / 2.0 * unit
}
