//! Routes by path: a tree of segments, walked without allocating.

use super::pattern::{Segment, next_segment};

/// What stands where a path ends.
#[derive(Debug)]
pub(super) struct Tree<T> {
    nodes: Vec<Node>,
    leaves: Vec<T>,
}

type NodeId = usize;
type LeafId = usize;

#[derive(Debug, Default)]
struct Node {
    /// Sorted by their segment.
    statics: Vec<(&'static str, NodeId)>,
    parameter: Option<NodeId>,
    tail: Option<LeafId>,
    leaf: Option<LeafId>,
}

impl<T: Default> Tree<T> {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::default()], leaves: Vec::new() }
    }

    /// The leaf of these segments; made if there is none. What parameters are called makes no difference.
    pub(super) fn leaf_of(&mut self, segments: &[Segment]) -> &mut T {
        let mut at = 0;
        for segment in segments {
            at = match *segment {
                Segment::Static(text) => {
                    match self.nodes[at].statics.binary_search_by_key(&text, |child| child.0) {
                        Ok(found) => self.nodes[at].statics[found].1,
                        Err(place) => {
                            let child = self.add();
                            self.nodes[at].statics.insert(place, (text, child));
                            child
                        }
                    }
                }
                Segment::Parameter(_) => match self.nodes[at].parameter {
                    Some(child) => child,
                    None => {
                        let child = self.add();
                        self.nodes[at].parameter = Some(child);
                        child
                    }
                },
                // A tail stands last: the loop ends behind it.
                Segment::Tail(_) => {
                    let leaf = self.nodes[at].tail.unwrap_or(self.leaves.len());
                    self.nodes[at].tail = Some(leaf);
                    return self.leaf(leaf);
                }
            };
        }
        let leaf = self.nodes[at].leaf.unwrap_or(self.leaves.len());
        self.nodes[at].leaf = Some(leaf);
        self.leaf(leaf)
    }

    fn leaf(&mut self, leaf: LeafId) -> &mut T {
        if leaf == self.leaves.len() {
            self.leaves.push(T::default());
        }
        &mut self.leaves[leaf]
    }

    fn add(&mut self) -> NodeId {
        self.nodes.push(Node::default());
        self.nodes.len() - 1
    }
}

impl<T> Tree<T> {
    /// The leaf of this path. Segment by segment from the left, a static one goes before a parameter, and a parameter before
    /// a tail; a choice that leads nowhere is taken back. No node is looked at twice, since only one way leads to it.
    pub(super) fn find(&self, path: &str) -> Option<&T> {
        self.find_below(0, path.strip_prefix('/')?).map(|leaf| &self.leaves[leaf])
    }

    pub(super) fn leaves_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.leaves.iter_mut()
    }

    /// Goes as deep as the longest pattern has segments.
    fn find_below(&self, node: NodeId, path: &str) -> Option<LeafId> {
        let node = &self.nodes[node];
        let (segment, rest) = next_segment(path);
        let end_at = |child: NodeId| match rest {
            Some(rest) => self.find_below(child, rest),
            None => self.nodes[child].leaf,
        };
        let fixed = node.statics.binary_search_by_key(&segment, |child| child.0).ok();
        fixed
            .and_then(|found| end_at(node.statics[found].1))
            .or_else(|| node.parameter.filter(|_| !segment.is_empty()).and_then(end_at))
            .or_else(|| node.tail.filter(|_| !path.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::pattern::parse;
    use super::*;

    fn tree(patterns: &[&'static str]) -> Tree<&'static str> {
        let mut tree = Tree::new();
        for pattern in patterns {
            let leaf = tree.leaf_of(&parse(pattern).unwrap());
            assert_eq!(*leaf, "", "{pattern} is there");
            *leaf = *pattern;
        }
        tree
    }

    #[test]
    fn static_goes_before_parameter_and_parameter_before_tail() {
        let tree = tree(&["/a", "/{x}", "/{*t}", "/a/b", "/{x}/b", "/a/{y}", "/a/{y}/c", "/", "/d/"]);
        for (path, pattern) in [
            ("/", Some("/")),
            ("/a", Some("/a")),
            ("/z", Some("/{x}")),
            ("/a/b", Some("/a/b")),
            ("/z/b", Some("/{x}/b")),
            ("/a/z", Some("/a/{y}")),
            ("/a/b/c", Some("/a/{y}/c")),
            ("/z/z", Some("/{*t}")),
            ("/a/z/z", Some("/{*t}")),
            ("/a/", Some("/{*t}")),
            ("//", Some("/{*t}")),
            ("/d", Some("/{x}")),
            ("/d/", Some("/d/")),
            ("", None),
            ("*", None),
        ] {
            assert_eq!(tree.find(path).copied(), pattern, "{path}");
        }
    }

    #[test]
    fn parameter_and_tail_stand_for_something() {
        let tree = tree(&["/u/{x}", "/f/{*t}"]);
        for (path, pattern) in [
            ("/u", None),
            ("/u/", None),
            ("/u/1", Some("/u/{x}")),
            ("/u/1/", None),
            ("/u//", None),
            ("/f", None),
            ("/f/", None),
            ("/f//", Some("/f/{*t}")),
            ("/f/1/2/", Some("/f/{*t}")),
        ] {
            assert_eq!(tree.find(path).copied(), pattern, "{path}");
        }
    }
}
