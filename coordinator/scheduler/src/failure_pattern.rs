//! Recognises that two failures are the same. Their reasons are compared without numbers, hashes, addresses and lists
//! of these, which differ from trial to trial.

/// Characters of a reason that are compared. Later ones are more often the end of a log than a cause.
const COMPARED: usize = 300;
/// A word of at least this many hexadecimal digits is a hash, even without a decimal digit.
const HASH: usize = 8;

/// A reason without the parts that differ from trial to trial.
pub(crate) fn pattern(reason: &str) -> String {
    let mut pattern = String::new();
    let mut word = String::new();
    for character in reason.chars().take(COMPARED).chain([' ']) {
        if character.is_alphanumeric() || character == '_' {
            word.push(character);
            continue;
        }
        end_word(&mut word, &mut pattern);
        pattern.push(character);
    }
    pattern.truncate(pattern.trim_end().len());
    pattern
}

/// Appends a word to the pattern, or one mark for a number and all numbers directly before it.
fn end_word(word: &mut String, pattern: &mut String) {
    if word.is_empty() {
        return;
    }
    let is_number = word.chars().any(|character| character.is_numeric());
    let is_hash = word.chars().count() >= HASH && word.chars().all(|character| character.is_ascii_hexdigit());
    if is_number || is_hash {
        drop_sign(pattern);
        let between = |character: char| !character.is_alphanumeric() && character != '#' && character != '_';
        let before = pattern.trim_end_matches(between).len();
        // Brackets and words end a list; separators of numbers do not.
        let separators = &pattern[before..];
        if pattern[..before].ends_with('#') && !separators.contains(['(', ')', '[', ']', '{', '}', ';', ':', '"', '`'])
        {
            pattern.truncate(before);
        } else {
            pattern.push('#');
        }
    } else {
        pattern.push_str(word);
    }
    word.clear();
}

/// A sign directly before a number belongs to it; a hyphen inside a name does not.
fn drop_sign(pattern: &mut String) {
    let of_a_name = |character: char| character.is_alphanumeric() || character == '#' || character == '_';
    if pattern.strip_suffix(['-', '+']).is_some_and(|before| !before.ends_with(of_a_name)) {
        pattern.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::pattern;

    fn alike(one: &str, other: &str) {
        assert_eq!(pattern(one), pattern(other), "{one} and {other}");
    }

    #[test]
    fn numbers_hashes_and_addresses_do_not_make_a_difference() {
        alike("epoch 3 after epoch 1", "epoch 12 after epoch 7");
        alike("loss 1.5e-07 of layer conv_3", "loss -0.25 of layer conv_11");
        alike("no shape [3, 64, 64] here", "no shape [3, 128] here");
        alike("data 9f86d081 missing", "data deadbeef missing");
        alike("fault at 0x7ffd2c, thread 1", "fault at 0x55aa, thread 27");
        alike("/tmp/run-81/out: no space left", "/tmp/run-9/out: no space left");
        alike("1,024 bytes wanted", "16 bytes wanted");
        alike("+3 and -4", "5 and 6");
    }

    #[test]
    fn words_do() {
        assert_ne!(pattern("no module named torch"), pattern("no module named numpy"));
        assert_ne!(pattern("epoch 1 of 3"), pattern("epoch 1"));
        assert_ne!(pattern("cannot read a.png"), pattern("cannot write a.png"));
        assert_ne!(pattern(""), pattern("a"));
    }

    #[test]
    fn no_text_is_too_odd_and_only_its_beginning_counts() {
        for odd in ["", " ", "#", "##1#", "٣ – ٤", "\u{0}1\u{0}2", "1(2)3", "____", "é1é"] {
            assert_eq!(pattern(odd), pattern(odd));
        }
        let long = |tail: &str| format!("{}{tail}", "word ".repeat(100));
        alike(&long("one end"), &long("another"));
    }
}
