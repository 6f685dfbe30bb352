//! Reading of `fraction`: which part of a factorial design is trained, by its resolution or by generators of one's own.

use super::{At, Reader, known};
use crate::design::{Design, Dimension, Fraction, Generator, Kind, MOST_FACTORS};
use crate::problem::did_you_mean;
use crate::yaml::quoted;

/// The longest generator, in characters.
const MAX_LENGTH: usize = 500;

/// Reads the fraction of `design`.
pub(super) fn fractional(at: &At<'_>, design: Design, reader: &mut Reader) -> Option<Design> {
    if design.kind() != Kind::Factorial {
        at.report(reader, format!("`fraction` applies to a `factorial` only, found `{}`", design.name()), None);
        return None;
    }
    let dimensions = design.dimensions();
    let mut complete = true;
    for dimension in dimensions.iter().filter(|dimension| dimension.steps().len() != 2) {
        let (name, levels) = (dimension.name(), dimension.steps().len());
        at.report(reader, format!("a fraction needs factors with two levels, but `{name}` has {levels}"), None);
        complete = false;
    }
    if dimensions.len() > MOST_FACTORS {
        let message = format!("expected a fraction of at most {MOST_FACTORS} factors, found {}", dimensions.len());
        at.report(reader, message, None);
        return None;
    }
    let mut section = at.section(reader, "a fraction: `{ resolution: 4 }` or `{ generators: [...] }`")?;
    let (resolution, generators) = (section.get("resolution"), section.get("generators"));
    let fraction = match (&resolution, &generators) {
        (Some(at), None) => {
            let asked = at.small(reader, 3..=5);
            asked.and_then(|asked| of_resolution(at, dimensions.len(), asked, reader))
        }
        (None, Some(at)) => of_generators(at, dimensions, reader),
        (Some(_), Some(at)) => {
            at.report(reader, "expected either `resolution` or `generators`, found both", None);
            None
        }
        (None, None) => {
            section.at.report(reader, "expected either `resolution` or `generators`, found neither", None);
            None
        }
    };
    section.finish(reader, "key");
    let fraction = fraction.filter(|_| complete)?;
    Some(design.fractional(fraction))
}

fn of_resolution(at: &At<'_>, factors: usize, asked: u32, reader: &mut Reader) -> Option<Fraction> {
    let fraction = Fraction::of_resolution(factors, asked);
    if fraction.is_none() {
        let message = format!("no fraction of {factors} factors has resolution {asked}");
        at.report(reader, message, Some("remove `fraction` to train the whole design, which has no aliases".into()));
    }
    fraction
}

fn of_generators(at: &At<'_>, dimensions: &[Dimension], reader: &mut Reader) -> Option<Fraction> {
    let items = at.list(reader, "generators, such as `[\"dropout = batch_norm * max_pool\"]`")?;
    let mut generators: Vec<Generator> = Vec::new();
    let mut complete = true;
    for item in &items {
        let generator = generator(item, dimensions, reader);
        complete &= generator.is_some();
        let Some(generator) = generator else { continue };
        if generators.iter().any(|other| other.factor == generator.factor) {
            item.report(reader, "an earlier generator already sets the levels of this factor", None);
            complete = false;
        }
        generators.push(generator);
    }
    for (item, generator) in items.iter().zip(&generators).filter(|_| complete) {
        let generated = |other: &&Generator| generator.word >> other.factor & 1 == 1;
        if let Some(other) = generators.iter().find(generated) {
            let name = dimensions.get(other.factor).map(Dimension::name).unwrap_or_default();
            let hint = Some(format!("replace `{name}` by the factors of its own generator"));
            item.report(reader, format!("`{name}` is itself generated, so a product cannot contain it"), hint);
            return None;
        }
    }
    let fraction = Fraction::new(dimensions.len(), generators);
    if complete && fraction.resolution() < 3 {
        let same = fraction.defining().first().map(|(word, _)| *word).unwrap_or_default();
        let names: Vec<String> = (0..dimensions.len())
            .filter(|place| same >> place & 1 == 1)
            .filter_map(|place| dimensions.get(place).map(|dimension| format!("`{}`", dimension.name())))
            .collect();
        let message =
            format!("{} would always change together, so their effects cannot be separated", names.join(" and "));
        at.report(reader, message, Some("add factors to the product".into()));
        return None;
    }
    complete.then_some(fraction)
}

/// `factor = factor * factor`, the product perhaps with a `-` before it.
fn generator(at: &At<'_>, dimensions: &[Dimension], reader: &mut Reader) -> Option<Generator> {
    let text = at.text(reader, "a generator such as `\"dropout = batch_norm * max_pool\"`")?;
    let Some((left, right)) = text.split_once('=').filter(|_| text.chars().count() <= MAX_LENGTH) else {
        at.expected(reader, "a generator such as `dropout = batch_norm * max_pool`");
        return None;
    };
    let factor = place(at, left, dimensions, reader);
    let (negative, product) = match right.trim_start().strip_prefix('-') {
        Some(product) => (true, product),
        None => (false, right),
    };
    let mut word = 0u32;
    let mut complete = true;
    for name in product.split('*') {
        let Some(place) = place(at, name, dimensions, reader) else {
            complete = false;
            continue;
        };
        if word >> place & 1 == 1 || Some(place) == factor {
            at.report(reader, format!("{} appears twice in {}", quoted(name.trim()), at.node.describe()), None);
            complete = false;
        }
        word |= 1 << place;
    }
    Some(Generator { factor: factor?, word, negative }).filter(|_| complete)
}

/// The place of the factor of this name among the dimensions.
fn place(at: &At<'_>, name: &str, dimensions: &[Dimension], reader: &mut Reader) -> Option<usize> {
    let name = name.trim();
    let is_it = |dimension: &Dimension| {
        dimension.name() == name || dimension.factors().iter().any(|factor| factor.name() == name)
    };
    let found = dimensions.iter().position(is_it);
    if found.is_none() {
        let names: Vec<String> = dimensions.iter().map(Dimension::name).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let hint = did_you_mean(name, &names).or_else(|| Some(known(&names)));
        at.report(reader, format!("expected a factor of this stage, found {}", quoted(name)), hint);
    }
    found
}
