//! Computes statistics on request, one JSON object per line on stdin and on stdout. `ci/statistics` compares the
//! answers with SciPy and statsmodels. An answer is a list of numbers; null marks a number that cannot be computed.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;
use sweep_analysis::result::Interval;
use sweep_analysis::statistics::factorial::{Cell, factorial};
use sweep_analysis::statistics::{
    bca_from, benjamini_hochberg, effect_size, estimate, holm, mcnemar, sign_flip, t_interval,
};

#[derive(Deserialize)]
#[serde(tag = "function", rename_all = "snake_case", deny_unknown_fields)]
enum Question {
    Estimate { values: Vec<f64> },
    TInterval { values: Vec<f64> },
    EffectSize { values: Vec<f64> },
    SignFlip { values: Vec<f64> },
    Holm { family: Vec<Option<f64>> },
    BenjaminiHochberg { family: Vec<Option<f64>> },
    Mcnemar { gained: u64, lost: u64 },
    Bca { values: Vec<f64>, resampled: Vec<f64> },
    Factorial { levels: Vec<Vec<usize>>, values: Vec<Vec<f64>> },
}

fn answer(question: Question) -> Vec<Option<f64>> {
    let ends = |interval: Option<Interval>| vec![interval.map(|ends| ends.low), interval.map(|ends| ends.high)];
    match question {
        Question::Estimate { values } => {
            let found = estimate(&values);
            vec![found.map(|found| found.mean), found.and_then(|found| found.standard_deviation)]
        }
        Question::TInterval { values } => ends(t_interval(&values)),
        Question::EffectSize { values } => vec![effect_size(&values)],
        Question::SignFlip { values } => vec![sign_flip(&values).map(|test| test.p)],
        Question::Holm { family } => holm(&family),
        Question::BenjaminiHochberg { family } => benjamini_hochberg(&family),
        Question::Mcnemar { gained, lost } => vec![Some(mcnemar(gained, lost))],
        Question::Bca { values, resampled } => ends(bca_from(&values, &resampled)),
        Question::Factorial { levels, values } => effects(levels, values),
    }
}

/// For each effect: sum of squares, degrees of freedom, share, size, and the ends of its interval.
fn effects(levels: Vec<Vec<usize>>, values: Vec<Vec<f64>>) -> Vec<Option<f64>> {
    let seeded = |values: Vec<f64>| values.into_iter().enumerate().map(|(seed, value)| (seed as u64, value)).collect();
    let cells: Vec<Cell> =
        levels.into_iter().zip(values).map(|(levels, values)| Cell { levels, values: seeded(values) }).collect();
    let Some(found) = factorial(&cells) else { return Vec::new() };
    let numbers = |effect: sweep_analysis::statistics::factorial::Effect| {
        let interval = effect.interval;
        [
            Some(effect.squares),
            Some(effect.degrees as f64),
            Some(effect.share),
            effect.size,
            interval.map(|ends| ends.low),
            interval.map(|ends| ends.high),
        ]
    };
    found.effects.into_iter().flat_map(numbers).collect()
}

fn main() -> ExitCode {
    match converse() {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "{problem}");
            ExitCode::FAILURE
        }
    }
}

fn converse() -> std::io::Result<()> {
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for line in std::io::stdin().lock().lines() {
        let question: Question = serde_json::from_str(&line?).map_err(std::io::Error::other)?;
        writeln!(output, "{}", json!({ "answer": answer(question) }))?;
    }
    output.flush()
}
