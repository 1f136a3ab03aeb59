//! The conclusion of a study, in sentences made from its numbers.

use super::schema::{Difference, Study, VariantResult, VariantRun, Verdict};
use super::{LEVEL, POINTS_WORTH};
use crate::statistics::{Spread, holm, sign_test};
use glassbox_pipeline::words::{counted, probability};

/// Compares all variants with the baseline, and writes the conclusion.
pub(super) fn conclude(study: &mut Study) {
    let (baseline, variants) = study.variants.split_first_mut().expect("the baseline is a variant");
    let mut differences: Vec<Difference> =
        variants.iter().map(|variant| difference(&variant.runs, &baseline.runs)).collect();
    let p: Vec<f64> = differences.iter().map(|difference| difference.p).collect();
    for (difference, p_adjusted) in differences.iter_mut().zip(holm(&p)) {
        difference.p_adjusted = p_adjusted;
    }
    baseline.finding = finding_of_baseline(baseline);
    let enough = are_enough(study.config.seeds.len(), differences.len());
    for (variant, difference) in variants.iter_mut().zip(differences) {
        variant.verdict = verdict(&difference, enough);
        variant.finding = finding(variant, &difference, baseline);
        variant.difference = Some(difference);
    }
    study.conclusion = conclusion(study);
}

/// F1 of each run minus that of the baseline under the same seed.
fn difference(runs: &[VariantRun], baseline: &[VariantRun]) -> Difference {
    let differences: Vec<f64> = runs.iter().zip(baseline).map(|(run, base)| run.f1 - base.f1).collect();
    let spread = Spread::of(&differences).expect("a study has a seed");
    let count = |sign: fn(f64) -> bool| differences.iter().filter(|difference| sign(**difference)).count();
    let (better, worse) = (count(|d| d > 0.0), count(|d| d < 0.0));
    let p = sign_test(better, worse);
    Difference {
        mean: spread.mean,
        min: spread.min,
        max: spread.max,
        better,
        worse,
        equal: differences.len() - better - worse,
        p,
        p_adjusted: p,
    }
}

/// `true` if the agreement of all seeds would be significant, corrected for the number of variants. Fewer seeds support no
/// verdict, not even that of no difference: a variant that changes F1 under every other seed might be missed.
fn are_enough(seeds: usize, variants: usize) -> bool {
    variants as f64 * sign_test(seeds, 0) <= LEVEL
}

fn verdict(difference: &Difference, enough: bool) -> Verdict {
    let Difference { min, max, better, worse, p_adjusted, .. } = *difference;
    match () {
        () if !enough => Verdict::Unclear,
        () if min >= -POINTS_WORTH && max <= POINTS_WORTH => Verdict::Same,
        () if p_adjusted > LEVEL => Verdict::Unclear,
        () if better > worse => Verdict::Helps,
        () => Verdict::Hurts,
    }
}

fn finding_of_baseline(baseline: &VariantResult) -> String {
    let spread = &baseline.spread;
    format!(
        "F1 {}, recall {}, precision {}; {} false windows.",
        ranged(spread.f1.as_ref(), 3),
        ranged(spread.recall.as_ref(), 3),
        ranged(spread.precision.as_ref(), 3),
        ranged(spread.false_windows.as_ref(), 1)
    )
}

fn finding(variant: &VariantResult, difference: &Difference, baseline: &VariantResult) -> String {
    let Difference { mean, min, max, better, worse, equal, p_adjusted, .. } = *difference;
    let against = match (better, worse) {
        (0, 0) if equal == 1 => "the same for the one seed".into(),
        (0, 0) => format!("the same for all {equal} seeds"),
        _ => format!(
            "{mean:+.3} on average ({min:+.3} to {max:+.3}), better for {better} and worse for {worse} of {}, \
             corrected p {}",
            counted(better + worse + equal, "seed", "seeds"),
            equal_or_below(p_adjusted)
        ),
    };
    let mean = |spread: &Option<Spread>| spread.map(|spread| spread.mean);
    let (own, base) = (&variant.spread, &baseline.spread);
    let mut also = vec![];
    for (name, ours, theirs, digits, worth) in [
        ("precision", mean(&own.precision), mean(&base.precision), 3, POINTS_WORTH),
        ("recall", mean(&own.recall), mean(&base.recall), 3, POINTS_WORTH),
        ("false windows", mean(&own.false_windows), mean(&base.false_windows), 1, 1.0),
        (
            "minutes until live detection",
            mean(&own.live_delay_minutes),
            mean(&base.live_delay_minutes),
            0,
            5.0,
        ),
    ] {
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && (ours - theirs).abs() > worth
        {
            also.push(format!("{name} {theirs:.digits$} -> {ours:.digits$}"));
        }
    }
    let also = if also.is_empty() { String::new() } else { format!("; {}", also.join(", ")) };
    format!("F1 is {against}{also}.")
}

/// The conclusions of a study, as sentences.
fn conclusion(study: &Study) -> Vec<String> {
    let (baseline, variants) = study.variants.split_first().expect("the baseline is a variant");
    let seeds = study.config.seeds.len();
    let (Some(f1), Some(recall)) = (baseline.spread.f1, baseline.spread.recall) else { return vec![] };
    let hit = baseline.runs.iter().filter(|run| run.hits > 0).count();
    let mut said = vec![format!(
        "The tutorial as published detects the anomaly for {hit} of {}: on average {:.1} % of its {} points \
         (at least {:.1} %), with F1 {}. So no change can raise the average F1 by more than {:.3}.",
        counted(seeds, "seed", "seeds"),
        100.0 * recall.mean,
        study.truth.count,
        100.0 * recall.min,
        ranged(Some(&f1), 3),
        1.0 - f1.mean
    )];
    let of = |verdict: Verdict| -> Vec<String> {
        let with = |variant: &&VariantResult| variant.verdict == verdict;
        let shown = |variant: &VariantResult| {
            let difference = variant.difference.expect("only the baseline has none");
            format!("{} ({:+.3})", variant.variant.title, difference.mean)
        };
        variants.iter().filter(with).map(shown).collect()
    };
    said.push(match of(Verdict::Helps) {
        none if none.is_empty() => "No variant helps significantly.".into(),
        some => format!("Helps (mean change of F1): {}.", some.join(", ")),
    });
    if let some @ [_, ..] = &of(Verdict::Hurts)[..] {
        said.push(format!("Hurts (mean change of F1): {}.", some.join(", ")));
    }
    if let some @ [_, ..] = &of(Verdict::Same)[..] {
        said.push(format!(
            "Changes F1 by no more than about one point's worth, for every seed: {}.",
            some.join(", ")
        ));
    }
    if let some @ [_, ..] = &of(Verdict::Unclear)[..] {
        said.push(format!("Inconclusive: {}. {}", some.join(", "), too_few(seeds, variants.len())));
    }
    said.extend(noise(baseline, variants));
    said.extend(soonest(baseline, variants));
    said.extend(cost(study));
    said.push(format!(
        "The study has one series with one anomaly, far above every normal day, and it compares the variants on the \
         series that one would use to choose among them. It does not show how they perform on a fainter or shorter \
         anomaly, or how many false positives they give in other weeks: only {} rows are judged.",
        study.judged.last + 1 - study.judged.first
    ));
    said
}

/// The reason why a verdict is unclear.
fn too_few(seeds: usize, variants: usize) -> String {
    if are_enough(seeds, variants) {
        return format!(
            "They are better for some seeds and worse for others, or differ from the tutorial for too few seeds \
             (sign test, corrected for {variants} comparisons: p above {LEVEL})."
        );
    }
    let enough = (1..).find(|seeds| are_enough(*seeds, variants)).unwrap_or(usize::MAX);
    format!(
        "{} too few: even if all agreed, the difference would not be significant among {variants} comparisons; \
         with {enough} seeds it could be.",
        counted(seeds, "seed is", "seeds are")
    )
}

/// The variants with many more false windows, which the F1 of points may not show.
fn noise(baseline: &VariantResult, variants: &[VariantResult]) -> Option<String> {
    let mean = |variant: &VariantResult| variant.spread.false_windows.map_or(0.0, |spread| spread.mean);
    let base = mean(baseline);
    let noisy: Vec<String> = variants
        .iter()
        .filter(|variant| mean(variant) > (2.0 * base).max(base + 5.0))
        .map(|variant| format!("{} ({:.1})", variant.variant.title, mean(variant)))
        .collect();
    (!noisy.is_empty()).then(|| {
        format!(
            "Many more false windows than the tutorial's {base:.1} (anomalous windows that contain no point of the \
             anomaly): {}. The rule for points filters them out, unless there are many in a row.",
            noisy.join(", ")
        )
    })
}

/// The variants that detect the anomaly sooner in a live series.
fn soonest(baseline: &VariantResult, variants: &[VariantResult]) -> Option<String> {
    let mean = |variant: &VariantResult| variant.spread.live_delay_minutes.map(|spread| spread.mean);
    let base = mean(baseline)?;
    let sooner: Vec<String> = variants
        .iter()
        .filter_map(|variant| {
            let own = mean(variant).filter(|own| *own < base - 60.0)?;
            let (own_f1, base_f1) = (variant.spread.f1?.mean, baseline.spread.f1?.mean);
            Some(format!(
                "{} ({own:.0} minutes, at F1 {own_f1:.3} against {base_f1:.3})",
                variant.variant.title
            ))
        })
        .collect();
    let known = format!(
        "In a live series the tutorial detects the first point of the anomaly {base:.0} minutes after the anomaly \
         begins, because its rule needs windows that end later"
    );
    Some(match sooner.as_slice() {
        [] => format!("{known}; no variant is much faster."),
        some => format!("{known}; faster: {}.", some.join(", ")),
    })
}

/// The time of each training relative to the tutorial's.
fn cost(study: &Study) -> Option<String> {
    let baseline = study.trainings.iter().find(|training| training.name == study.baseline)?;
    let seconds: Vec<(u64, f64)> = baseline.fits.iter().map(|fit| (fit.seed, fit.seconds)).collect();
    let base = |seed: u64| seconds.iter().find(|(of, _)| *of == seed).map(|(_, seconds)| *seconds);
    let ratios: Vec<String> = study
        .trainings
        .iter()
        .filter(|training| training.name != study.baseline)
        .filter_map(|training| {
            let own: f64 = training.fits.iter().map(|fit| fit.seconds).sum();
            let same_seeds: f64 = training.fits.iter().filter_map(|fit| base(fit.seed)).sum();
            let title =
                &study.variants.iter().find(|result| result.variant.training == training.name)?.variant.title;
            Some(format!("{title} {:.1}", own / same_seeds))
        })
        .collect();
    (!ratios.is_empty()).then(|| format!("Training time relative to the tutorial's: {}.", ratios.join(", ")))
}

fn equal_or_below(p: f64) -> String {
    let shown = probability(p);
    if shown.starts_with('<') { shown } else { format!("= {shown}") }
}

/// `0.977 (0.941 to 0.991)`
fn ranged(spread: Option<&Spread>, digits: usize) -> String {
    match spread {
        None => "none".into(),
        Some(Spread { mean, min, max, .. }) => format!("{mean:.digits$} ({min:.digits$} to {max:.digits$})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(differences: &[f64], p_adjusted: f64) -> Verdict {
        let runs = |f1: &dyn Fn(f64) -> f64| -> Vec<VariantRun> {
            differences.iter().map(|d| VariantRun { f1: f1(*d), ..RUN }).collect()
        };
        let mut difference = difference(&runs(&|d| 0.5 + d), &runs(&|_| 0.5));
        difference.p_adjusted = p_adjusted;
        verdict(&difference, true)
    }

    const RUN: VariantRun = VariantRun {
        seed: 1,
        threshold: 0.1,
        windows: 0,
        false_windows: 0,
        points: 0,
        hits: 0,
        first_point: None,
        last_point: None,
        precision: None,
        recall: 0.0,
        f1: 0.0,
        delay_minutes: None,
        live_delay_minutes: None,
        epochs: 1,
        seconds: 1.0,
    };

    #[test]
    fn a_verdict_needs_significance_and_more_than_a_point() {
        assert_eq!(of(&[0.1, 0.2, 0.01], 0.01), Verdict::Helps);
        assert_eq!(of(&[-0.1, -0.2, 0.01], 0.01), Verdict::Hurts);
        assert_eq!(of(&[0.1, 0.2, 0.01], 0.06), Verdict::Unclear);
        assert_eq!(of(&[0.004, -0.004, 0.0], 1.0), Verdict::Same);
        assert_eq!(of(&[0.004, 0.004, 0.004], 0.001), Verdict::Same);
        assert_eq!(of(&[0.0], 1.0), Verdict::Same);
    }

    #[test]
    fn few_seeds_support_no_verdict() {
        assert!(!are_enough(9, 13) && are_enough(10, 13));
        let none = Difference {
            mean: 0.0,
            min: 0.0,
            max: 0.0,
            better: 0,
            worse: 0,
            equal: 1,
            p: 1.0,
            p_adjusted: 1.0,
        };
        assert_eq!(verdict(&none, false), Verdict::Unclear);
        assert_eq!(verdict(&none, true), Verdict::Same);
        assert!(too_few(1, 13).starts_with("1 seed is too few"), "{}", too_few(1, 13));
    }

    #[test]
    fn differences_are_paired_and_counted() {
        let runs = |f1: [f64; 4]| f1.map(|f1| VariantRun { f1, ..RUN });
        let difference = difference(&runs([0.5, 0.75, 1.0, 0.5]), &runs([0.25, 0.5, 0.75, 0.75]));
        assert_eq!((difference.better, difference.worse, difference.equal), (3, 1, 0));
        assert_eq!((difference.mean, difference.min, difference.max), (0.125, -0.25, 0.25));
        assert_eq!(difference.p, sign_test(3, 1));
    }

    #[test]
    fn too_few_seeds_are_said_to_be_too_few() {
        assert!(too_few(5, 13).contains("with 10 seeds it could be"), "{}", too_few(5, 13));
        assert!(too_few(10, 13).contains("corrected for 13"));
    }
}
