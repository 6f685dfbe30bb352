//! Descriptions of designs for users, and the aliases of a fraction.

use std::fmt;

use super::fraction::order;
use super::{Design, Dimension, Generator, Kind, Word};

/// An effect: a product of factors, perhaps with the other sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The names of its dimensions, in the order of the design.
    pub factors: Vec<String>,
    /// Whether it comes with the other sign.
    pub negative: bool,
}

/// Effects that a design cannot tell apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aliased {
    /// The shortest of them.
    pub effect: Alias,
    /// All others, shortest first; a sign is against the effect.
    pub with: Vec<Alias>,
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.negative { "-" } else { "" };
        let product = if self.factors.is_empty() { "1".to_owned() } else { self.factors.join("*") };
        write!(f, "{sign}{product}")
    }
}

impl Design {
    fn alias(&self, (word, negative): (Word, bool)) -> Alias {
        let dimensions = self.dimensions.iter().enumerate();
        let members = dimensions.filter(|(place, _)| word >> place & 1 == 1);
        Alias { factors: members.map(|(_, dimension)| dimension.name()).collect(), negative }
    }

    /// `dropout = batch_norm * max_pool`, as a spec writes it.
    pub(super) fn generator_text(&self, generator: &Generator) -> String {
        let sign = if generator.negative { "- " } else { "" };
        let word = self.alias((generator.word, false)).factors.join(" * ");
        let factor = self.dimensions.get(generator.factor).map(Dimension::name).unwrap_or_default();
        format!("{factor} = {sign}{word}")
    }

    /// How a fraction's factors follow from the others, as a spec writes it; none for the whole.
    pub fn generators(&self) -> Vec<String> {
        let fraction = self.fraction.iter();
        fraction.flat_map(|fraction| fraction.generators()).map(|one| self.generator_text(one)).collect()
    }

    /// The products of factors that are the same in every point of a fraction; none for the whole.
    pub fn defining_relation(&self) -> Vec<Alias> {
        let fraction = self.fraction.iter();
        fraction.flat_map(|fraction| fraction.defining()).map(|word| self.alias(word)).collect()
    }

    /// The aliases of the product of these factors, shortest first; none for a complete design or an unknown factor.
    /// Factors that advance together have one name, such as `conv_layers+filters`.
    pub fn aliases_of(&self, effect: &[&str]) -> Vec<Alias> {
        let Some(fraction) = &self.fraction else { return Vec::new() };
        let place = |name: &&str| self.dimensions.iter().position(|dimension| dimension.name() == *name);
        let Some(places) = effect.iter().map(place).collect::<Option<Vec<usize>>>() else { return Vec::new() };
        let word = places.into_iter().fold(0, |word, place| word | (1 << place));
        fraction.aliases(word).into_iter().map(|alias| self.alias(alias)).collect()
    }

    /// The aliases of every effect of at most `length` factors, each set once, shortest effects first; none for a
    /// complete design.
    pub fn alias_structure(&self, length: u32) -> Vec<Aliased> {
        let Some(fraction) = &self.fraction else { return Vec::new() };
        let mut effects: Vec<Word> =
            (1..1u32 << self.dimensions.len()).filter(|word| word.count_ones() <= length).collect();
        effects.sort_by_key(|word| order(*word));
        let first = |effect: &Word| fraction.aliases(*effect).iter().all(|(other, _)| order(*effect) < order(*other));
        let aliased = effects.into_iter().filter(first).map(|effect| {
            let with = fraction.aliases(effect).into_iter().map(|alias| self.alias(alias)).collect();
            Aliased { effect: self.alias((effect, false)), with }
        });
        aliased.collect()
    }

    /// The design for users, such as `vary dense_layers 1, 2, 4`.
    pub fn description(&self) -> String {
        let dimensions = || self.dimensions.iter().map(dimension).collect::<Vec<_>>().join("; ");
        let mut text = match (self.kind, &self.fraction) {
            (Kind::Vary, _) => format!("vary {}", dimensions()),
            (Kind::OneAtATime, _) => format!("the start, then one at a time {}", dimensions()),
            (Kind::Grid, _) => format!("grid {}", dimensions()),
            (Kind::LeaveOneOut, _) => format!("the start, then each removed in turn: {}", dimensions()),
            (Kind::AddOneIn, _) => format!("the start, then each added in turn: {}", dimensions()),
            (Kind::Pairwise, _) => format!("the start, each alone and each pair of {}", dimensions()),
            (Kind::Factorial, None) => format!("full factorial {}", dimensions()),
            (Kind::Factorial, Some(fraction)) => {
                let part = 1u64 << fraction.generators().len();
                let resolution = roman(fraction.resolution());
                format!("1/{part} of a factorial, resolution {resolution}: {}", dimensions())
            }
            (Kind::List, _) => format!("hand-picked points over {}", self.factor_names()),
        };
        for (factor, condition) in &self.limited.only_if {
            text.push_str(&format!("; {factor} only if {condition}"));
        }
        if !self.limited.conditions.is_empty() {
            let conditions: Vec<String> = self.limited.conditions.iter().map(ToString::to_string).collect();
            text.push_str(&format!("; where {}", conditions.join(", and ")));
        }
        text
    }

    fn factor_names(&self) -> String {
        if self.axes.is_empty() {
            return "nothing: the start".to_owned();
        }
        self.axes.iter().map(|axis| axis.factor.name()).collect::<Vec<_>>().join(", ")
    }
}

/// The most levels that are listed.
const MOST_TOLD: usize = 16;

/// `filters 8, 16`, or `conv_layers+filters 2+8, 4+16`; of a long list its beginning and its length.
fn dimension(dimension: &Dimension) -> String {
    let steps = dimension.steps();
    let told = if steps.len() > MOST_TOLD { MOST_TOLD / 2 } else { steps.len() };
    let step = |step: &Vec<crate::levels::Level>| step.iter().map(ToString::to_string).collect::<Vec<_>>().join("+");
    let mut text = format!("{} {}", dimension.name(), steps.iter().take(told).map(step).collect::<Vec<_>>().join(", "));
    if told < steps.len() {
        text.push_str(&format!(", ... ({} levels)", steps.len()));
    }
    text
}

/// Resolutions are written in Roman numerals.
fn roman(number: u32) -> String {
    const NUMERALS: [&str; 13] = ["0", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];
    NUMERALS.get(number as usize).map_or_else(|| number.to_string(), |numeral| (*numeral).to_owned())
}
