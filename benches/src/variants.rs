//! Which tuning of a fused kernel is the fastest: its constants are varied one after the other, each with the best
//! that was found so far for those before it. That is a few measurements of the dozens that all combinations would take,
//! most of which are the same code or nearly so.

use glassbox_cuda::fused::Tuning;

/// Threads of a block that are tried.
const THREADS: [usize; 4] = [128, 256, 384, 512];
/// Multiply-adds in a piece of straight code that are tried.
const STRAIGHT: [usize; 5] = [150, 300, 600, 1100, 2200];
/// Cycles to fetch an instruction that are tried.
const FETCH: [f64; 5] = [0.0, 0.25, 1.0, 2.0, 4.0];

/// A gain that is less than this is noise.
const WORTH_IT: f64 = 0.02;

/// A tuning, measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variant {
    /// Which.
    pub tuning: Tuning,
    /// Seconds: the best and the median.
    pub seconds: (f64, f64),
    /// Shared memory of a block, in bytes.
    pub shared_bytes: usize,
    /// Barriers in the kernel's program, for each window.
    pub barriers: usize,
}

/// Measures the usual tuning, then what differs from the best so far in one constant. None is measured twice; one for which
/// there is no measurement (its kernels do not fit) is left out.
///
/// # Errors
/// Those of `measure`.
pub fn search<E>(
    usual: Tuning,
    mut measure: impl FnMut(Tuning) -> Result<Option<Variant>, E>,
) -> Result<Vec<Variant>, E> {
    let mut tried = vec![usual];
    let mut found: Vec<Variant> = measure(usual)?.into_iter().collect();
    let axes: [&dyn Fn(Tuning) -> Vec<Tuning>; 3] = [
        &|best| THREADS.map(|threads| Tuning { threads, ..best }).into(),
        &|best| STRAIGHT.map(|straight| Tuning { straight, ..best }).into(),
        &|best| FETCH.map(|fetch| Tuning { fetch, ..best }).into(),
    ];
    for axis in axes {
        for tuning in axis(fastest(&found).map_or(usual, |best| best.tuning)) {
            if !tried.contains(&tuning) {
                tried.push(tuning);
                found.extend(measure(tuning)?);
            }
        }
    }
    Ok(found)
}

/// The one that takes the least time; the first of equals.
#[must_use]
pub fn fastest(variants: &[Variant]) -> Option<&Variant> {
    variants.iter().min_by(|a, b| a.seconds.0.total_cmp(&b.seconds.0))
}

/// All as a table, the fastest in bold.
#[must_use]
pub fn table(variants: &[Variant]) -> String {
    let mut text = String::from(
        "| threads | straight | fetch | best, us | median, us | shared memory, KiB | barriers |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let best = fastest(variants);
    for variant in variants {
        let Variant { tuning: Tuning { threads, straight, fetch }, seconds, shared_bytes, barriers } =
            variant;
        let mark = if Some(variant) == best { "**" } else { "" };
        text += &format!(
            "| {threads} | {straight} | {fetch} | {mark}{:.1}{mark} | {:.1} | {} | {barriers} |\n",
            1e6 * seconds.0,
            1e6 * seconds.1,
            shared_bytes.div_ceil(1024),
        );
    }
    text
}

/// What to make of it, in words: of the kernel that `name` has in `Tunings`.
#[must_use]
pub fn advice(name: &str, usual: Tuning, variants: &[Variant]) -> String {
    let measured = variants.iter().find(|variant| variant.tuning == usual);
    let (Some(measured), Some(best)) = (measured, fastest(variants)) else {
        return "The default does not fit this device: there is nothing to compare with.".into();
    };
    let gain = 1.0 - best.seconds.0 / measured.seconds.0;
    if gain < WORTH_IT {
        return format!("No variant is {:.0} % faster than the default: leave it.", 100.0 * WORTH_IT);
    }
    let new = best.tuning;
    let changes = [
        (new.threads != usual.threads).then(|| format!("`threads` {} to {}", usual.threads, new.threads)),
        (new.straight != usual.straight)
            .then(|| format!("`straight` {} to {}", usual.straight, new.straight)),
        (new.fetch != usual.fetch).then(|| format!("`fetch` {} to {}", usual.fetch, new.fetch)),
    ];
    let changes: Vec<String> = changes.into_iter().flatten().collect();
    format!(
        "The fastest takes {:.0} % less time than the default. To take it, change in `Tunings::default` \
         (crates/cuda/src/fused/tuning.rs) for `{name}` {}.",
        100.0 * gain,
        changes.join(", "),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Tuning = Tuning { threads: 256, straight: 1100, fetch: 0.25 };

    /// A made-up kernel that is fastest with 384 threads, 600 multiply-adds and a fetch that costs nothing.
    fn measured(tuning: Tuning) -> Variant {
        let Tuning { threads, straight, fetch } = tuning;
        let best = 30e-6
            + (threads as f64 - 384.0).abs() * 1e-8
            + (straight as f64 - 600.0).abs() * 1e-9
            + fetch * 1e-7;
        Variant { tuning, seconds: (best, 1.1 * best), shared_bytes: 169 * 1024, barriers: 14 }
    }

    #[test]
    fn the_best_of_each_constant_is_found_and_nothing_is_measured_twice() {
        let mut asked = vec![];
        let found = search(USUAL, |tuning| {
            asked.push(tuning);
            Ok::<_, ()>(Some(measured(tuning)))
        });
        let found = found.expect("no error");
        let best = fastest(&found).expect("some");
        assert_eq!(best.tuning, Tuning { threads: 384, straight: 600, fetch: 0.0 });
        assert_eq!(asked.len(), 1 + 3 + 4 + 4);
        assert!((1..asked.len()).all(|i| !asked[..i].contains(&asked[i])), "{asked:?}");
        assert_eq!(asked[0], USUAL);

        let table = table(&found);
        assert_eq!((table.lines().count(), table.matches("**30.0**").count()), (2 + 12, 1), "{table}");
        assert!(table.contains("| 384 | 600 | 0 | **30.0** | 33.0 | 169 | 14 |"), "{table}");
        let advice = advice("step", USUAL, &found);
        for change in ["`step` `threads` 256 to 384", "`straight` 1100 to 600", "`fetch` 0.25 to 0"] {
            assert!(advice.contains(change), "{advice}");
        }
    }

    #[test]
    fn what_does_not_fit_is_left_out_and_what_gains_nothing_is_not_advised() {
        let found = search(USUAL, |tuning| {
            let same = Variant { seconds: (30e-6, 31e-6), ..measured(tuning) };
            Ok::<_, ()>((tuning.threads != 512).then_some(same))
        });
        let found = found.expect("no error");
        assert_eq!(found.len(), 11);
        assert!(advice("step", USUAL, &found).contains("leave it"));
        assert!(advice("step", USUAL, &[]).contains("does not fit"));
        assert_eq!(search(USUAL, |_| Err::<Option<Variant>, _>("lost")), Err("lost"));
    }
}
