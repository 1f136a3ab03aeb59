//! Runs many trainings in parallel, each on one thread.
//!
//! A training of the tutorial is too small to keep many cores busy, and many of them are independent: one thread
//! each wastes nothing on waiting for one another. Each worker has a device of its own, since models on one
//! share its threads. What a job gives depends on the job alone, so the order in which they are done
//! does not matter, nor does the number of workers.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};

use glassbox::Device;

/// Makes a device of one thread for a worker.
pub type MakeDevice<'a> = &'a (dyn Fn() -> Result<Device, glassbox::Error> + Sync);

/// The progress of the jobs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Advance {
    /// Jobs done.
    pub done: usize,
    /// All jobs.
    pub of: usize,
    /// The share of the work that is done, in [0, 1], by the jobs' costs.
    pub part: f64,
}

/// A job and what it costs, in any unit.
pub(crate) type Costed<J> = (J, f64);

/// Runs all `jobs` on `workers` threads, the costly ones first, so that no long job is left for the end. `on_done` is
/// called on the calling thread with the result of each job. After a job or `on_done` has failed no further job starts,
/// and the first error is returned when the running ones have ended.
///
/// # Errors
/// The first of a device, of a job or of `on_done`.
///
/// # Panics
/// If a job does.
pub(crate) fn run<J: Send, R: Send, E: From<glassbox::Error> + Send>(
    jobs: Vec<Costed<J>>,
    workers: usize,
    device: MakeDevice<'_>,
    work: impl Fn(&J, &Device) -> Result<R, E> + Sync,
    mut on_done: impl FnMut(J, R, Advance) -> Result<(), E>,
) -> Result<(), E> {
    let of = jobs.len();
    let all: f64 = jobs.iter().map(|(_, cost)| cost).sum();
    let mut sorted = jobs;
    // Stable: equally costly ones stay in their order.
    sorted.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let queue = Mutex::new(VecDeque::from(sorted));
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let (sender, done_jobs) = mpsc::channel::<Result<(J, f64, R), E>>();
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, of.max(1)) {
            let (sender, work, next) = (sender.clone(), &work, &next);
            scope.spawn(move || {
                let device = match device() {
                    Ok(device) => device,
                    // The receiver is there until all senders are gone.
                    Err(error) => return drop(sender.send(Err(error.into()))),
                };
                while let Some((job, cost)) = next() {
                    let result = work(&job, &device).map(|result| (job, cost, result));
                    let failed = result.is_err();
                    if sender.send(result).is_err() || failed {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let (mut done, mut cost_done, mut outcome) = (0, 0.0, Ok(()));
        for job in done_jobs {
            let told = job.and_then(|(job, cost, result)| {
                done += 1;
                cost_done += cost;
                let part = if done == of { 1.0 } else { cost_done / all };
                on_done(job, result, Advance { done, of, part })
            });
            if outcome.is_ok() && told.is_err() {
                outcome = told;
                queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
            }
        }
        outcome
    })
}

/// The number of workers: `threads`, or one for each core.
#[must_use]
pub fn workers(threads: Option<usize>) -> usize {
    threads.or_else(|| std::thread::available_parallelism().ok().map(Into::into)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use glassbox::Error;
    use glassbox_engine::reference::Reference;

    use super::*;

    fn reference() -> Result<Device, Error> {
        Ok(Device::new(Reference))
    }

    fn failure(what: &str) -> Error {
        glassbox_engine::Error::Device { backend: "test".into(), problem: what.into() }.into()
    }

    #[test]
    fn every_job_is_done_once_and_the_costly_ones_first() {
        for workers in [1, 2, 5, 50] {
            let jobs = (0..20_usize).map(|job| (job, (job % 4) as f64)).collect();
            let (mut order, mut advances) = (vec![], vec![]);
            let square = |job: &usize, _: &Device| Ok(job * job);
            run::<_, _, Error>(jobs, workers, &reference, square, |job, result, advance| {
                assert_eq!(result, job * job);
                order.push(job);
                advances.push(advance);
                Ok(())
            })
            .unwrap();
            assert!(advances.iter().zip(1..).all(|(advance, done)| (advance.done, advance.of) == (done, 20)));
            assert!(advances.is_sorted_by(|a, b| a.part <= b.part) && advances[19].part == 1.0);
            if workers == 1 {
                assert!(order.is_sorted_by_key(|job| 3 - job % 4), "{order:?}");
            }
            order.sort_unstable();
            assert_eq!(order, (0..20).collect::<Vec<_>>());
        }
    }

    #[test]
    fn after_a_failure_no_job_is_begun_and_the_first_error_is_given() {
        let jobs = || (0..100_usize).map(|job| (job, 1.0)).collect();
        let third_fails = |job: &usize, _: &Device| match job {
            3 => Err(failure("three")),
            _ => Ok(()),
        };
        let mut done = 0;
        let error = run(jobs(), 1, &reference, third_fails, |_, (), _| {
            done += 1;
            Ok(())
        });
        assert!(error.unwrap_err().to_string().contains("three"));
        assert_eq!(done, 3);
        let all_well = |_: &usize, _: &Device| Ok(());
        let error = run(jobs(), 2, &reference, all_well, |_, (), advance| {
            if advance.done == 2 { Err(failure("told")) } else { Ok(()) }
        });
        assert!(error.unwrap_err().to_string().contains("told"));
        let none = || Err(failure("no backend"));
        let error = run(jobs(), 3, &none, all_well, |_, (), _| Ok(()));
        assert!(error.unwrap_err().to_string().contains("no backend"));
        run::<usize, (), Error>(vec![], 3, &reference, |_, _| Ok(()), |_, (), _| Ok(())).unwrap();
    }
}
