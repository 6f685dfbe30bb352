use super::*;

fn layers() -> Layers {
    let earlier = &[("colour", "color")];
    Layers::new(Keys { prefix: "PAINT_", names: vec!["color", "size", "names"], earlier })
}

fn written(text: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn strings(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn layers_apply_in_order_and_keep_the_name_in_the_source() {
    let mut layers = layers();
    layers.yaml("color: red\nnames: [a]\n", "default");
    let file = written(b"sizes: 2\ncolour: green\n");
    layers.file(file.path());
    layers.environment(strings(&[("PAINT_SIZE", "3"), ("SIZE", "4")]));
    layers.flag("color", "black");
    let path = file.path().display().to_string();
    let entries = layers.into_entries();
    let problems: Vec<String> =
        entries.iter().filter_map(|entry| entry.as_ref().err()).map(Problem::to_string).collect();
    assert_eq!(problems, [format!("{path}: unknown key `sizes`; the keys are color, size, names")]);
    let settings: Vec<&Setting> = entries.iter().filter_map(|entry| entry.as_ref().ok()).collect();
    let sources: Vec<_> = settings.iter().map(|setting| (setting.key, setting.source.as_str())).collect();
    assert_eq!(
        sources,
        [
            ("color", "default"),
            ("names", "default"),
            ("color", path.as_str()),
            ("size", "PAINT_SIZE"),
            ("color", "--color")
        ]
    );
    assert_eq!(settings[2].problem("too bright").to_string(), format!("{path}: `colour`: too bright"));
    assert!(matches!(settings[1].input(), Input::Yaml(Value::Sequence(_))));
    assert_eq!(settings[3].input(), Input::Text("3"));
}

#[test]
fn unknown_variables_are_ignored_and_can_be_listed() {
    let mut layers = layers();
    layers.environment(strings(&[("PAINT_PORT_80_TCP", "tcp://10.0.0.1:80"), ("PAINT_COLOUR", "red")]));
    let keys = layers.keys.clone();
    assert!(keys.is_unknown_variable("PAINT_PORT_80_TCP"));
    assert!(!keys.is_unknown_variable("PAINT_COLOUR") && !keys.is_unknown_variable("PATH"));
    let entries = layers.into_entries();
    assert!(entries.len() == 1 && entries[0].is_ok(), "{entries:?}");
}

fn only_problem(layers: Layers) -> String {
    let entries = layers.into_entries();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].as_ref().unwrap_err().to_string()
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let long = vec![b'#'; MAX_FILE_BYTES as usize + 1];
    let cases: [(&[u8], &str); 6] = [
        (b"- a\n", "expected keys and values"),
        (b"color: [", "at line"),
        (b"color: 1\ncolor: 2\n", "duplicate"),
        (b"1: red\n", "a key is not a text"),
        (b"\xff\xfe", "is not UTF-8"),
        (&long, "larger than 1048576 bytes"),
    ];
    for (text, expected) in cases {
        let file = written(text);
        let mut layers = layers();
        layers.file(file.path());
        let text = only_problem(layers);
        let start = format!("{}: ", file.path().display());
        assert!(text.starts_with(&start) && text.contains(expected), "{expected}: {text}");
    }
    let mut layers = layers();
    layers.file(Path::new("/no/such/file"));
    layers.yaml("# nothing\n", "empty");
    let text = only_problem(layers);
    assert!(text.starts_with("/no/such/file: cannot be read: "), "{text}");
}

#[test]
fn problems_are_lines() {
    let problems = Problems(vec![Problem::new("file", "wrong"), Problem::of_several("`a` needs `b`")]);
    assert_eq!(problems.to_string(), "file: wrong\n`a` needs `b`");
}
