//! Every fault that was found stays mended.

use glassbox_fuzz::TARGETS;
use glassbox_fuzz::corpus::entries;

/// One test, since what is measured is measured of the whole process.
#[test]
fn what_became_of_each_entry_is_what_must() {
    let mut faults = vec![];
    for target in TARGETS {
        for entry in entries(target.name) {
            if let Err(fault) = entry.replay(&target) {
                faults.push(format!("{}/{}: {fault}", target.name, entry.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
