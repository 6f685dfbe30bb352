//! Runs the simulation for any number of schedules: `--schedules N --seed S`. Prints one JSON line of counts at the
//! end. Failing seeds are printed before it; replay one with `--schedules 1 --seed S`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

#[path = "../simulation/mod.rs"]
mod simulation;

use std::process::ExitCode;
use std::time::Instant;

fn main() -> ExitCode {
    let (count, seed) = match options() {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("{problem}\nusage: simulate [--schedules N] [--seed S]");
            return ExitCode::from(2);
        }
    };
    #[expect(clippy::disallowed_methods, reason = "a program may look at a clock; the scheduler may not")]
    let begun = Instant::now();
    let (counts, failures) = simulation::schedules(seed..seed.saturating_add(count));
    for (seed, reason) in &failures {
        eprintln!("seed {seed}: {reason}");
    }
    let fields: Vec<String> = counts.rows().iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
    let seconds = begun.elapsed().as_secs_f64();
    println!("{{{},\"violations\":{},\"seconds\":{seconds:.1}}}", fields.join(","), failures.len());
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn options() -> Result<(u64, u64), String> {
    let (mut count, mut seed) = (20_000, 0);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let place = match word.as_str() {
            "--schedules" => &mut count,
            "--seed" => &mut seed,
            other => return Err(format!("`{other}` is unknown")),
        };
        let value = words.next().and_then(|value| value.parse().ok());
        *place = value.ok_or_else(|| format!("`{word}` needs a number"))?;
    }
    Ok((count, seed))
}
