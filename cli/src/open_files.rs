//! The process's limit on open files, which bounds its connections however high `--max-connections` is.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For standard streams, listeners, wakers, timers and what the application opens.
const RESERVE: u64 = 64;

/// Why so many connections cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{connections} connections need {needed} open files, and this process may have {limit}\n  \
     remedy: `ulimit -n {needed}` in this shell (as root, `ulimit -Hn {needed}` first){}",
    fewer(asked, *fits)
)]
pub struct TooFewFiles {
    connections: u64,
    needed: u64,
    limit: u64,
    /// What was asked for too much.
    asked: &'static str,
    fits: u64,
}

/// Makes room for so many connections of `files_each` open files, raising the soft limit as far as the hard one. `asked` is
/// how so many were asked for: the error says to ask for fewer.
///
/// # Errors
/// When the hard limit is too low.
pub fn make_room(asked: &'static str, connections: u64, files_each: u64) -> Result<(), TooFewFiles> {
    let limit = getrlimit(Resource::Nofile);
    let needed = connections.saturating_mul(files_each).saturating_add(RESERVE);
    let Some(soft) = wanted_soft_limit(limit, needed) else { return Ok(()) };
    let raised = Rlimit { current: Some(soft), maximum: limit.maximum };
    let reached = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => soft,
        Err(_) => limit.current.unwrap_or(u64::MAX),
    };
    if reached >= needed {
        return Ok(());
    }
    let fits = reached.saturating_sub(RESERVE) / files_each.max(1);
    Err(TooFewFiles { connections, needed, limit: reached, asked, fits })
}

/// The other remedy, where the limit has room for any at all.
fn fewer(asked: &str, fits: u64) -> String {
    if fits == 0 { String::new() } else { format!(", or {asked} {fits}") }
}

/// What to raise the soft limit to, if it has to be raised.
fn wanted_soft_limit(limit: Rlimit, needed: u64) -> Option<u64> {
    match limit.current {
        Some(soft) if soft < needed => Some(limit.maximum.map_or(needed, |hard| hard.min(needed))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn soft_limit_is_raised_as_far_as_needed_and_allowed() {
        let limit = |current, maximum| Rlimit { current, maximum };
        assert_eq!(wanted_soft_limit(limit(Some(1024), Some(4096)), 1000), None);
        assert_eq!(wanted_soft_limit(limit(Some(1024), Some(4096)), 2000), Some(2000));
        assert_eq!(wanted_soft_limit(limit(Some(1024), Some(4096)), 9000), Some(4096));
        assert_eq!(wanted_soft_limit(limit(Some(1024), None), 9000), Some(9000));
        assert_eq!(wanted_soft_limit(limit(None, None), 9000), None);
    }

    #[test]
    fn too_many_connections_are_told_with_the_remedy() {
        let message = make_room("--max-connections", u64::MAX / 4, 2).map_err(|error| error.to_string());
        if let Err(message) = message {
            assert!(message.contains("ulimit -n") && message.contains("--max-connections"), "{message}");
        }
    }

    #[test]
    fn fewer_are_a_remedy_only_where_some_fit() {
        let told = |fits| {
            let asked = "--max-connections";
            TooFewFiles { connections: 9, needed: 82, limit: 70, asked, fits }.to_string()
        };
        assert!(told(3).ends_with("first), or --max-connections 3"), "{}", told(3));
        assert!(told(0).ends_with("`ulimit -Hn 82` first)"), "{}", told(0));
    }
}
