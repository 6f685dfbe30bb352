//! How long, and in how much memory, a plan of 1,000,000 trials is summed up: one JSON line. By hand, in release:
//! `cargo run --release -p sweep-spec --example plan_million`.

use std::time::Instant;

use sweep_spec::spec::Limits;
use sweep_spec::{Plan, Spec};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let levels = |count: u32| (1..=count).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
    // Two grids that share half of their points, so that merging has work to do.
    let text = format!(
        "version: 1\nname: million\ndataset: {{ kind: synthetic_scenes }}\n\
         baseline: {{ family: cnn, conv_layers: 4 }}\nstages:\n\
         - {{ name: one, grid: {{ filters: [{levels}], dense_units: [{levels}], batch_norm: [false, true] }} }}\n\
         - {{ name: two, grid: {{ filters: [{levels}], dense_units: [{levels}], dropout: [0.0, 0.2] }} }}\n",
        levels = levels(500)
    );
    let started = Instant::now();
    let spec = Spec::parse(text.as_bytes(), &[], &Limits::default())?;
    let summary = Plan::new(&spec).summary(&[]);
    let seconds = started.elapsed().as_secs_f64();
    // Of the whole process, its start included; where the system has no such file, unknown.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown").trim();
    let trials = Plan::new(&spec).trials_before_merging();
    let (configurations, merged) = (summary.configurations, summary.merged);
    #[expect(clippy::print_stdout, reason = "the line is what this program is for")]
    {
        println!(
            r#"{{"trials_before_merging":{trials},"configurations":{configurations},"merged":{merged},"seconds":{seconds:.3},"peak_memory":"{peak}"}}"#
        );
    }
    Ok(())
}
