//! Drawings in the documentation that are made from tables: compared, or made anew.
//!
//! ```sh
//! UPDATE_DIAGRAMS=1 cargo test -p anabranch-core --lib --test lifecycle
//! ```

use std::fs;
use std::path::Path;

/// Holds what stands between `begin` and `end` in a file of the workspace to what was drawn; or, where `UPDATE_DIAGRAMS` is
/// set, draws it there.
#[track_caller]
pub(crate) fn hold(file: &str, begin: &str, end: &str, drawn: &str) {
    let core = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = core.parent().expect("the workspace is above its member").join(file);
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
    let (before, rest) = page.split_once(begin).unwrap_or_else(|| panic!("{file} has no {begin:?}"));
    let (shown, after) = rest.split_once(end).unwrap_or_else(|| panic!("{file} has no {end:?} behind it"));
    if std::env::var_os("UPDATE_DIAGRAMS").is_some() {
        if shown != drawn {
            fs::write(&path, [before, begin, drawn, end, after].concat()).expect("the page can be written");
        }
        return;
    }
    assert!(
        shown == drawn,
        "{file} does not show the table as it is; UPDATE_DIAGRAMS=1 draws this there:\n{drawn}"
    );
}
