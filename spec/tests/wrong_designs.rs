//! Wrong designs and conditions: common mistakes, each with its position and a hint.

mod wrong;

use wrong::with;

/// The problems of the good spec with another second stage, one a line.
fn stage(text: &str) -> String {
    with("{ name: width, vary: { filters: [8, 16] } }", &format!("{{ name: width, {text} }}"))
}

#[test]
fn designs_that_are_well_are_read() {
    for well in [
        "one_at_a_time: { filters: [8, 16], dropout: [0.2] }",
        "set: { batch_norm: true, max_pool: true }, leave_one_out: { batch_norm: false, max_pool: false }",
        "add_one_in: { batch_norm: true, dropout: 0.2 }, keep: { dropout: 0.2 }",
        "pairwise: { filters: [16, 32], dropout: [0.1, 0.2] }, keep: best",
        "factorial: { filters: [8, 16, 32], batch_norm: [false, true] }",
        "factorial: { filters: [8, 16], batch_norm: [false, true], dropout: [0.0, 0.2] }, fraction: { resolution: 3 }",
        "factorial: { filters: [8, 16], batch_norm: [false, true], dropout: [0.0, 0.2] }, \
         fraction: { generators: [\"dropout = - filters * batch_norm\"] }",
        "list: [ { name: start }, { filters: 16 }, { name: both, filters: 16, dropout: 0.2 } ], keep: { filters: 16 }",
        "grid: { filters: [8, 16], dropout: [0.0, 0.2] }, where: \"filters > 8 or dropout == 0\"",
        "grid: { filters: [8, 16], dropout: [0.0, 0.2] }, where: [ filters > 8, not batch_norm ]",
        "grid: { batch_norm: [false, true], dropout: [0.0, 0.2] }, only_if: { dropout: batch_norm }",
        "grid: { filters: [8, 8, 16], kernel_size: [3, 5, 3], dropout: [0.0, 0.2] }, zip: [[kernel_size, filters]], \
         keep: { filters: 8, kernel_size: 5 }",
    ] {
        assert_eq!(stage(well), "", "{well}");
    }
}

#[test]
fn a_design_that_cannot_be_meant_is_refused() {
    let two = "factorial: { filters: [8, 16], batch_norm: [false, true], dropout: [0.0, 0.2] }";
    let generators = |text: &str| format!("{two}, fraction: {{ generators: [\"{text}\"] }}");
    for (text, expected) in [
        (
            "leave_one_out: { filters: [8] }",
            "leave_one_out.filters: expected a whole number from 1 to 8192, found a list",
        ),
        (
            "leave_one_out: { filters: 8 }",
            "leave_one_out.filters: the start already has this level of `filters`, so nothing is removed; use `set`",
        ),
        ("set: { dropout: 0.2 }, add_one_in: { dropout: 0.2 }", "so nothing is added"),
        ("leave_one_out: {}", "leave_one_out: expected at least one factor, found an empty mapping"),
        ("pairwise: { filter: [8] }", "pairwise.filter: unknown factor; did you mean `filters`?"),
        ("one_at_a_tme: { filters: [8] }", "stages[1].one_at_a_tme: unknown key; did you mean `one_at_a_time`?"),
        ("list: [ { name: a, filters: 8 }, { name: a, filters: 9 } ]", "list[1]: an earlier point has the same name"),
        ("list: [ { filters: 8 }, { name: b, filters: 8 } ]", "list[1]: an earlier point has the same levels"),
        ("list: [ { filters: 0 } ]", "list[0].filters: expected a whole number from 1 to 8192, found 0"),
        ("list: [ { flters: 8 } ]", "list[0].flters: unknown factor; did you mean `filters`?"),
        ("list: { filters: 8 }", "list: expected a list of points: `[{ name: ..., factor: level }]`, found a mapping"),
        ("list: [ 8 ]", "list[0]: expected a point: `{ name: ..., factor: level }`, found 8"),
        (
            "factorial: { filters: [8], dropout: [0.0, 0.2] }",
            "`filters` has one level in this stage, so it has no effect",
        ),
        (
            "set: { filters: 9 }, factorial: { filters: [8, 16], dropout: [0.0, 0.2] }",
            "this stage varies `filters`, so `set` cannot contain it",
        ),
        (
            "grid: { filters: [8, 16] }, fraction: { resolution: 3 }",
            "`fraction` applies to a `factorial` only, found `grid`",
        ),
        (
            "factorial: { filters: [8, 16, 32], dropout: [0.0, 0.2], batch_norm: [false, true] }, fraction: { resolution: 3 }",
            "a fraction needs factors with two levels, but `filters` has 3",
        ),
        (&format!("{two}, fraction: {{ resolution: 6 }}"), "resolution: expected a whole number from 3 to 5, found 6"),
        (
            &format!("{two}, fraction: {{ resolution: 4 }}"),
            "no fraction of 3 factors has resolution 4; remove `fraction`",
        ),
        (&format!("{two}, fraction: {{}}"), "expected either `resolution` or `generators`, found neither"),
        (
            &format!("{two}, fraction: {{ resolution: 3, generators: [x] }}"),
            "expected either `resolution` or `generators`, found both",
        ),
        (&generators("dropout"), "expected a generator such as `dropout = batch_norm * max_pool`, found \"dropout\""),
        (&generators("dropout = filters"), "`filters` and `dropout` would always change together"),
        (
            &generators("dropout = filters * flters"),
            "expected a factor of this stage, found \"flters\"; did you mean `filters`?",
        ),
        (&generators("dropout = filters * dropout"), "\"dropout\" appears twice in"),
        (&generators("dropout = filters * filters"), "\"filters\" appears twice in"),
        (&generators("= filters"), "expected a factor of this stage, found \"\""),
        (
            &format!(
                "{two}, fraction: {{ generators: [\"dropout = filters * batch_norm\", \"filters = dropout * batch_norm\"] }}"
            ),
            "is itself generated, so a product cannot contain it",
        ),
        (
            &format!("{two}, where: filters > 8"),
            "stages[1].where: a `factorial` accepts no conditions: its effects need all its points; use `grid`",
        ),
    ] {
        let found = stage(text);
        // A design that is missing for a misspelt key is the same mistake.
        let lines = found.lines().filter(|line| !line.contains("the stage has no design")).count();
        assert!(found.contains(expected) && lines == 1, "{text}:\n{found}\n{expected}");
    }
    let found = stage(&format!("{two}, fraction: {{ runs: 4 }}"));
    assert!(found.contains("fraction.runs: unknown key; expected one of `resolution`, `generators`"), "{found}");
    let points: String = (1..=201).map(|filters| format!("{{ filters: {filters} }}, ")).collect();
    assert!(stage(&format!("list: [ {points} ]")).contains("list: expected at most 200 points, found 201"));
}

#[test]
fn factors_that_advance_together_must_fit() {
    let grid = "grid: { filters: [8, 16], kernel_size: [3, 5], dropout: [0.0, 0.2, 0.3] }";
    for (zip, expected) in [
        (
            "zip: [[filters, dropout]]",
            "zip[0]: factors that advance together need equally many levels, but `filters` has 2 and `dropout` has 3",
        ),
        ("zip: [[filters, conv_layers]]", "zip[0]: this stage does not vary `conv_layers`"),
        ("zip: [[filters, filter]]", "zip[0][1]: unknown factor; did you mean `filters`?"),
        ("zip: [[filters]]", "zip[0]: expected at least two factors that advance together, found one"),
        ("zip: [filters, kernel_size]", "expected a list of factors that advance together, found \"filters\""),
        (
            "zip: [[filters, kernel_size], [kernel_size, dropout]]",
            "zip[1][0]: `kernel_size` already advances with other factors",
        ),
        (
            "zip: [[filters, kernel_size]], keep: { filters: 8 }",
            "keep: expected a level for each of `filters+kernel_size`, which advance together",
        ),
        (
            "zip: [[filters, kernel_size]], keep: { filters: 8, kernel_size: 5 }",
            "expected levels of one step of `filters+kernel_size`, found levels of different steps",
        ),
    ] {
        let found = stage(&format!("{grid}, {zip}"));
        assert!(found.lines().any(|line| line.contains(expected)), "{zip}:\n{found}\n{expected}");
    }
    let repeated = "grid: { filters: [8, 8], kernel_size: [3, 3] }, zip: [[filters, kernel_size]]";
    assert!(stage(repeated).contains("zip[0]: a step of `filters+kernel_size` appears twice"));
    assert!(
        stage("list: [ { filters: 8 } ], zip: [[filters, kernel_size]]").contains("and `list` names single points")
    );
}

#[test]
fn a_wrong_condition_is_placed_at_its_letter() {
    let grid = "grid: { filters: [8, 16], dropout: [0.0, 0.2] }";
    let place = format!("  - {{ name: width, {grid}, where: ").len();
    for (condition, column, expected) in [
        ("\"flters > 8\"", 2, "stages[1].where: unknown factor \"flters\"; did you mean `filters`?"),
        ("filters > 8 and dropot == 0", 17, "stages[1].where: unknown factor \"dropot\"; did you mean `dropout`?"),
        ("'filters > 8 && dropout > 0'", 14, "found `&&`; write `and`"),
        (
            "[ filters > 8, dropout ]",
            16,
            "stages[1].where[1]: `dropout` is a number from 0 up to but not including 1, so it",
        ),
        ("true", 1, "stages[1].where: expected a condition over factors, found true; write it as a string"),
        ("{ filters: 8 }", 1, "stages[1].where: expected a condition over factors, found a mapping"),
        ("filters > 16", 1, "stages[1].where: no point of this stage meets the condition"),
        (
            "\"filters \\u003e 8 x\"",
            1,
            "expected `and`, `or` or the end of the condition, found \"x\" (at character 13)",
        ),
        (
            "filters < 16, keep: { filters: 16 }",
            21,
            "stages[1].keep: `where` of this stage excludes the levels that it keeps",
        ),
    ] {
        let found = stage(&format!("{grid}, where: {condition}"));
        assert!(found.contains(expected) && found.lines().count() == 1, "{condition}:\n{found}\n{expected}");
        assert!(found.starts_with(&format!("9:{}: ", place + column)), "{condition}:\n{found}");
    }
    for (only_if, expected) in [
        (
            "{ kernel_size: batch_norm }",
            "only_if.kernel_size: this stage does not vary the factor; expected one of `filters`",
        ),
        ("{ dropout: dropout > 0 }", "only_if: the conditions of `dropout` depend on each other in a circle"),
        (
            "{ dropout: filters > 8, filters: dropout > 0 }",
            "the conditions of `filters`, `dropout` depend on each other",
        ),
        ("{ dropot: batch_norm }", "only_if.dropot: unknown factor; did you mean `dropout`?"),
        ("{ dropout: batch_nrm }", "only_if.dropout: unknown factor \"batch_nrm\"; did you mean `batch_norm`?"),
        ("batch_norm", "only_if: expected factors and their conditions: `{ factor: condition }`, found \"batch_norm\""),
    ] {
        let found = stage(&format!("{grid}, only_if: {only_if}"));
        assert!(found.contains(expected) && found.lines().count() == 1, "{only_if}:\n{found}\n{expected}");
    }
    let many = format!("[ {} ]", "filters > 8, ".repeat(51));
    assert!(stage(&format!("{grid}, where: {many}")).contains("where: expected at most 50 conditions, found 51"));
}

#[test]
fn conditions_that_would_take_too_long_are_refused() {
    let levels = |count: u32| (1..=count).map(|level| level.to_string()).collect::<Vec<_>>().join(", ");
    let grid = format!("grid: {{ filters: [{}], dense_units: [{}] }}", levels(2000), levels(2000));
    let found = stage(&format!("{grid}, where: filters < dense_units"));
    assert!(
        found.contains("stages[1].where: the conditions of all stages test more than 1000000 combinations"),
        "{found}"
    );
    let grid = format!("grid: {{ filters: [{}], dense_units: [{}] }}", levels(8000), levels(8000));
    let found = stage(&format!("{grid}, where: filters < 9"));
    assert!(
        found.contains("expected at most 10000000 combinations before the conditions apply, found 64000000"),
        "{found}"
    );
    // What a condition leaves is what counts against the limit.
    let grid = format!("grid: {{ filters: [{}], dense_units: [{}] }}", levels(3000), levels(1000));
    assert_eq!(stage(&format!("{grid}, where: filters <= 400")), "");
    let found = stage(&format!("{grid}, where: filters <= 600"));
    assert!(found.contains("expected at most 1000000 trials, found 600003 points"), "{found}");
}

#[test]
fn a_pooling_that_a_condition_excludes_is_no_problem() {
    let grid = "grid: { conv_layers: [1, 6], max_pool: [false, true] }";
    assert!(stage(grid).contains("conv_layers=6 max_pool=true: max-pooling number 6 of 6"));
    assert_eq!(stage(&format!("{grid}, where: conv_layers < 6 or not max_pool")), "");
    assert_eq!(stage(&format!("{grid}, only_if: {{ max_pool: conv_layers < 6 }}")), "");
    let zipped = "grid: { conv_layers: [1, 6], max_pool: [true, false] }, zip: [[conv_layers, max_pool]]";
    assert_eq!(stage(zipped), "");
}
