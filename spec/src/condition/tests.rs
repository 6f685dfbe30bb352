//! Conditions: their values, how they are printed, and the problems of wrong ones.

use super::*;
use crate::levels::Family;

fn read(text: &str) -> Condition {
    match parse(text, Family::Cnn) {
        Ok(condition) => condition,
        Err(wrong) => panic!("{text}: {wrong:?}"),
    }
}

fn start() -> Configuration {
    let mut configuration = Family::Cnn.defaults();
    for (factor, level) in [
        (Factor::ConvLayers, Level::Int(4)),
        (Factor::Filters, Level::Int(16)),
        (Factor::MaxPool, Level::Bool(true)),
        (Factor::Dropout, Level::Fraction(0.2)),
    ] {
        configuration.set(factor, level).unwrap();
    }
    configuration
}

#[test]
fn a_condition_holds_as_it_reads() {
    for (text, expected) in [
        ("conv_layers == 4", true),
        ("conv_layers != 4", false),
        ("4 == conv_layers", true),
        ("conv_layers < 4", false),
        ("conv_layers <= 4 and filters >= 16", true),
        ("conv_layers>4 or filters>8", true),
        ("filters > conv_layers", true),
        ("max_pool", true),
        ("not max_pool", false),
        ("not not max_pool", true),
        ("max_pool == true", true),
        ("max_pool == batch_norm", false),
        ("max_pool != batch_norm", true),
        ("dropout in [0.0, 0.2]", true),
        ("dropout in [0, 0.5]", false),
        ("dropout not in [0, 0.5]", true),
        ("batch_norm in [true]", false),
        // `and` binds before `or`, and parentheses before both.
        ("max_pool or batch_norm and batch_norm", true),
        ("(max_pool or batch_norm) and batch_norm", false),
        ("not (conv_layers == 4 and filters == 16)", false),
        ("not batch_norm and max_pool", true),
        ("dropout >= 2e-1", true),
        ("dropout > -1", true),
    ] {
        assert_eq!(read(text).holds(&start()), expected, "{text}");
    }
    let other = Family::Vgg19.defaults();
    assert!(!read("filters > 0").holds(&other), "what a family does not have, nothing holds of");
}

#[test]
fn a_condition_is_printed_in_a_form_that_reads_as_the_same() {
    for (text, printed) in [
        ("max_pool==true", "max_pool"),
        ("(((filters   > 8)))", "filters > 8"),
        ("filters > 8 or max_pool and dropout<0.5", "filters > 8 or (max_pool and dropout < 0.5)"),
        ("dropout not in [0, .5]", "not dropout in [0, 0.5]"),
        ("not not max_pool", "not not max_pool"),
        ("not (max_pool and filters > 8)", "not (max_pool and filters > 8)"),
    ] {
        assert_eq!(read(text).to_string(), printed);
        assert_eq!(read(printed), read(text));
    }
}

#[test]
fn a_problem_has_the_index_of_its_character() {
    for (text, at, expected) in [
        ("", 0, "expected a factor or a value, found the end"),
        ("conv_layer > 1", 0, "unknown factor \"conv_layer\""),
        ("filters > 8 and flters < 9", 16, "unknown factor \"flters\""),
        ("filters > 8 max_pool", 12, "expected `and`, `or` or the end of the condition, found \"max_pool\""),
        ("1 < filters < 9", 12, "expected `and`, `or` or the end of the condition, found `<`"),
        ("filters", 0, "`filters` is a whole number from 1 to 8192, so it needs a comparison"),
        ("true", 0, "expected a condition over factors, found true"),
        ("1 == 1", 0, "expected a factor on one side of `==`, found two values"),
        ("max_pool == 1", 12, "`max_pool` is true or false, and `1` is a number"),
        ("max_pool < batch_norm", 0, "a factor that is true or false has no order, so `<` does not apply"),
        ("kernel_size == 4", 15, "`kernel_size` is an odd whole number from 1 to 31, so it can never be 4"),
        ("dropout in [0.2, 1.5]", 17, "`dropout` is a number from 0 up to but not including 1, so it can never be 1.5"),
        ("(filters > 8", 12, "expected `)`, `and` or `or`, found the end"),
        ("filters > 8)", 11, "expected `and`, `or` or the end of the condition, found `)`"),
        ("filters in 8", 11, "expected a list such as `[1, 2]`, found 8"),
        ("filters in [8", 13, "expected `,` or `]`, found the end"),
        ("filters in []", 12, "expected a value, found `]`"),
        ("filters in [conv_layers]", 12, "expected a value, found the factor `conv_layers`"),
        ("8 in [8]", 0, "expected a factor before `in`, found 8"),
        ("filters = 8", 8, "expected factors, values and comparisons, found `=`"),
        ("filters > 8 && max_pool", 12, "expected factors, values and comparisons, found `&&`"),
        ("filters > 8 and", 15, "expected a factor or a value, found the end"),
        ("filters > 1x", 10, "expected a number, found \"1x\""),
        ("filters > 1e999", 10, "expected a number, found \"1e999\""),
        ("filters > @", 10, "expected factors, values and comparisons, found \"@\""),
        ("batch_norm == yes", 14, "unknown factor \"yes\""),
    ] {
        let wrong = parse(text, Family::Cnn).unwrap_err();
        assert_eq!((wrong.at, wrong.message.as_str()), (at, expected), "{text}");
    }
    let hint = |text: &str| parse(text, Family::Cnn).unwrap_err().hint.unwrap_or_default();
    assert_eq!(hint("conv_layer > 1"), "did you mean `conv_layers`?");
    assert_eq!(hint("filters > 8 && max_pool"), "write `and`");
    assert_eq!(hint("batch_norm == yes"), "write `true`");
    let vgg = parse("filters > 8", Family::Vgg19).unwrap_err();
    assert_eq!(vgg.message, "unknown factor `filters`: family `vgg19` has no factor of this name");
}

#[test]
fn length_and_depth_are_bounded() {
    let deep = |depth: usize| format!("{}max_pool{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&deep(32), Family::Cnn).is_ok());
    assert!(parse(&deep(33), Family::Cnn).unwrap_err().message.contains("at most 32 deep"));
    assert!(parse(&"not ".repeat(200), Family::Cnn).unwrap_err().message.contains("at most 32 deep"));
    let long = vec!["max_pool"; 200].join(" or ");
    assert!(parse(&long, Family::Cnn).unwrap_err().message.contains("at most 1000 characters"));
    assert!(parse(&"(".repeat(100_000), Family::Cnn).is_err());
}

/// Random texts of the language's words never cause a panic, and a parsed condition is printed in a form that parses to
/// the same condition.
#[test]
fn no_text_is_worse_than_wrong() {
    let words = [
        "filters", "max_pool", "dropout", "and", "or", "not", "in", "(", ")", "[", "]", ",", "==", "!=", "<", "<=",
        ">", "8", "0.2", "true", "false", "-1", "é", ".", "=", " ", "1e9",
    ];
    let mut state = 1u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut good = 0;
    for _ in 0..30_000 {
        let text: Vec<&str> = (0..1 + random(6)).map(|_| words[random(words.len())]).collect();
        if let Ok(condition) = parse(&text.join(" "), Family::Cnn) {
            good += 1;
            assert_eq!(read(&condition.to_string()), condition, "{text:?}");
        }
    }
    assert!(good > 100, "{good}");
}
