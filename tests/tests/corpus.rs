//! The corpus that fuzzing keeps, replayed by a plain test: what was found once stays found.

use std::fs;
use std::path::Path;

use anabranch_core::http1::Limits;
use anabranch_fuzz::CHECKS;
use anabranch_fuzz::head::{LISTED, differences};

fn replay(target: &str) {
    let (_, check) = CHECKS.iter().find(|(name, _)| *name == target).expect("the target is in the list");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("the folder can be read").path();
        let data = fs::read(&path).expect("the file can be read");
        println!("{}", path.display());
        check(&data);
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", folder.display());
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert!(CHECKS.iter().all(|(name, _)| replayed.contains(name)));
        }
    };
}

targets! { conversation operations head chunked etx lifecycle }

#[test]
fn every_difference_from_http_net_that_is_listed_is_there() {
    for listed in LISTED {
        let found = differences(&listed.bytes(), &Limits::default());
        assert!(found.contains(&listed.difference), "{:?}, not {found:?}: {}", listed.difference, listed.why);
    }
}
