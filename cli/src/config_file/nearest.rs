//! What someone meant who wrote something else: the nearest of the words there are.

/// The nearest of `known` to `word`, if one is near enough to be meant: a third of its letters may differ.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = plain(word).take(LONGEST + 1).collect();
    if word.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|candidate| (distance(&word, &plain(candidate).collect::<Vec<_>>()), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.chars().count() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words were not mistyped; comparing takes time in the square of the length.
const LONGEST: usize = 64;

/// Case and the kind of dash are not what a word is known by.
fn plain(word: &str) -> impl Iterator<Item = char> {
    word.chars().map(|letter| if letter == '-' { '_' } else { letter.to_ascii_lowercase() })
}

/// How many letters have to be put in, left out, changed, or changed round with their neighbour.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.iter().enumerate() {
        let mut next = vec![row + 1];
        for (column, other) in to.iter().enumerate() {
            let changed = last[column] + usize::from(letter != other);
            let mut least = changed.min(last[column + 1] + 1).min(next[column] + 1);
            if row > 0 && column > 0 && *letter == to[column - 1] && from[row - 1] == *other {
                least = least.min(before[column - 1] + 1);
            }
            next.push(least);
        }
        before = core::mem::replace(&mut last, next);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(from: &str, to: &str) -> usize {
        distance(&from.chars().collect::<Vec<_>>(), &to.chars().collect::<Vec<_>>())
    }

    #[test]
    fn each_slip_of_a_finger_counts_one() {
        for (from, to, slips) in [
            ("threads", "threads", 0),
            ("thread", "threads", 1),
            ("threadss", "threads", 1),
            ("thraeds", "threads", 1),
            ("thraedz", "threads", 2),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(apart(from, to), slips, "{from} {to}");
        }
    }

    #[test]
    fn what_is_near_is_meant_and_what_is_far_is_not() {
        let known = ["threads", "queue", "max_fields", "max_header_bytes"];
        assert_eq!(nearest("thraeds", known), Some("threads"));
        assert_eq!(nearest("Max-Fields", known), Some("max_fields"));
        assert_eq!(nearest("max_headers_byte", known), Some("max_header_bytes"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"threads".repeat(1000), known), None);
    }
}
