//! Parses conditions: `or` binds weakest, then `and`, then `not`, then comparisons. Length and depth are checked before
//! anything is allocated, and every problem has the index of its character.

use super::{Comparison, Condition, Operand};
use crate::levels::{Factor, Family, Kind};
use crate::problem::did_you_mean;
use crate::yaml::quoted;

/// The longest condition, in characters.
pub(crate) const MAX_LENGTH: usize = 1000;
/// The deepest nesting of parentheses and `not`.
pub(crate) const MAX_DEPTH: usize = 32;

/// A problem and the index of its character in the text, counted from 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) at: usize,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// Parses a condition on configurations of `family`.
pub(crate) fn parse(text: &str, family: Family) -> Result<Condition, Wrong> {
    let letters: Vec<char> = text.chars().take(MAX_LENGTH + 1).collect();
    if letters.len() > MAX_LENGTH {
        let message = format!("expected a condition of at most {MAX_LENGTH} characters, found more");
        return Err(Wrong { at: 0, message, hint: Some("split it into a list of conditions".into()) });
    }
    let tokens = tokens(&letters)?;
    let mut parser = Parser { tokens: &tokens, at: 0, end: letters.len(), family };
    let condition = parser.any(0)?;
    match parser.next() {
        None => Ok(condition),
        Some(token) => Err(after(token)),
    }
}

/// The problem of a token after a complete condition.
fn after(token: &Token) -> Wrong {
    let hint = match &token.word {
        Word::Symbol(symbol) if Comparison::ALL.iter().any(|comparison| comparison.symbol() == *symbol) => {
            Some("compare two things at a time: `1 < filters and filters < 9`".to_owned())
        }
        Word::Name(_) | Word::Number(_) | Word::Symbol(_) => None,
    };
    token.wrong(format!("expected `and`, `or` or the end of the condition, found {}", token.word), hint)
}

#[derive(Debug, Clone, PartialEq)]
enum Word {
    Name(String),
    Number(f64),
    Symbol(&'static str),
}

impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(&quoted(name)),
            Self::Number(number) => write!(f, "{number}"),
            Self::Symbol(symbol) => write!(f, "`{symbol}`"),
        }
    }
}

struct Token {
    at: usize,
    word: Word,
}

impl Token {
    fn wrong(&self, message: String, hint: Option<String>) -> Wrong {
        Wrong { at: self.at, message, hint }
    }
}

const SYMBOLS: [&str; 11] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ","];
/// Operators of other languages, with the operator to use here.
const FOREIGN: [(&str, &str); 6] = [("&&", "and"), ("||", "or"), ("=", "=="), ("!", "not"), ("&", "and"), ("|", "or")];

fn tokens(letters: &[char]) -> Result<Vec<Token>, Wrong> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let letter = letters[at];
        let starts =
            |symbol: &str| symbol.chars().enumerate().all(|(ahead, part)| letters.get(at + ahead) == Some(&part));
        let digit_ahead = letters.get(at + 1).is_some_and(|next| next.is_ascii_digit() || *next == '.');
        if letter.is_whitespace() {
            at += 1;
        } else if letter.is_alphabetic() || letter == '_' {
            let length = letters[at..].iter().take_while(|next| next.is_alphanumeric() || **next == '_').count();
            tokens.push(Token { at, word: Word::Name(letters[at..at + length].iter().collect()) });
            at += length;
        } else if letter.is_ascii_digit() || letter == '.' || (letter == '-' && digit_ahead) {
            let length = number_length(&letters[at..]);
            let text: String = letters[at..at + length].iter().collect();
            let number = text.parse().ok().filter(|number: &f64| number.is_finite());
            let wrong = || Wrong { at, message: format!("expected a number, found {}", quoted(&text)), hint: None };
            tokens.push(Token { at, word: Word::Number(number.ok_or_else(wrong)?) });
            at += length;
        } else if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| starts(symbol)) {
            tokens.push(Token { at, word: Word::Symbol(symbol) });
            at += symbol.len();
        } else {
            let foreign = FOREIGN.into_iter().find(|(foreign, _)| starts(foreign));
            let found = foreign.map_or_else(|| quoted(&letter.to_string()), |(foreign, _)| format!("`{foreign}`"));
            let message = format!("expected factors, values and comparisons, found {found}");
            return Err(Wrong { at, message, hint: foreign.map(|(_, ours)| format!("write `{ours}`")) });
        }
    }
    Ok(tokens)
}

/// The length of the number at the start of `letters`: everything up to a letter that cannot be part of one.
fn number_length(letters: &[char]) -> usize {
    let exponent = |at: usize| matches!(letters.get(at), Some('e' | 'E'));
    let part = |at: usize| match letters[at] {
        '-' | '+' => at == 0 || exponent(at - 1),
        letter => letter.is_alphanumeric() || letter == '.' || letter == '_',
    };
    (0..letters.len()).take_while(|&at| part(at)).count()
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    end: usize,
    family: Family,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Option<&'a Token> {
        let token = self.tokens.get(self.at);
        self.at += usize::from(token.is_some());
        token
    }

    fn take(&mut self, word: &str) -> bool {
        let here = self.tokens.get(self.at).is_some_and(|token| match &token.word {
            Word::Name(name) => name == word,
            Word::Symbol(symbol) => *symbol == word,
            Word::Number(_) => false,
        });
        self.at += usize::from(here);
        here
    }

    /// The index of the next token, or of the end of the text.
    fn place(&self) -> usize {
        self.tokens.get(self.at).map_or(self.end, |token| token.at)
    }

    fn wrong(&self, what: &str) -> Wrong {
        let found = self.tokens.get(self.at).map_or_else(|| "the end".to_owned(), |token| token.word.to_string());
        Wrong { at: self.place(), message: format!("expected {what}, found {found}"), hint: None }
    }

    fn deeper(&self, depth: usize) -> Result<usize, Wrong> {
        if depth < MAX_DEPTH {
            return Ok(depth + 1);
        }
        let message = format!("expected parentheses and `not` nested at most {MAX_DEPTH} deep, found more");
        Err(Wrong { at: self.place(), message, hint: None })
    }

    fn any(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let first = self.all(depth)?;
        let mut conditions = vec![first];
        while self.take("or") {
            conditions.push(self.all(depth)?);
        }
        Ok(one_or(conditions, Condition::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Condition, Wrong> {
        let first = self.not(depth)?;
        let mut conditions = vec![first];
        while self.take("and") {
            conditions.push(self.not(depth)?);
        }
        Ok(one_or(conditions, Condition::All))
    }

    fn not(&mut self, depth: usize) -> Result<Condition, Wrong> {
        if self.take("not") {
            let depth = self.deeper(depth)?;
            return Ok(Condition::Not(Box::new(self.not(depth)?)));
        }
        if self.take("(") {
            let depth = self.deeper(depth)?;
            let inner = self.any(depth)?;
            return if self.take(")") { Ok(inner) } else { Err(self.wrong("`)`, `and` or `or`")) };
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Condition, Wrong> {
        let place = self.place();
        let left = self.operand("a factor or a value")?;
        let negated =
            self.tokens.get(self.at + 1).is_some_and(|next| next.word == Word::Name("in".into())) && self.take("not");
        if self.take("in") {
            let Operand::Factor(factor) = left else {
                return Err(Wrong {
                    at: place,
                    message: format!("expected a factor before `in`, found {left}"),
                    hint: None,
                });
            };
            let within = Condition::In { factor, values: self.list(factor)? };
            return Ok(if negated { Condition::Not(Box::new(within)) } else { within });
        }
        let comparison = Comparison::ALL.into_iter().find(|comparison| self.take(comparison.symbol()));
        let Some(comparison) = comparison else { return self.alone(left, place) };
        let right_place = self.place();
        let right = self.operand("a factor or a value")?;
        check(left, comparison, right, (place, right_place))?;
        Ok(Condition::Compare { left, comparison, right })
    }

    /// A factor without a comparison: it is on.
    fn alone(&self, operand: Operand, at: usize) -> Result<Condition, Wrong> {
        match operand {
            Operand::Factor(factor) if factor.kind() == Kind::Bool => {
                let right = Operand::Bool(true);
                Ok(Condition::Compare { left: operand, comparison: Comparison::Equal, right })
            }
            Operand::Factor(factor) => {
                let message = format!("`{factor}` is {}, so it needs a comparison", factor.kind());
                Err(Wrong { at, message, hint: Some(format!("such as `{factor} > 0`")) })
            }
            Operand::Bool(_) | Operand::Number(_) => {
                Err(Wrong { at, message: format!("expected a condition over factors, found {operand}"), hint: None })
            }
        }
    }

    fn list(&mut self, factor: Factor) -> Result<Vec<Operand>, Wrong> {
        if !self.take("[") {
            return Err(self.wrong("a list such as `[1, 2]`"));
        }
        let mut values = Vec::new();
        loop {
            let place = self.place();
            let value = self.operand("a value")?;
            if let Operand::Factor(other) = value {
                return Err(Wrong {
                    at: place,
                    message: format!("expected a value, found the factor `{other}`"),
                    hint: None,
                });
            }
            check(Operand::Factor(factor), Comparison::Equal, value, (place, place))?;
            values.push(value);
            if self.take("]") {
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.wrong("`,` or `]`"));
            }
        }
    }

    fn operand(&mut self, what: &str) -> Result<Operand, Wrong> {
        let wrong = self.wrong(what);
        let Some(token) = self.next() else { return Err(wrong) };
        match &token.word {
            Word::Number(number) => Ok(Operand::Number(*number + 0.0)),
            Word::Name(name) => match name.as_str() {
                "true" => Ok(Operand::Bool(true)),
                "false" => Ok(Operand::Bool(false)),
                "and" | "or" | "not" | "in" => Err(wrong),
                _ => self.factor(name, token),
            },
            Word::Symbol(_) => Err(wrong),
        }
    }

    fn factor(&self, name: &str, token: &Token) -> Result<Operand, Wrong> {
        let found = Factor::named(name);
        if let Some(factor) = found.filter(|factor| self.family.factors().contains(factor)) {
            return Ok(Operand::Factor(factor));
        }
        let names: Vec<&str> = self.family.factors().iter().map(|factor| factor.name()).collect();
        let message = match (found, name.to_lowercase().as_str()) {
            (Some(_), _) => {
                format!("unknown factor `{name}`: family `{}` has no factor of this name", self.family.name())
            }
            (None, "yes" | "on" | "true") => {
                return Err(token.wrong(format!("unknown factor {}", quoted(name)), Some("write `true`".into())));
            }
            (None, "no" | "off" | "false") => {
                return Err(token.wrong(format!("unknown factor {}", quoted(name)), Some("write `false`".into())));
            }
            (None, _) => format!("unknown factor {}", quoted(name)),
        };
        let hint = did_you_mean(name, &names).or_else(|| Some(crate::read::known(&names)));
        Err(token.wrong(message, hint))
    }
}

fn one_or(mut conditions: Vec<Condition>, join: fn(Vec<Condition>) -> Condition) -> Condition {
    match (conditions.len(), conditions.pop()) {
        (1, Some(one)) => one,
        (_, last) => {
            conditions.extend(last);
            join(conditions)
        }
    }
}

/// Refuses comparisons that can never be meant: of values only, of a switch with a number, with a value that the factor
/// never has.
fn check(left: Operand, comparison: Comparison, right: Operand, places: (usize, usize)) -> Result<(), Wrong> {
    let wrong = |at: usize, message: String| Err(Wrong { at, message, hint: None });
    let is_switch = |operand: Operand| match operand {
        Operand::Bool(_) => true,
        Operand::Number(_) => false,
        Operand::Factor(factor) => factor.kind() == Kind::Bool,
    };
    if !matches!((left, right), (Operand::Factor(_), _) | (_, Operand::Factor(_))) {
        return wrong(
            places.0,
            format!("expected a factor on one side of `{}`, found two values", comparison.symbol()),
        );
    }
    let ordered = !matches!(comparison, Comparison::Equal | Comparison::Unequal);
    if is_switch(left) != is_switch(right) {
        let (switch, number) = if is_switch(left) { (left, right) } else { (right, left) };
        return wrong(places.1, format!("`{switch}` is true or false, and `{number}` is a number"));
    }
    if is_switch(left) && ordered {
        let symbol = comparison.symbol();
        return wrong(places.0, format!("a factor that is true or false has no order, so `{symbol}` does not apply"));
    }
    let (factor, number, place) = match (left, right) {
        (Operand::Factor(factor), Operand::Number(number)) => (factor, number, places.1),
        (Operand::Number(number), Operand::Factor(factor)) => (factor, number, places.0),
        _ => return Ok(()),
    };
    if !ordered && !factor.has(number) {
        return wrong(place, format!("`{factor}` is {}, so it can never be {number}", factor.kind()));
    }
    Ok(())
}
