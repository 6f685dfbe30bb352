//! Builds the tree in one pass over the parser's events. Every bound is checked before memory is used.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use super::{Entry, MAX_BYTES, MAX_DEPTH, MAX_NODES, Mark, Node, Value, quoted, scalar};
use crate::problem::Problem;

/// A long text counts as one value more for each of these, so that the bound on values bounds memory too.
const BYTES_OF_A_NODE: usize = 32;
/// After this column, no position within a text is reported: each costs a search in the line before it.
const FAR_RIGHT: usize = 2000;
/// The most keys of one mapping; a spec needs few, and each is compared with all before it.
const MAX_KEYS: usize = 1024;

/// The tree of `text`, and problems that did not keep it from being built (duplicate keys).
///
/// # Errors
/// The one problem behind which nothing can be read: too long, empty, not UTF-8, not YAML, or beyond a bound.
pub fn parse(text: &[u8]) -> Result<(Node, Vec<Problem>), Problem> {
    if text.len() > MAX_BYTES {
        let message = format!("expected a spec of at most {MAX_BYTES} bytes, found {}", text.len());
        return Err(Mark::START.problem("", message, None));
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let mark = mark_of_end(&String::from_utf8_lossy(&text[..error.valid_up_to()]));
        mark.problem("", "expected UTF-8 text, found other bytes", Some("save the file as UTF-8".into()))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The parser takes NUL for the end of the text; what stands behind one would be dropped in silence.
    let forbidden = |letter: char| letter.is_control() && !matches!(letter, '\t' | '\n' | '\r');
    if let Some(at) = text.find(forbidden) {
        let message = "found a control character, which YAML does not allow";
        return Err(mark_of_end(&text[..at]).problem("", message, None));
    }
    let mut builder = Builder { lines: text.lines().collect(), ..Builder::default() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event
            .map_err(|error| mark(error.marker()).problem("", format!("expected YAML: {}", error.info()), None))?;
        builder.take(event, &span)?;
    }
    match builder.root {
        Some(root) => Ok((root, builder.problems)),
        None => Err(Mark::START.problem("", "expected a spec, found an empty file", None)),
    }
}

fn mark(marker: &Marker) -> Mark {
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Mark { line: small(marker.line()).max(1), column: small(marker.col()).saturating_add(1) }
}

/// The place just behind `text`.
fn mark_of_end(text: &str) -> Mark {
    let lines = text.matches('\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    mark(&Marker::new(0, lines + 1, last.chars().count()))
}

#[derive(Default)]
struct Builder<'a> {
    lines: Vec<&'a str>,
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    problems: Vec<Problem>,
}

/// A list or mapping whose end has not come yet.
struct Open {
    mark: Mark,
    anchor: usize,
    content: Content,
    nodes: usize,
    depth: usize,
}

enum Content {
    List(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Option<(String, Mark)>, skip: bool },
}

/// A value that an alias may repeat, and the cost of a repetition.
struct Anchored {
    node: Node,
    nodes: usize,
    depth: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), Problem> {
        let mark = mark(&span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = value_of(&text, style, tag.as_deref(), mark)?;
                let node = Node { mark, value, verbatim: verbatim(&text, style, span, &self.lines) };
                let nodes = 1 + text.len() / BYTES_OF_A_NODE;
                self.count(nodes, mark)?;
                self.complete(node, &text, anchor, nodes, 0)
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), mark)?;
                self.enter(mark, anchor, Content::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.as_deref(), mark)?;
                self.enter(mark, anchor, Content::Mapping { entries: Vec::new(), key: None, skip: false })
            }
            Event::SequenceEnd | Event::MappingEnd => self.leave(mark),
            Event::Alias(anchor) => self.repeat(anchor, mark),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(mark.problem("", "expected one document, found a second one", None))
            }
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn count(&mut self, nodes: usize, mark: Mark) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes <= MAX_NODES {
            return Ok(());
        }
        let message = format!("expected at most {MAX_NODES} values, counting aliases written out; found more");
        Err(mark.problem("", message, None))
    }

    fn check_depth(&self, below: usize, mark: Mark) -> Result<(), Problem> {
        if self.open.len() + below <= MAX_DEPTH {
            return Ok(());
        }
        let message = format!("expected lists and mappings nested at most {MAX_DEPTH} deep, found more");
        Err(mark.problem("", message, None))
    }

    fn enter(&mut self, mark: Mark, anchor: usize, content: Content) -> Result<(), Problem> {
        if matches!(self.open.last(), Some(Open { content: Content::Mapping { key: None, skip: false, .. }, .. })) {
            return Err(mark.problem("", "expected a string as key, found a list or mapping", None));
        }
        self.count(1, mark)?;
        self.check_depth(1, mark)?;
        self.open.push(Open { mark, anchor, content, nodes: 1, depth: 1 });
        Ok(())
    }

    fn leave(&mut self, mark: Mark) -> Result<(), Problem> {
        let Some(open) = self.open.pop() else {
            return Err(mark.problem("", "found the end of a list or mapping that was never opened", None));
        };
        let value = match open.content {
            Content::List(items) => Value::List(items),
            Content::Mapping { entries, .. } => Value::Mapping(entries),
        };
        self.complete(Node::new(open.mark, value), "", open.anchor, open.nodes, open.depth)
    }

    fn repeat(&mut self, anchor: usize, mark: Mark) -> Result<(), Problem> {
        // An anchor is known once its value is complete: one that holds itself is not.
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(mark.problem("", "found an alias inside the value that it refers to", None));
        };
        let (nodes, depth) = (anchored.nodes, anchored.depth);
        self.check_depth(depth, mark)?;
        self.count(nodes, mark)?;
        let Some(anchored) = self.anchors.get(&anchor) else { return Ok(()) };
        let node = anchored.node.clone();
        let text = match &node.value {
            Value::Text(text) => text.clone(),
            _ => String::new(),
        };
        self.complete(node, &text, 0, nodes, depth)
    }

    /// Puts a complete value where it belongs: it may be a key, whose text is `text`.
    fn complete(&mut self, node: Node, text: &str, anchor: usize, nodes: usize, depth: usize) -> Result<(), Problem> {
        if anchor > 0 {
            // What an anchor keeps for later is a copy, and counts as one.
            self.count(nodes, node.mark)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes, depth });
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.nodes += nodes;
        open.depth = open.depth.max(depth + 1);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Mapping { entries, key: key @ None, skip } if !*skip => {
                if matches!(node.value, Value::List(_) | Value::Mapping(_)) {
                    return Err(node.mark.problem("", "expected a string as key, found a list or mapping", None));
                }
                if entries.len() >= MAX_KEYS {
                    let message = format!("expected at most {MAX_KEYS} keys in one mapping, found more");
                    return Err(node.mark.problem("", message, None));
                }
                if entries.iter().any(|entry| entry.key == text) {
                    let message = format!("key {} appears twice in one mapping", quoted(text));
                    self.problems.push(node.mark.problem("", message, Some("remove one".into())));
                    *skip = true;
                } else {
                    *key = Some((text.to_owned(), node.mark));
                }
            }
            Content::Mapping { entries, key, skip } => match key.take() {
                Some((key, mark)) => entries.push(Entry { key, mark, node }),
                None => *skip = false,
            },
        }
        Ok(())
    }
}

/// The number of characters after its position at which a text begins, if its line contains it literally. Escapes,
/// folded lines and blocks differ from their text in the file.
fn verbatim(text: &str, style: ScalarStyle, span: &Span, lines: &[&str]) -> Option<u32> {
    let quotes = match style {
        ScalarStyle::Plain => 0,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => 1,
        ScalarStyle::Literal | ScalarStyle::Folded => return None,
    };
    let column = span.start.col();
    let line = lines.get(span.start.line().checked_sub(1)?).filter(|_| column <= FAR_RIGHT)?;
    let begin = line.char_indices().nth(column + quotes as usize).map(|(at, _)| at)?;
    line[begin..].starts_with(text).then_some(quotes)
}

fn value_of(text: &str, style: ScalarStyle, tag: Option<&Tag>, mark: Mark) -> Result<Value, Problem> {
    match tag {
        None if style == ScalarStyle::Plain => Ok(scalar::resolve(text)),
        None => Ok(Value::Text(text.to_owned())),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => Ok(Value::Text(text.to_owned())),
        Some(_) => refuse_tag(tag, mark).map(|()| Value::Null),
    }
}

fn refuse_tag(tag: Option<&Tag>, mark: Mark) -> Result<(), Problem> {
    match tag {
        None => Ok(()),
        Some(_) => Err(mark.problem("", "found a tag, which a spec cannot have", Some("remove it".into()))),
    }
}
