//! Writes the example's reports to the folder in `SWEEP_REPORTS`, for a person to look at.

use sweep_report::Format;

use crate::example::Example;

#[test]
fn reports_are_written_where_somebody_asks_for_them() {
    let Some(folder) = std::env::var_os("SWEEP_REPORTS") else { return };
    let folder = std::path::PathBuf::from(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let reference = Example::reference();
    for format in Format::ALL {
        let ending = match format {
            Format::Markdown => "md",
            Format::Latex => "tex",
            format => format.name(),
        };
        std::fs::write(folder.join(format!("reference.{ending}")), reference.render(format)).unwrap();
    }
}
