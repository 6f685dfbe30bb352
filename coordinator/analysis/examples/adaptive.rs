//! Cost and gain of the rule for `seeds: adaptive`: simulated sweeps of ten variants against one baseline. None, five
//! or all variants differ from it, by a given number of standard deviations of a paired difference. Prints a Markdown
//! table.

use std::io::Write;

use sweep_analysis::statistics::{ALPHA, Looks, Random, holm, sign_flip};

const VARIANTS: usize = 10;
const SWEEPS: u64 = 400;
const LOOKS: [u32; 4] = [8, 12, 16, 20];

/// Differences of all variants over the largest number of seeds. All of them contain the baseline's noise.
fn family(sweep: u64, differing: usize, effect: f64) -> Vec<Vec<f64>> {
    let mut random = Random::simulation(sweep);
    let seeds = LOOKS[LOOKS.len() - 1];
    let baseline: Vec<f64> = (0..seeds).map(|_| random.normal()).collect();
    let variant = |index: usize, random: &mut Random| {
        let shift = if index < differing { effect } else { 0.0 };
        baseline.iter().map(|base| shift + (random.normal() - base) / 2f64.sqrt()).collect()
    };
    (0..VARIANTS).map(|index| variant(index, &mut random)).collect()
}

/// How many of the differing variants were found, whether anything else was, and the seeds of all variants together.
#[derive(Default)]
struct Tally {
    found: usize,
    wrong: u64,
    seeds: u64,
}

impl Tally {
    fn add(&mut self, decided: &[bool], differing: usize, seeds: u64) {
        self.found += decided[..differing].iter().filter(|decided| **decided).count();
        self.wrong += u64::from(decided[differing..].contains(&true));
        self.seeds += seeds;
    }

    fn row(&self, differing: usize) -> String {
        let found = match differing {
            0 => "-".to_owned(),
            _ => format!("{:.0} %", 100.0 * self.found as f64 / (differing as u64 * SWEEPS) as f64),
        };
        let each = self.seeds as f64 / (VARIANTS as u64 * SWEEPS) as f64;
        format!("{found} / {:.1} % / {each:.1}", 100.0 * self.wrong as f64 / SWEEPS as f64)
    }
}

fn main() -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "Each cell: differing variants found / sweeps with a false finding / seeds for each variant.\n")?;
    writeln!(output, "| variants that differ | by (d_z) | adaptive {LOOKS:?} | 12 seeds | 16 seeds | 20 seeds |")?;
    writeln!(output, "|---|---|---|---|---|---|")?;
    let looks = Looks::new(VARIANTS, &LOOKS, ALPHA);
    for (differing, effect) in [(0, 0.0), (5, 0.75), (5, 1.0), (5, 1.5), (5, 2.0), (5, 3.0), (10, 1.5), (10, 3.0)] {
        let mut adaptive = Tally::default();
        let mut fixed = [(12, Tally::default()), (16, Tally::default()), (20, Tally::default())];
        for sweep in 0..SWEEPS {
            let family = family(sweep, differing, effect);
            let slices: Vec<&[f64]> = family.iter().map(Vec::as_slice).collect();
            let findings: Vec<_> = looks.replay(&slices).into_iter().flatten().collect();
            let decided: Vec<bool> = findings.iter().map(|finding| finding.decided).collect();
            adaptive.add(&decided, differing, findings.iter().map(|finding| u64::from(finding.seeds)).sum());
            for (seeds, tally) in &mut fixed {
                let tests: Vec<Option<f64>> =
                    family.iter().map(|values| sign_flip(&values[..*seeds]).map(|test| test.p)).collect();
                let decided: Vec<bool> = holm(&tests).iter().map(|p| p.is_some_and(|p| p <= ALPHA)).collect();
                tally.add(&decided, differing, (*seeds * VARIANTS) as u64);
            }
        }
        let cells: Vec<String> = fixed.iter().map(|(_, tally)| tally.row(differing)).collect();
        writeln!(output, "| {differing} | {effect} | {} | {} |", adaptive.row(differing), cells.join(" | "))?;
    }
    output.flush()
}
