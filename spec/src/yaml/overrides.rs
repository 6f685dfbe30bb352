//! `path=value` overrides, put into the tree before it is read, so that they are checked like the text itself.

use super::{Entry, MAX_DEPTH, MAX_NODES, Mark, Node, Value, parse};
use crate::problem::Problem;

/// The highest index that an override's path may have is below this.
const MAX_INDEX: usize = MAX_NODES;

#[derive(Debug, PartialEq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// Applies every override to `root`, in order, and reports overrides that do not fit.
pub(crate) fn apply(root: &mut Node, overrides: &[(String, String)], problems: &mut Vec<Problem>) {
    for (path, text) in overrides {
        let outcome = steps(path).and_then(|steps| {
            let node = value(text)?;
            put(root, &steps, node)
        });
        if let Err(message) = outcome {
            let shown: String = path.chars().take(200).flat_map(char::escape_debug).collect();
            problems.push(Mark::OVERRIDE.problem(&shown, message, None));
        }
    }
}

fn value(text: &str) -> Result<Node, String> {
    if text.trim().is_empty() {
        return Err("expected a value after `=`, found nothing".into());
    }
    let (mut node, problems) = parse(text.as_bytes()).map_err(|problem| problem.to_string())?;
    match problems.first() {
        Some(problem) => Err(problem.to_string()),
        None => {
            unmark(&mut node);
            Ok(node)
        }
    }
}

/// The parser bounds the depth, so this recursion is bounded.
fn unmark(node: &mut Node) {
    node.mark = Mark::OVERRIDE;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(unmark),
        Value::Mapping(entries) => entries.iter_mut().for_each(|entry| {
            entry.mark = Mark::OVERRIDE;
            unmark(&mut entry.node);
        }),
        Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Text(_) => {}
    }
}

/// `stages[0].vary.filters` as steps.
fn steps(path: &str) -> Result<Vec<Step<'_>>, String> {
    let wrong = || "expected a path such as `protocol.epochs` or `stages[0].vary.filters`".to_owned();
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (key, indices) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if key.is_empty() {
            return Err(wrong());
        }
        steps.push(Step::Key(key));
        let mut rest = indices;
        while let Some(inner) = rest.strip_prefix('[') {
            let (index, behind) = inner.split_once(']').ok_or_else(wrong)?;
            let index = index.parse().ok().filter(|&index| index < MAX_INDEX).ok_or_else(wrong)?;
            steps.push(Step::Index(index));
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(wrong());
        }
    }
    if steps.len() > MAX_DEPTH { Err(wrong()) } else { Ok(steps) }
}

fn put(root: &mut Node, steps: &[Step<'_>], value: Node) -> Result<(), String> {
    let mut place = root;
    for step in steps {
        place = match (step, &mut place.value) {
            (Step::Key(key), Value::Mapping(entries)) => {
                let at = entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
                    let node = Node::new(Mark::OVERRIDE, Value::Mapping(Vec::new()));
                    entries.push(Entry { key: (*key).to_owned(), mark: Mark::OVERRIDE, node });
                    entries.len() - 1
                });
                &mut entries[at].node
            }
            (Step::Index(index), Value::List(items)) => {
                let length = items.len();
                items.get_mut(*index).ok_or_else(|| format!("`[{index}]`: the list has {length}"))?
            }
            (Step::Key(key), _) => return Err(format!("`{key}`: the value before it is not a mapping")),
            (Step::Index(index), _) => return Err(format!("`[{index}]`: the value before it is not a list")),
        };
    }
    *place = value;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_step_by_step() {
        let expected = vec![Step::Key("stages"), Step::Index(0), Step::Key("vary"), Step::Key("filters")];
        assert_eq!(steps("stages[0].vary.filters").unwrap(), expected);
        for wrong in ["", ".", "a.", "a[", "a[x]", "a[0", "a[0]b", "[0]", "a[99999999999999999999]", "a[-1]"] {
            assert!(steps(wrong).is_err(), "{wrong}");
        }
        assert!(steps(&"a.".repeat(100_000)).is_err());
    }

    #[test]
    fn an_override_replaces_adds_or_is_reported() {
        let (mut root, _) = parse(b"protocol: { epochs: 100 }\nstages: [ { name: a } ]").unwrap();
        let set = |path: &str, value: &str| (path.to_owned(), value.to_owned());
        let mut problems = Vec::new();
        let wanted = [
            set("protocol.epochs", "2"),
            set("seeds", "[3, 4]"),
            set("stages[0].vary.filters", "[8, 16]"),
            set("stages[1].name", "b"),
            set("protocol.epochs.more", "1"),
            set("protocol[0]", "1"),
            set("seeds", ""),
            set("seeds", "["),
        ];
        apply(&mut root, &wanted, &mut problems);
        assert_eq!(problems.len(), 5, "{problems:?}");
        let Value::Mapping(entries) = &root.value else { panic!("{root:?}") };
        assert_eq!(entries[2].key, "seeds");
        assert_eq!(entries[2].node.describe(), "a list of 2");
        let shown = format!("{root:?}");
        assert!(shown.contains("Int(2)") && shown.contains("Int(16)") && !shown.contains("Int(100)"));
    }
}
