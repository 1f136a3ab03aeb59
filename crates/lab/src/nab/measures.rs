//! Measures that do not depend on a profile: VUS-PR and the F1 of points.
//!
//! Both judge the rows after the probation of one file, and need a window among them.
//!
//! * **VUS-PR** (Paparrizos et al. 2022, "Volume Under the Surface") is the area under the curve of precision over recall,
//!   averaged over how tolerant it is: a window is extended on both sides by up to half of a buffer of 0 to
//!   [`LARGEST_BUFFER`] rows, where a row counts the less the farther it is. It is computed over every threshold, not over
//!   250 of them as by its authors.
//! * **Point F1** is the harmonic mean of precision and recall over rows, at the threshold that makes it largest. A
//!   detector that raises one alarm for each window, as NAB rewards, has a low one.

use super::{Scored, Window, probation};

/// The largest buffer of VUS-PR, in rows; the default of its authors' library.
pub const LARGEST_BUFFER: usize = 100;

/// The scorable rows of a file, the highest scores first.
struct Ranking {
    /// Rows, counted from the end of the probation.
    rows: Vec<usize>,
    /// Ranges of `rows` with equal scores.
    equal: Vec<std::ops::Range<usize>>,
    /// The windows, cut to these rows.
    windows: Vec<Window>,
    /// The number of scorable rows.
    count: usize,
}

impl Ranking {
    /// `None` if no window has a scorable row.
    fn of(file: &Scored<'_>) -> Option<Self> {
        let skipped = probation(file.scores.len());
        let scores = &file.scores[skipped..];
        let reachable = file.windows.iter().filter(|window| window.last >= skipped);
        let cut = |window: &Window| Window {
            first: window.first.saturating_sub(skipped),
            last: window.last - skipped,
        };
        let windows: Vec<Window> = reachable.map(cut).collect();
        let mut rows: Vec<usize> = (0..scores.len()).collect();
        rows.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
        let mut end = 0;
        let range = |tied: &[usize]| {
            end += tied.len();
            end - tied.len()..end
        };
        let equal = rows.chunk_by(|a, b| scores[*a] == scores[*b]).map(range).collect();
        (!windows.is_empty()).then_some(Self { rows, equal, windows, count: scores.len() })
    }
}

/// The largest F1 of the rows of a file, in [0, 1]. `None` if it has no window.
#[must_use]
pub fn point_f1(file: &Scored<'_>) -> Option<f64> {
    let ranking = Ranking::of(file)?;
    let mut inside = vec![false; ranking.count];
    ranking.windows.iter().for_each(|window| inside[window.first..=window.last].fill(true));
    let positives = inside.iter().filter(|inside| **inside).count();
    let (mut hits, mut best) = (0, 0.0_f64);
    for equal in &ranking.equal {
        hits += ranking.rows[equal.clone()].iter().filter(|row| inside[**row]).count();
        best = best.max(2.0 * hits as f64 / (equal.end + positives) as f64);
    }
    Some(best)
}

/// The VUS-PR of a file, in [0, 1]. `None` if it has no window.
#[must_use]
pub fn vus_pr(file: &Scored<'_>) -> Option<f64> {
    let ranking = Ranking::of(file)?;
    let areas = (0..=LARGEST_BUFFER).map(|buffer| area(&ranking, buffer));
    Some(areas.sum::<f64>() / (LARGEST_BUFFER + 1) as f64)
}

/// The area under the curve of precision over recall with one buffer.
fn area(ranking: &Ranking, buffer: usize) -> f64 {
    let (labels, segments) = extended(ranking, buffer);
    let mut inside = vec![false; ranking.count];
    ranking.windows.iter().for_each(|window| inside[window.first..=window.last].fill(true));
    let positives = inside.iter().filter(|inside| **inside).count() as f64;
    let of_segment = |row: usize| segments.partition_point(|segment| segment.last < row);
    let mut reached = vec![false; segments.len()];
    let (mut hits, mut beside, mut existing) = (0.0, 0.0, 0_usize);
    let (mut area, mut recall_before) = (0.0, 0.0);
    for equal in &ranking.equal {
        for row in ranking.rows[equal.clone()].iter().copied().filter(|row| labels[*row] > 0.0) {
            hits += labels[row];
            if !inside[row] {
                beside += labels[row];
            }
            let segment = of_segment(row);
            existing += usize::from(!std::mem::replace(&mut reached[segment], true));
        }
        // Half of the buffer's share that is detected adds to the positives.
        let recall = (hits / (positives + beside / 2.0)).min(1.0) * existing as f64 / segments.len() as f64;
        area += (recall - recall_before) * hits / equal.end as f64;
        recall_before = recall;
    }
    area
}

/// The labels of all rows with a buffer, and the segments of rows with a label above 0.
fn extended(ranking: &Ranking, buffer: usize) -> (Vec<f64>, Vec<Window>) {
    let mut labels = vec![0.0_f64; ranking.count];
    let fading = |distance: usize| (1.0 - distance as f64 / buffer as f64).max(0.0).sqrt();
    for window in &ranking.windows {
        labels[window.first..=window.last].fill(1.0);
        for distance in 1..=buffer / 2 {
            let beside = [window.first.checked_sub(distance), window.last.checked_add(distance)];
            for row in beside.into_iter().flatten() {
                if let Some(label) = labels.get_mut(row) {
                    *label = (*label + fading(distance)).min(1.0);
                }
            }
        }
    }
    let mut segments: Vec<Window> = vec![];
    for row in (0..labels.len()).filter(|row| labels[*row] > 0.0) {
        match segments.last_mut() {
            Some(segment) if segment.last + 1 == row => segment.last = row,
            _ => segments.push(Window { first: row, last: row }),
        }
    }
    (labels, segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOWS: [Window; 2] = [Window { first: 60, last: 69 }, Window { first: 120, last: 129 }];

    fn scores(of: impl Fn(usize) -> f64) -> Vec<f64> {
        (0..200).map(of).collect()
    }

    fn inside(row: usize) -> bool {
        WINDOWS.iter().any(|window| window.contains(row))
    }

    #[test]
    fn perfect_scores_are_worth_one_and_constant_ones_the_share_of_anomalies() {
        let perfect = scores(|row| f64::from(u8::from(inside(row))));
        let file = Scored { scores: &perfect, windows: &WINDOWS };
        assert_eq!(point_f1(&file), Some(1.0));
        // With buffers, the window's rows alone are not all that counts; without, they are.
        assert_eq!(area(&Ranking::of(&file).unwrap(), 0), 1.0);
        assert!(vus_pr(&file).unwrap() > 0.9);

        let constant = scores(|_| 0.5);
        let file = Scored { scores: &constant, windows: &WINDOWS };
        // 20 of the 170 rows after the probation.
        assert_eq!(point_f1(&file), Some(2.0 * 20.0 / (170.0 + 20.0)));
        assert!((area(&Ranking::of(&file).unwrap(), 0) - 20.0 / 170.0).abs() <= 1e-15);
    }

    #[test]
    fn an_alarm_beside_a_window_is_worth_more_than_one_far_away() {
        let at = |alarm: usize| {
            let scores = scores(|row| if row == alarm { 1.0 } else { 0.0 });
            vus_pr(&Scored { scores: &scores, windows: &WINDOWS }).unwrap()
        };
        assert!(at(65) > at(75) && at(75) > at(95), "{} {} {}", at(65), at(75), at(95));
    }

    #[test]
    fn without_a_window_after_the_probation_there_is_nothing_to_measure() {
        let scores = scores(|_| 0.5);
        for windows in [&[][..], &[Window { first: 3, last: 29 }]] {
            let file = Scored { scores: &scores, windows };
            assert_eq!((point_f1(&file), vus_pr(&file)), (None, None));
        }
    }
}
