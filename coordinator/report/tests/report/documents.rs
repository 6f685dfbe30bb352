//! LaTeX that compiles, Markdown with complete tables, CSV and Parquet that read back.

use std::path::Path;
use std::process::Command;

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use sweep_report::Format;
use sweep_report::rows::COLUMNS;
use sweep_require::Part;

use crate::example::Example;
use crate::odd;

/// Compiles `text`. Without pdflatex, prints that the test could not run.
fn compile(text: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("report.tex"), text).expect("a file");
    let run = |folder: &Path| {
        let mut command = Command::new("pdflatex");
        command.args(["-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "report.tex"]);
        command.current_dir(folder).output()
    };
    let Ok(first) = run(folder.path()) else {
        sweep_require::skip(Part::Latex, "there is no pdflatex on this machine; ci/install installs it");
        return None;
    };
    let log = String::from_utf8_lossy(&first.stdout).into_owned();
    assert!(first.status.success(), "{log}");
    // The second pass knows the widths of the tables.
    let log =
        run(folder.path()).map(|second| String::from_utf8_lossy(&second.stdout).into_owned()).expect("it ran before");
    assert!(std::fs::metadata(folder.path().join("report.pdf")).is_ok_and(|pdf| pdf.len() > 10_000), "{log}");
    Some(log)
}

#[test]
fn latex_compiles_by_itself_and_no_line_is_too_long() {
    let Some(log) = compile(&Example::reference().text(Format::Latex)) else { return };
    assert!(!log.contains("Overfull"), "{log}");
}

#[test]
fn latex_compiles_whatever_the_names_are() {
    for example in [odd::hostile(), odd::empty(), odd::one(), odd::without_numbers()] {
        if compile(&example.text(Format::Latex)).is_none() {
            return;
        }
    }
}

#[test]
fn every_row_of_a_markdown_table_has_as_many_cells_as_its_head() {
    for example in [Example::reference(), odd::hostile()] {
        let text = example.text(Format::Markdown);
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let mut columns = None;
        for line in text.lines() {
            match (line.starts_with('|'), columns) {
                (true, None) => columns = Some(cells(line)),
                (true, Some(count)) => assert_eq!(cells(line), count, "{line}"),
                (false, _) => columns = None,
            }
        }
    }
}

#[test]
fn the_documentation_has_every_column() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/report.md")).expect("the page");
    let rows = page.lines().skip_while(|line| *line != "| column | meaning |").skip(2);
    let documented: Vec<String> = rows.map(str::to_owned).collect();
    let columns = COLUMNS.iter().map(|column| format!("| `{}` | {} |", column.name, column.meaning));
    assert_eq!(documented, columns.collect::<Vec<_>>());
}

#[test]
fn csv_reads_back_with_a_row_for_every_comparison_and_every_start() {
    let example = Example::reference();
    let bytes = example.render(Format::Csv);
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let names: Vec<String> = reader.headers().expect("a head").iter().map(str::to_owned).collect();
    assert!(names.iter().map(String::as_str).eq(COLUMNS.iter().map(|column| column.name)));
    let at = |name: &str| names.iter().position(|column| column == name).expect("a column");
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().expect("rows");
    let compared = rows.iter().filter(|row| !row[at("reference")].is_empty()).count();
    assert_eq!(compared, example.analysis.comparisons.len());
    assert_eq!(rows.len() - compared, 1, "the baseline is compared with nothing");
    let row = rows.iter().find(|row| &row[at("configuration")] == "conv_layers=2").expect("a row");
    let comparison = example.analysis.comparisons.first().expect("a comparison");
    assert_eq!(row[at("delta")].parse::<f64>().ok(), comparison.delta, "to the last bit");
    assert_eq!(
        [&row[at("params")], &row[at("stage")], &row[at("verdict")], &row[at("n")]],
        ["182088", "depth", "helps", "10"]
    );
}

#[test]
fn parquet_reads_back_as_the_csv_says() {
    for example in [Example::reference(), odd::hostile(), odd::without_numbers(), odd::empty()] {
        let csv = example.render(Format::Csv);
        let mut csv = csv::Reader::from_reader(csv.as_slice());
        let reader = SerializedFileReader::new(bytes::Bytes::from(example.render(Format::Parquet))).expect("a file");
        assert_eq!(reader.metadata().file_metadata().schema().get_fields().len(), COLUMNS.len());
        let mut records = csv.records();
        for row in reader.get_row_iter(None).expect("rows") {
            let (row, record) = (row.expect("a row"), records.next().expect("a record").expect("a record"));
            for ((name, field), text) in row.get_column_iter().zip(record.iter()) {
                let told = match field {
                    Field::Null => String::new(),
                    Field::Str(text) => text.clone(),
                    Field::Long(number) => number.to_string(),
                    Field::Double(number) => number.to_string(),
                    Field::Bool(flag) => flag.to_string(),
                    other => panic!("{name}: {other}"),
                };
                let escaped: String = told
                    .chars()
                    .flat_map(|one| if one.is_control() { one.escape_default().collect() } else { vec![one] })
                    .collect();
                assert_eq!(text.trim_start_matches('\''), escaped, "{name}");
            }
        }
        assert!(records.next().is_none());
    }
}
