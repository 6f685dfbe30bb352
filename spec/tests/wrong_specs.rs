//! Wrong specs of every kind: each problem with its position, its path, the expected value, and a hint.

mod wrong;

use sweep_spec::Spec;
use sweep_spec::spec::Limits;
use wrong::{WELL, problems_of, with};

#[test]
fn a_rule_about_failures_is_read_whole() {
    let objective = "objective: { metric: val_accuracy, goal: maximize }";
    let retry = |rules: &str| with(objective, &format!("{objective}\nretry: {rules}"));
    assert_eq!(retry("{ data: never, trainer: { failures: 5, backoff_ms: 0 }, out_of_memory: elsewhere }"), "");
    let wrong = retry("{ dta: never, trainer: { failures: 0, retry: nowhere } }");
    for part in ["retry.dta", "`data`", "retry.trainer.failures", "from 1 to 100", "retry.trainer.retry", "larger_slot"]
    {
        assert!(wrong.contains(part), "{part} is missing in\n{wrong}");
    }
}

#[test]
fn seeds_of_their_own_are_held_against_the_others() {
    let noise = |seeds: &str, noise: &str| with("seeds: [0, 1]", &format!("seeds: {seeds}\nnoise: {noise}"));
    assert_eq!(noise("[0, 1]", "{ seeds: 6 }"), "");
    assert_eq!(noise("1000", "{ seeds: [1000] }"), "");
    let both = noise("[0, 1]", "{ seeds: [7, 1] }");
    assert!(both.contains("noise.seeds: expected seeds that `seeds` does not contain, found 1 in both"), "{both}");
    let counted = noise("[1000000]", "{ seeds: 2 }");
    assert!(counted.contains("found 1000000 in both"), "{counted}");
    let added = noise("{ adaptive: { start: 2, step: 2, at_most: 6 } }", "{ seeds: [5] }");
    assert!(added.contains("found 5 in both"), "{added}");
    for (wrong, part) in [
        ("{}", "key `seeds` is missing"),
        ("{ seeds: 0 }", "from 1 to 10000"),
        ("{ seeds: [] }", "a list of seeds"),
        ("{ seeds: [3, 3] }", "seed 3 appears twice"),
        ("6", "seeds of the baseline alone"),
        ("{ seeds: 6, of: baseline }", "unknown key"),
    ] {
        let found = noise("[0, 1]", wrong);
        assert!(found.contains(part), "{wrong}: {found}");
    }
}

#[test]
fn adaptive_seeds_have_a_start_a_step_and_a_bound() {
    let seeds = |text: &str| with("seeds: [0, 1]", &format!("seeds: {text}"));
    assert_eq!(seeds("{ adaptive: { start: 6, step: 3, at_most: 18 } }"), "");
    for (wrong, part) in [
        (
            "{ adaptive: { start: 6, step: 3, at_most: 6 } }",
            "seeds.adaptive.at_most: expected more than 6, the number of seeds",
        ),
        ("{ adaptive: { start: 6, step: 0, at_most: 9 } }", "from 1 to 1000"),
        ("{ adaptive: { start: 6, at_most: 9 } }", "key `step` is missing"),
        ("{ adaptive: { start: 1, step: 1, at_most: 100 } }", "expected at most 50 steps from 1 to 100, found 99"),
        ("{ adaptive: 6 }", "a plan of seeds"),
        ("{ adaptve: { start: 6, step: 3, at_most: 9 } }", "did you mean `adaptive`?"),
        ("{}", "key `adaptive` is missing"),
    ] {
        let found = seeds(wrong);
        assert!(found.contains(part), "{wrong}: {found}");
    }
}

#[test]
fn a_choice_needs_a_stage_that_chooses_and_seeds_of_the_sweep() {
    let keep = |text: &str| with("keep: { conv_layers: 2 }", text);
    assert_eq!(keep("keep: best, choose_on: [1]"), "");
    assert_eq!(keep("keep: best_if_significant"), "");
    for (wrong, part) in [
        ("choose_on: [1]", "stages[0].choose_on: this stage chooses nothing by its results"),
        ("keep: { conv_layers: 2 }, choose_on: [1]", "this stage chooses nothing"),
        ("keep: best, choose_on: [2]", "stages[0].choose_on: expected seeds that `seeds` contains, found 2"),
        ("keep: best, choose_on: [0, 1]", "none is left to test the choice"),
        ("keep: best, choose_on: 1", "a list of seeds"),
        ("keep: best_if_signifcant", "did you mean `best_if_significant`?"),
    ] {
        let found = keep(wrong);
        assert!(found.contains(part), "{wrong}: {found}");
    }
}

#[test]
fn a_split_for_each_seed_needs_something_to_split() {
    let split = |text: &str| with("protocol: { epochs: 2,", &format!("protocol: {{ {text}, epochs: 2,"));
    assert_eq!(split("split: per_seed, holdout: { fraction: 0.1 }"), "");
    assert_eq!(split("split: fixed"), "");
    let nothing = split("split: per_seed");
    assert!(nothing.contains("protocol.split: no images are held out"), "{nothing}");
    let wrong = split("split: per_sed, holdout: { fraction: 0.1 }");
    assert!(wrong.contains("did you mean `per_seed`?"), "{wrong}");
}

#[test]
fn a_budget_has_a_unit_and_money_has_a_price() {
    let objective = "objective: { metric: val_accuracy, goal: maximize }";
    let budget = |keys: &str| with(objective, &format!("{objective}\n{keys}"));
    for good in ["budget: 20gpu-hours", "budget: 90min", "budget: 50usd\nprice_per_hour: 2.50usd", "price_per_hour: 3"]
    {
        assert_eq!(budget(good), "", "{good}");
    }
    for (wrong, told) in [
        ("budget: 20", "a budget with a unit"),
        ("budget: -3h", "a budget with a unit"),
        ("budget: 50usd", "needs a price"),
        ("budget: 50usd\nprice_per_hour: 2eur", "the price is in eur"),
        ("budget: 2h\nprice_per_hour: 0", "the price of one slot for an hour"),
    ] {
        assert!(budget(wrong).contains(told), "{wrong}: {}", budget(wrong));
    }
    let overrides = [("budget".to_owned(), "2h".to_owned())];
    let spec = Spec::parse(WELL.as_bytes(), &overrides, &Limits::default()).unwrap();
    assert_eq!(spec.budget_seconds(), Some(7200.0));
    let plain = Spec::parse(WELL.as_bytes(), &[], &Limits::default()).unwrap();
    assert!(plain.budget.is_none() && plain.digest().unwrap() != spec.digest().unwrap());
}

#[test]
fn the_good_spec_is_good() {
    assert_eq!(problems_of(WELL.as_bytes()), []);
}

#[test]
fn an_unknown_key_is_placed_and_its_nearest_name_is_hinted_at() {
    let expected = "8:28: stages[0].vary.conv_layer: unknown factor; did you mean `conv_layers`?";
    let found = with("vary: { conv_layers: [1, 2] }", "vary: { conv_layer: [1, 2] }");
    assert_eq!(found, expected);
    assert_eq!(with("epochs", "epoch"), "4:13: protocol.epoch: unknown key; did you mean `epochs`?");
    assert_eq!(with("seeds:", "seed:"), "5:1: seed: unknown key; did you mean `seeds`?");
    assert_eq!(with("filters: 8 }", "filter: 8 }"), "6:42: baseline.filter: unknown factor; did you mean `filters`?");
    let found = with("learning_rate", "something_else");
    assert!(found.contains("protocol.optimizer.something_else: unknown key; expected one of `kind`"), "{found}");
}

#[test]
fn every_problem_is_found_in_one_go() {
    let text = WELL
        .replace("epochs: 2", "epochs: 0")
        .replace("[0, 1]", "[0, 0]")
        .replace("conv_layers: [1, 2]", "conv_layers: []")
        .replace("filters: [8, 16]", "filters: [8, wide]")
        .replace("metric: val_accuracy", "metric: val_acuracy")
        .replace("family: vgg19", "family: vgg19, filters: 3");
    let lines: Vec<u32> = problems_of(text.as_bytes()).iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [4, 5, 8, 9, 10, 11]);
    // One wrong value does not hide what stands beside it.
    let found = with("kind: synthetic_scenes, image_size: 32", "kind: folder, path: ../x, image_size: 0, digest: 7");
    assert_eq!(found.lines().count(), 4, "{found}");
    let schedule = "epochs: 2, schedule: { kind: step, factor: 2, every: 3 }";
    assert_eq!(with("epochs: 2", schedule).lines().count(), 2);
    let found = with("family: cnn, conv_layers: 1, filters: 8", "family: cnn, filter: 1, conv_layers: 0, dropout: 2");
    assert_eq!(found.lines().count(), 3, "{found}");
}

#[test]
fn values_of_a_wrong_type_or_size_are_refused() {
    for (piece, replacement, expected) in [
        ("version: 1", "version: 2", "version: expected 1, the only version of the format, found 2"),
        ("version: 1", "version: 1.0", "version: expected 1, the only version of the format, found 1.0"),
        ("name: small", "name: 7", "name: expected a name, found 7; put it in quotes"),
        ("name: small", "name: \"\"", "name: expected a name, found an empty string"),
        (
            "name: small",
            "name: \"a\\e[31m\"",
            "name: expected a name without control characters, found \"a\\u{1b}[31m\"",
        ),
        ("name: small", "name: \"a\\u202eb\"", "name: expected a name without control characters"),
        ("epochs: 2", "epochs: two", "protocol.epochs: expected a whole number from 1 to 100000, found \"two\""),
        ("epochs: 2", "epochs: 2.5", "protocol.epochs: expected a whole number from 1 to 100000, found 2.5"),
        ("epochs: 2", "epochs: -2", "protocol.epochs: expected a whole number from 1 to 100000, found -2"),
        ("epochs: 2", "epochs: 99999999999999999999999999999999999999999", "protocol.epochs: expected a whole number"),
        ("epochs: 2", "epochs:", "protocol.epochs: expected a whole number from 1 to 100000, found nothing"),
        ("0.001", ".nan", "learning_rate: expected a number above 0 and at most 10, found NaN"),
        ("0.001", ".inf", "learning_rate: expected a number above 0 and at most 10, found inf"),
        ("0.001", "0", "learning_rate: expected a number above 0 and at most 10, found 0"),
        ("kind: adam", "kind: sgd", "optimizer.kind: expected one of `adam`, found \"sgd\""),
        ("channels: 3", "channels: 2", "dataset.channels: expected 1 (grey) or 3 (colour), found 2"),
        ("classes: 8", "classes: 1", "dataset.classes: expected a whole number from 2 to 1000, found 1"),
        ("classes: 8", "classes: 9", "dataset.classes: expected the 8 classes of this kind of data set, found 9"),
        ("classes: 8", "classes: [a, a]", "dataset.classes[1]: this class appears twice"),
        ("image_size: 32", "image_size: 100000", "dataset.image_size: expected a whole number from 4 to 1024"),
        ("kind: synthetic_scenes", "kind: synthetic", "dataset.kind: expected one of `image_folder`, `idx`"),
        ("seeds: [0, 1]", "seeds: 0", "seeds: expected a whole number from 1 to 1000000, found 0"),
        ("seeds: [0, 1]", "seeds: []", "seeds: expected a list of seeds, found an empty list"),
        ("seeds: [0, 1]", "seeds: [1, 0, 1]", "seeds[2]: seed 1 appears twice"),
        ("seeds: [0, 1]", "seeds: [-1]", "seeds[0]: expected a whole number from 0"),
        ("filters: 8 }", "filters: 0 }", "baseline.filters: expected a whole number from 1 to 8192, found 0"),
        ("filters: 8 }", "filters: 8, kernel_size: 4 }", "baseline.kernel_size: expected an odd whole number from 1"),
        ("filters: 8 }", "filters: 8, batch_norm: yes }", "found \"yes\"; write `true`"),
        ("filters: 8 }", "filters: 8, dropout: 1.0 }", "baseline.dropout: expected a number from 0 up to"),
        (
            "family: cnn",
            "family: ccn",
            "baseline.family: expected one of `cnn`, `vgg19`, found \"ccn\"; did you mean `cnn`?",
        ),
        ("filters: [8, 16]", "filters: 8", "stages[1].vary.filters: expected a list of levels, found 8; write `[8]`"),
        ("filters: [8, 16]", "filters: [8, 8]", "stages[1].vary.filters[1]: level 8 appears twice"),
        ("{ filters: [8, 16] }", "{}", "stages[1].vary: expected at least one factor, found an empty mapping"),
        (
            "vary: { filters: [8, 16] }",
            "from: depth",
            "stages[1]: the stage has no design; expected one of `vary`, `one_at",
        ),
        ("goal: maximize", "goal: up", "objective.goal: expected one of `maximize`, `minimize`, found \"up\""),
        ("metric: val_accuracy", "metric: [a]", "objective.metric: expected one of `val_accuracy`"),
    ] {
        let found = with(piece, replacement);
        assert!(found.contains(expected) && found.lines().count() == 1, "{replacement}:\n{found}\n{expected}");
    }
}

#[test]
fn what_stages_say_of_each_other_is_checked() {
    let keep = "keep: { conv_layers: 2 }";
    for (piece, replacement, expected) in [
        (
            keep,
            "keep: { conv_layers: 4 }",
            "keep.conv_layers: expected one of the levels that the stage varies (1, 2), found 4",
        ),
        (
            keep,
            "keep: { filters: 8 }",
            "keep.filters: this stage does not vary the factor; expected one of `conv_layers`",
        ),
        (
            keep,
            "keep: bst",
            "stages[0].keep: expected `best`, `best_if_significant` or levels, found \"bst\"; did you mean `best`?",
        ),
        (keep, "set: { conv_layers: 3 }", "stages[0].set: this stage varies `conv_layers`, so `set` cannot contain it"),
        (
            "name: width,",
            "name: width, from: dept,",
            "stages[1].from: unknown stage, found \"dept\"; did you mean `depth`?",
        ),
        ("name: width,", "name: width, from: width,", "stages[1].from: a stage cannot start from itself"),
        (
            "name: depth,",
            "name: depth, from: width,",
            "8:5: stages[0]: stages start from each other in a circle, so none can start: `depth` from `width` from \
             `depth`; give one of them `from: baseline`",
        ),
        ("name: width,", "name: depth,", "stages[1].name: an earlier stage has the same name"),
        ("name: width,", "name: baseline,", "stages[1].name: a stage cannot be named `baseline`"),
        ("name: width,", "", "9:5: stages[1]: key `name` is missing"),
        (
            "name: width,",
            "name: width, grid: { filters: [8] },",
            "a stage can have only one design, found `vary` and `grid`",
        ),
        ("baseline: { family: cnn, conv_layers: 1, filters: 8 }", "baseline: 3", "baseline: expected a configuration"),
    ] {
        let found = with(piece, replacement);
        assert!(found.contains(expected) && found.lines().count() == 1, "{replacement}:\n{found}\n{expected}");
    }
    let vgg = WELL.replace("family: cnn, conv_layers: 1, filters: 8", "family: vgg19");
    let found = problems_of(vgg.as_bytes());
    assert!(
        found.iter().all(|problem| problem.message.contains("family `vgg19` has no factor of this name")),
        "{found:?}"
    );
    assert_eq!(found.len(), 3);
}

#[test]
fn paths_of_data_stay_below_the_data_root() {
    let folder = |path: &str| format!("kind: image_folder, path: {path}");
    for wrong in ["/etc", "../x", "a/../b", "\"a\\0b\"", "\"\"", "~/x", "C:/x", "\"a\\\\b\"", "7", "[a]"] {
        let found = with("kind: synthetic_scenes", &folder(wrong));
        assert!(found.contains("dataset.path: expected a path"), "{wrong}: {found}");
    }
    let long = "a".repeat(5000);
    assert!(with("kind: synthetic_scenes", &folder(&long)).contains("at most 1000 characters"));
    assert_eq!(with("kind: synthetic_scenes", &folder("./a//b/")), "");
}

#[test]
fn a_chain_of_poolings_that_leaves_no_pixel_is_refused_where_it_is_asked_for() {
    let found = with("{ conv_layers: [1, 2] }, keep: { conv_layers: 2 } }", "{ conv_layers: [1, 6] } }");
    assert_eq!(found, "");
    let grid = "grid: { conv_layers: [1, 6], max_pool: [false, true] } }";
    let found = with("vary: { filters: [8, 16] } }", grid);
    let expected = "9:26: stages[1].grid: conv_layers=6 max_pool=true: \
                    max-pooling number 6 of 6 has nothing left to halve: a 32×32 image is already 1×1; use fewer \
                    blocks or larger images";
    assert_eq!(found, expected);
    let found = with("image_size: 32", "image_size: 28");
    assert!(found.starts_with("10:10: extra[0]: vgg19: max-pooling number 5 of 5"), "{found}");
}

#[test]
fn a_sweep_above_the_limit_is_refused_from_its_size() {
    let levels = |count: u32| (1..=count).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
    let grid = format!(
        "grid: {{ filters: [{}], dense_units: [{}], conv_layers: [{}] }} }}",
        levels(8000),
        levels(8000),
        levels(64)
    );
    let found = with("vary: { filters: [8, 16] } }", &grid);
    assert!(found.contains("stages: expected at most 1000000 trials, found 4096000003 points × 2 seeds = 8192000006"));
    let text = WELL.replace("vary: { filters: [8, 16] } }", &grid);
    let limits = Limits { trials: u64::MAX };
    assert!(Spec::parse(text.as_bytes(), &[], &limits).is_ok(), "a raised limit lets it through, unexpanded");
}

#[test]
fn keys_that_stand_twice_are_reported_and_the_rest_is_still_read() {
    let found = with("name: small", "name: small\nname: other\nprotocl: 1");
    assert_eq!(
        found,
        "3:1: key \"name\" appears twice in one mapping; remove one\n4:1: protocl: unknown key; did you mean \
         `protocol`?"
    );
}

#[test]
fn anchors_and_aliases_work() {
    let text = WELL
        .replace("vary: { filters: [8, 16] }", "vary: { filters: &widths [8, 16] }")
        .replace("extra:", "  - { name: units, vary: { dense_units: *widths } }\nextra:");
    let spec = Spec::parse(text.as_bytes(), &[], &Limits::default()).unwrap();
    assert_eq!(spec.stages[2].design.axes()[0].levels(), spec.stages[1].design.axes()[0].levels());
}

#[test]
fn hostile_texts_end_in_one_problem_quickly() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        let below = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    let long_text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1_000_000), vec!["*a"; 5000].join(", "));
    let deep = "- ".repeat(100_000);
    let flow = "[".repeat(100_000);
    let mappings = "{a: ".repeat(100);
    let keys: String = (0..60_000).map(|key| format!("k{key}: 1\n")).collect();
    let large = "# a comment\n".repeat(1_000_000);
    for (text, expected) in [
        (bomb.as_str(), "expected at most 100000 values, counting aliases written out"),
        (&long_text, "expected at most 100000 values"),
        (&deep, "nested at most 32 deep"),
        (&flow, "expected YAML"),
        (&mappings, "nested at most 32 deep"),
        (&keys, "expected at most 1024 keys in one mapping"),
        (&large, "expected a spec of at most 1048576 bytes, found 12000000"),
        ("", "expected a spec, found an empty file"),
        ("  \n# nothing\n", "expected a spec, found an empty file"),
        ("a: &a [*a]", "an alias inside the value that it refers to"),
        ("a: *b", "expected YAML"),
        ("a: [1, 2", "expected YAML"),
        ("a: b: c", "expected YAML"),
        ("a: !!python/object 1", "found a tag"),
        ("a: 1\n---\nb: 2", "expected one document"),
        ("? [a]\n: 1", "expected a string as key"),
        ("a: 1\n\0b: 2", "control character"),
        ("just a text", "expected a spec: `version: 1`, `name: ...`, ..., found \"just a text\""),
        ("[]", "expected a spec"),
    ] {
        let found = problems_of(text.as_bytes());
        let shown: String = text.chars().take(40).collect();
        assert_eq!(found.len(), 1, "{shown}: {found:?}");
        assert!(found[0].to_string().contains(expected), "{shown}: {}", found[0]);
        assert!(found[0].line > 0 && found[0].column > 0);
    }
    let latin = problems_of(b"version: 1\nname: caf\xe9\n");
    assert_eq!((latin[0].line, latin[0].column), (2, 10));
    assert!(latin[0].message.contains("UTF-8"));
    assert_eq!(problems_of(&[0xff, 0xfe, b'a', 0]).len(), 1);
}

#[test]
fn a_text_with_a_problem_on_every_line_is_cut() {
    let text: String = (0..1000).map(|key| format!("k{key}: 1\n")).collect();
    let found = problems_of(text.as_bytes());
    assert_eq!(found.len(), 101);
    assert!(found[100].message.ends_with("more problems are not shown"), "{}", found[100]);
}

/// The good spec with pieces cut out, doubled and replaced at random must never end in a panic or an endless loop.
#[test]
fn a_mutilated_spec_is_never_worse_than_wrong() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1u64);
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(3000u64);
    println!("SEED={seed} ROUNDS={rounds}");
    let mut state = seed;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below.max(1)
    };
    let pieces = [
        "[",
        "]",
        "{",
        "}",
        ":",
        ": ",
        "- ",
        ",",
        "&a ",
        "*a",
        "\n",
        "  ",
        "\"",
        "'",
        "|",
        ">",
        "? ",
        "!",
        "%",
        "#",
        "\t",
        "where: ",
        "only_if: ",
        "zip: ",
        "list: ",
        "fraction: ",
        "factorial: ",
        " and ",
        "==",
        "(",
        ")",
    ];
    let more = ["~", ".nan", "1e999", "---", "...", "\u{feff}", "é", "0x", "<<: *a", "\r", "\\", "!!str ", "@", "`"];
    let pieces: Vec<&str> = pieces.into_iter().chain(more).collect();
    let mut good = 0;
    for _ in 0..rounds {
        let mut text: Vec<char> = WELL.chars().collect();
        for _ in 0..=random(8) {
            let at = random(text.len());
            let length = random(12).min(text.len() - at);
            let replacement: Vec<char> = match random(4) {
                0 => Vec::new(),
                1 => text[at..at + length].repeat(2),
                2 => pieces[random(pieces.len())].chars().collect(),
                _ => pieces[random(pieces.len())].repeat(1 + random(40)).chars().collect(),
            };
            text.splice(at..at + length, replacement);
        }
        let text: String = text.into_iter().collect();
        match Spec::parse(text.as_bytes(), &[], &Limits::default()) {
            Ok(_) => good += 1,
            Err(problems) => assert!(!problems.0.is_empty() && !problems.to_string().is_empty()),
        }
    }
    assert!(good < rounds, "the mutations change nothing");
}
