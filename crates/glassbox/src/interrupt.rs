//! A request from outside to end a run early, such as Ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A request to stop, which whoever holds a clone of it can make and training heeds at the end of an epoch.
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
    /// Asks to stop; for good.
    pub fn request(&self) {
        // The flag carries no other data, so no ordering with other memory is needed.
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether a stop was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Two are equal if they are the same request.
impl PartialEq for Interrupt {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Interrupt {}
