//! Two profiles as text: the first alone, then both side by side in a compact table.

use std::fmt::{self, Display, Formatter};

use super::table::{PASSES, align, micros, name, percent, share_of_ceilings, work};
use super::{Pair, PartInfo, Profile, SideBySide};

/// Two columns of words, three for each backend, and the ratio.
type Row = [String; 9];

impl Display for SideBySide {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { profile, beside } = self;
        let (here, there) = (place(profile), place(&beside.profile));
        writeln!(f, "{profile}\nBeside it, the same steps on {}.", beside.profile.backend)?;
        beside.profile.list_ceilings(f)?;
        writeln!(f)?;
        align(f, &self.side_by_side())?;
        writeln!(f)?;
        if self.is_summed() {
            writeln!(
                f,
                "On {here} one kernel takes a window through the whole program. The parts above a sum (=) are those \
                 of {there} that\ndo the same work, and the time that threads wait."
            )?;
        }
        writeln!(f, "On {there}:")?;
        beside.profile.foot(f)?;
        let (seconds, other) = (micros(profile.step.seconds), micros(beside.profile.step.seconds));
        writeln!(
            f,
            "\nA step without clocks takes {seconds} us on {here} and {other} us on {there}: {:.1} times as long.",
            beside.step_ratio
        )
    }
}

impl SideBySide {
    /// `true` if a part of the first profile is compared with a sum of several.
    fn is_summed(&self) -> bool {
        self.beside.pairs.iter().any(|pair| pair.beside.len() > 1)
    }

    fn side_by_side(&self) -> Vec<Row> {
        let [here, there] = [&self.profile, &self.beside.profile].map(place);
        let of_each = |place: &str| [format!("{place}, us"), "GFLOP/s".into(), "of it".into()];
        let mut rows =
            vec![row(["layer".into(), "part".into()], of_each(here), of_each(there), "times".into())];
        let all: Vec<&Pair> = self.beside.pairs.iter().collect();
        for pass in PASSES {
            let pairs: Vec<&Pair> = all.iter().copied().filter(|pair| self.pass(pair) == pass).collect();
            if self.is_summed() {
                // Each fused kernel ends a group.
                let grouped = |pair: &&Pair| self.rows(pair).into_iter().chain([Row::default()]);
                rows.extend(pairs.iter().flat_map(grouped));
                continue;
            }
            rows.extend(pairs.iter().flat_map(|pair| self.rows(pair)));
            if pairs.len() > 1 {
                rows.push(self.sum(name(pass), &pairs));
            }
            if !pairs.is_empty() {
                rows.push(Default::default());
            }
        }
        rows.push(self.sum("all parts", &all));
        rows
    }

    /// The row of a pair, or a row for each part of the second profile and then their sum.
    fn rows(&self, pair: &Pair) -> Vec<Row> {
        let (here, there) = (self.part(pair), self.beside(pair));
        let words = |part: &PartInfo| [part.layer.clone().unwrap_or_default(), part.what.name().into()];
        if let ([] | [_], Some(first)) = (&there[..], here.or(there.first().copied())) {
            return vec![row(words(first), side(here.as_slice()), side(&there), times(pair.ratio))];
        }
        let each = |part: &&PartInfo| row(words(part), Default::default(), side(&[*part]), String::new());
        let mut rows: Vec<Row> = there.iter().map(each).collect();
        rows.push(self.sum(here.map_or("", |part| part.what.name()), &[pair]));
        rows
    }

    fn sum(&self, name: &str, pairs: &[&Pair]) -> Row {
        let here: Vec<&PartInfo> = pairs.iter().filter_map(|pair| self.part(pair)).collect();
        let there: Vec<&PartInfo> = pairs.iter().flat_map(|pair| self.beside(pair)).collect();
        let seconds = |of: fn(&Pair) -> f64| pairs.iter().map(|pair| of(pair)).sum::<f64>();
        let (a, b) = (seconds(|pair| pair.seconds), seconds(|pair| pair.beside_seconds));
        let ratio = (a > 0.0 && b > 0.0).then(|| b / a);
        row([format!("= {name}"), String::new()], side(&here), side(&there), times(ratio))
    }
}

/// The first word of a backend's name, such as `cuda:0`.
fn place(profile: &Profile) -> &str {
    profile.backend.split(',').next().unwrap_or_default()
}

fn row([layer, part]: [String; 2], here: [String; 3], there: [String; 3], ratio: String) -> Row {
    let ([a, b, c], [d, e, f]) = (here, there);
    [layer, part, a, b, c, d, e, f, ratio]
}

/// Microseconds, GFLOP/s and share of the ceiling of some parts together.
fn side(parts: &[&PartInfo]) -> [String; 3] {
    if parts.is_empty() {
        return Default::default();
    }
    let seconds = parts.iter().map(|part| part.seconds).sum();
    let [flops, ..] = work(parts.iter().map(|part| part.flops).sum(), 0, seconds);
    [micros(seconds), flops, share_of_ceilings(parts).map_or_else(String::new, percent)]
}

fn times(ratio: Option<f64>) -> String {
    match ratio {
        None => String::new(),
        Some(ratio) if ratio < 1.0 => format!("{ratio:.3} x"),
        Some(ratio) => format!("{ratio:.1} x"),
    }
}
