//! `glassbox gradcheck`

use std::fmt::Write as _;

use glassbox_engine::gradient_check::{COVERAGE, GradientCheck, TOLERANCE, TensorCheck};
use serde_json::json;

use super::{print, print_json};
use crate::args::GradcheckArgs;
use crate::failure::Failure;

/// Steps of the tutorial's model unless --time-steps says otherwise: its kernels do not depend on the length,
/// and at 288 steps a check of all of them would take many minutes.
const TUTORIAL_STEPS: usize = 16;

pub(crate) fn run(args: &GradcheckArgs) -> Result<(), Failure> {
    let model = args.model.model(TUTORIAL_STEPS)?;
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into));
    let check = GradientCheck {
        seed: args.seed,
        batch: args.batch_size,
        elements: args.elements,
        threads: threads.unwrap_or(1),
        ..GradientCheck::default()
    };
    let checks = check.run(&model)?;
    let passed = checks.iter().all(TensorCheck::passes);
    if args.json {
        print_json(&json!({
            "model": model.name(),
            "seed": args.seed,
            "batch_size": args.batch_size,
            "tolerance": TOLERANCE,
            "passed": passed,
            "coverage": coverage(&checks),
            "tensors": checks.iter().map(as_json).collect::<Vec<_>>(),
        }))?;
    } else {
        print(&table(&checks))?;
    }
    match passed {
        true => Ok(()),
        false => Err(Failure::of_check(problems(&checks))),
    }
}

/// The part of all elements asked for that was checked.
fn coverage(checks: &[TensorCheck]) -> f64 {
    let sum = |count: fn(&TensorCheck) -> usize| checks.iter().map(count).sum::<usize>() as f64;
    sum(|check| check.checked) / sum(|check| check.asked)
}

fn problems(checks: &[TensorCheck]) -> String {
    let named = |concerned: &dyn Fn(&TensorCheck) -> bool| -> Option<String> {
        let names: Vec<&str> =
            checks.iter().filter(|check| concerned(check)).map(|check| check.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let wrong = named(&|check| !check.agrees())
        .map(|names| format!("the gradient of {names} is off by more than {TOLERANCE:e}"));
    let unseen = named(&|check| !check.covers()).map(|names| {
        format!(
            "less than {:.0} % of {names} could be checked: the model's values are not finite, or an operation has a \
             kink beside most of them",
            100.0 * COVERAGE
        )
    });
    [wrong, unseen].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn as_json(check: &TensorCheck) -> serde_json::Value {
    json!({
        "name": check.name,
        "shape": check.shape,
        "asked": check.asked,
        "checked": check.checked,
        "coverage": check.coverage(),
        "largest_relative_error": check.error,
        "index": check.index,
        "gradient": check.gradient,
        "central_difference": check.difference,
        "passed": check.passes(),
    })
}

fn table(checks: &[TensorCheck]) -> String {
    let mut text = String::new();
    let width = checks.iter().map(|check| check.name.len()).max().unwrap_or(0).max("tensor".len());
    let _ = writeln!(
        text,
        "{:width$}  {:>14}  {:>14}  {:>9}  {:>14}  {:>18}",
        "tensor", "shape", "checked", "error", "gradient there", "central difference"
    );
    for check in checks {
        let shape = format!("{:?}", check.shape);
        let checked = format!("{} of {}", check.checked, check.asked);
        let verdict = if check.passes() { "" } else { "  FAILED" };
        let _ = writeln!(
            text,
            "{:width$}  {shape:>14}  {checked:>14}  {:>9.1e}  {:>14.6e}  {:>18.6e}{verdict}",
            check.name, check.error, check.gradient, check.difference
        );
    }
    let passed = checks.iter().filter(|check| check.passes()).count();
    let _ = writeln!(
        text,
        "{passed} of {} tensors within {TOLERANCE:e}; coverage {:.1} % of the elements asked for",
        checks.len(),
        100.0 * coverage(checks)
    );
    text
}
