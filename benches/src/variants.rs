//! Which tuning of the fused kernels is the fastest: the constants are varied one after the other, each with the best
//! that was found so far for those before it. That is a few measurements of the dozens that all combinations would take,
//! most of which are the same code or nearly so.

use glassbox_cuda::fused::Tuning;

/// Threads of a block that are tried.
const THREADS: [usize; 4] = [128, 256, 384, 512];
/// Multiply-adds in a piece of straight code that are tried.
const STRAIGHT: [usize; 4] = [300, 600, 1100, 2200];
/// Cycles to fetch an instruction that are tried.
const FETCH: [f64; 3] = [0.0, 0.25, 1.0];

/// A gain that is less than this is noise.
const WORTH_IT: f64 = 0.02;

/// A tuning, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// Which.
    pub tuning: Tuning,
    /// Seconds of a training step: the best and the median.
    pub step: (f64, f64),
    /// Windows that are scored in a second.
    pub scored: f64,
    /// Shared memory of a block in a step, in bytes.
    pub shared_bytes: usize,
    /// Barriers in the program of a step.
    pub barriers: usize,
}

/// Measures the default, then what differs from the best so far in one constant. None is measured twice; one for which
/// there is no measurement (its kernels do not fit) is left out.
///
/// # Errors
/// Those of `measure`.
pub fn search<E>(mut measure: impl FnMut(Tuning) -> Result<Option<Variant>, E>) -> Result<Vec<Variant>, E> {
    let mut tried = vec![Tuning::default()];
    let mut found: Vec<Variant> = measure(Tuning::default())?.into_iter().collect();
    let axes: [&dyn Fn(Tuning) -> Vec<Tuning>; 3] = [
        &|best| THREADS.map(|threads| Tuning { threads, ..best }).into(),
        &|best| STRAIGHT.map(|straight| Tuning { straight, ..best }).into(),
        &|best| FETCH.map(|fetch| Tuning { fetch, ..best }).into(),
    ];
    for axis in axes {
        for tuning in axis(fastest(&found).map_or_else(Tuning::default, |best| best.tuning)) {
            if !tried.contains(&tuning) {
                tried.push(tuning);
                found.extend(measure(tuning)?);
            }
        }
    }
    Ok(found)
}

/// The one with the shortest step; the first of equals.
#[must_use]
pub fn fastest(variants: &[Variant]) -> Option<&Variant> {
    variants.iter().min_by(|a, b| a.step.0.total_cmp(&b.step.0))
}

/// All as a table, the fastest in bold.
#[must_use]
pub fn table(variants: &[Variant]) -> String {
    let mut text = String::from(
        "| threads | straight | fetch | best, us | median, us | windows scored a second | shared memory, KiB | barriers |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    let best = fastest(variants);
    for variant in variants {
        let Variant { tuning: Tuning { threads, straight, fetch }, step, scored, shared_bytes, barriers } =
            variant;
        let mark = if Some(variant) == best { "**" } else { "" };
        text += &format!(
            "| {threads} | {straight} | {fetch} | {mark}{:.1}{mark} | {:.1} | {scored:.3e} | {} | {barriers} |\n",
            1e6 * step.0,
            1e6 * step.1,
            shared_bytes.div_ceil(1024),
        );
    }
    text
}

/// What to make of it, in words.
#[must_use]
pub fn advice(variants: &[Variant]) -> String {
    let usual = variants.iter().find(|variant| variant.tuning == Tuning::default());
    let (Some(usual), Some(best)) = (usual, fastest(variants)) else {
        return "The default does not fit this device: there is nothing to compare with.".into();
    };
    let gain = 1.0 - best.step.0 / usual.step.0;
    if gain < WORTH_IT {
        return format!("No variant is {:.0} % faster than the default: leave it.", 100.0 * WORTH_IT);
    }
    let (new, old) = (best.tuning, usual.tuning);
    let changes = [
        (new.threads != old.threads).then(|| format!("`threads` {} to {}", old.threads, new.threads)),
        (new.straight != old.straight).then(|| format!("`straight` {} to {}", old.straight, new.straight)),
        (new.fetch != old.fetch).then(|| format!("`fetch` {} to {}", old.fetch, new.fetch)),
    ];
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    let scoring = best.scored / usual.scored - 1.0;
    format!(
        "The fastest step takes {:.0} % less time than the default's, and scoring with it is {:.0} % {}. To take it, \
         change in `Tuning::default` (crates/cuda/src/fused/tuning.rs) {}.",
        100.0 * gain,
        100.0 * scoring.abs(),
        if scoring < 0.0 { "slower" } else { "faster" },
        changes.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up step that is shortest with 384 threads, 600 multiply-adds and a fetch that costs nothing.
    fn measured(tuning: Tuning) -> Variant {
        let Tuning { threads, straight, fetch } = tuning;
        let best = 30e-6
            + (threads as f64 - 384.0).abs() * 1e-8
            + (straight as f64 - 600.0).abs() * 1e-9
            + fetch * 1e-7;
        let step = (best, 1.1 * best);
        Variant { tuning, step, scored: 1e7, shared_bytes: 169 * 1024, barriers: 14 }
    }

    #[test]
    fn the_best_of_each_constant_is_found_and_nothing_is_measured_twice() {
        let mut asked = vec![];
        let found = search(|tuning| {
            asked.push(tuning);
            Ok::<_, ()>(Some(measured(tuning)))
        });
        let found = found.expect("no error");
        let best = fastest(&found).expect("some");
        assert_eq!(best.tuning, Tuning { threads: 384, straight: 600, fetch: 0.0 });
        assert_eq!(asked.len(), 1 + 3 + 3 + 2);
        assert!((1..asked.len()).all(|i| !asked[..i].contains(&asked[i])), "{asked:?}");
        assert_eq!(asked[0], Tuning::default());

        let table = table(&found);
        assert_eq!((table.lines().count(), table.matches("**30.0**").count()), (2 + 9, 1), "{table}");
        assert!(table.contains("| 384 | 600 | 0 | **30.0** | 33.0 | 1.000e7 | 169 | 14 |"), "{table}");
        let advice = advice(&found);
        for change in ["`threads` 256 to 384", "`straight` 1100 to 600", "`fetch` 0.25 to 0"] {
            assert!(advice.contains(change), "{advice}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_what_gains_nothing_is_not_advised() {
        let found = search(|tuning| {
            let same = Variant { step: (30e-6, 31e-6), ..measured(tuning) };
            Ok::<_, ()>((tuning.threads != 512).then_some(same))
        });
        let found = found.expect("no error");
        assert_eq!(found.len(), 8);
        assert!(advice(&found).contains("leave it"));
        assert!(advice(&[]).contains("does not fit"));
        assert_eq!(search(|_| Err::<Option<Variant>, _>("lost")), Err("lost"));
    }
}
