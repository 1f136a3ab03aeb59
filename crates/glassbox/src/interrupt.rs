//! Requests to end a run early, for example by Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop a training run. Any clone can make the request; training stops at the end of the epoch.
///
/// ```
/// use glassbox::interrupt::Interrupt;
///
/// let interrupt = Interrupt::default();
/// let handler = interrupt.clone();
/// assert!(!interrupt.is_requested());
/// handler.request();
/// assert!(interrupt.is_requested());
/// ```
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Requests the stop. It cannot be withdrawn.
    pub fn request(&self) {
        // The flag carries no other data, so no ordering with other memory is needed.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns true if a stop was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Compares identity: two are equal if they are clones of the same request.
impl PartialEq for Interrupt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Interrupt {}
