//! The page in a real browser: it makes no request, nothing overflows, and its one script works.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sweep_report::Format;
use sweep_require::Part;

use crate::example::Example;
use crate::example::browser::{self, Seen};

/// Measures the page and sends the result to the page around it.
const PROBE: &str = r#"<script>
addEventListener("load", () => {
    const root = document.documentElement;
    const wide = [...document.querySelectorAll("body *")].filter(element => {
        if (element.parentElement.closest(".scroll, pre, .unseen, svg")) return false;
        return element.getBoundingClientRect().right > innerWidth + 1;
    });
    const shown = () => [...document.querySelectorAll("details.matrix")].filter(one => !one.hidden && one.open);
    const names = () => shown().map(one => one.dataset.name);
    const before = names(), select = document.querySelector("label.choice select");
    if (select) {
        select.value = String(select.options.length - 1);
        select.dispatchEvent(new Event("change"));
    }
    const requests = performance.getEntriesByType("resource").map(one => one.name);
    parent.postMessage({
        width: innerWidth, overflow: root.scrollWidth - root.clientWidth,
        wide: wide.slice(0, 5).map(one => one.outerHTML.slice(0, 160)),
        chart: getComputedStyle(document.querySelector("svg.chart text")).fontFamily,
        table: getComputedStyle(document.querySelector("table")).fontFamily,
        broken: [...document.images].filter(one => !one.complete || one.naturalWidth === 0).length,
        requests: requests.filter(name => !name.startsWith("data:")),
        before, after: names(), matrices: document.querySelectorAll("details.matrix:not([hidden])").length, choices: select ? select.options.length : 0,
        paper: getComputedStyle(document.body).backgroundColor,
    }, "*");
});
</script>"#;

/// A frame with the width of a phone: a browser window cannot be as narrow.
fn around(width: u32) -> String {
    format!(
        r#"<!DOCTYPE html><title>around</title><body style="margin:0"><iframe src="report.html" width="{width}"
        height="900" style="border:0"></iframe><script>addEventListener("message", event => {{
        document.body.dataset.probe = JSON.stringify(event.data); }});</script>"#
    )
}

/// The measurements of the probe, and everything that the browser reported.
fn look(browser: &Path, page: &str, width: u32, flags: &[&str]) -> (Value, Seen) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("report.html"), page.replace("</body>", &format!("{PROBE}</body>")))
        .expect("a page");
    let file = folder.path().join("around.html");
    std::fs::write(&file, around(width)).expect("a page around it");
    let seen = browser::open(browser, &file, (width + 100, 1000), flags);
    let attribute = seen.dom.split_once("data-probe=\"").and_then(|(_, rest)| rest.split_once('"'));
    let (found, _) = attribute.unwrap_or_else(|| panic!("the probe said nothing: {}\n{}", seen.dom, seen.log));
    let found = found.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    (serde_json::from_str(&found).expect("JSON"), seen)
}

/// A browser; without one, prints that there is none.
fn chromium() -> Option<PathBuf> {
    let found = browser::find();
    if found.is_none() {
        sweep_require::skip(Part::Chromium, "there is no chromium on this machine; ci/install installs one");
    }
    found
}

#[test]
fn the_page_asks_nobody_and_nothing_sticks_out_on_a_phone_or_a_desk() {
    let Some(browser) = chromium() else { return };
    let page = Example::reference().text(Format::Html);
    for width in [390, 1200] {
        let (found, seen) = look(&browser, &page, width, &[]);
        assert_eq!(found["width"], width, "{found}");
        assert_eq!([&found["overflow"], &found["broken"]], [&json!(0), &json!(0)], "{found}");
        assert_eq!([&found["wide"], &found["requests"]], [&json!([]), &json!([])], "{found}");
        assert_eq!(found["chart"], found["table"], "text of charts is set in the page's font");
        assert_eq!(seen.complaints(), [""; 0]);
    }
}

#[test]
fn a_request_or_an_error_would_have_been_seen() {
    let Some(browser) = chromium() else { return };
    let page = Example::reference().text(Format::Html);
    for mistake in [
        r#"<img src="https://example.org/x.png">"#,
        r#"<link rel="stylesheet" href="https://example.org/x.css">"#,
        "<script>nothing.is.here</script>",
    ] {
        let (_, seen) = look(&browser, &page.replace("<main>", &format!("{mistake}<main>")), 1200, &[]);
        assert!(!seen.complaints().is_empty(), "{mistake}");
    }
    let wide = page.replace("<main>", r#"<main><p style="width:500px">wide</p>"#);
    let (found, _) = look(&browser, &wide, 390, &[]);
    assert_ne!(found["wide"], json!([]));
}

#[test]
fn any_matrix_can_be_chosen_and_without_the_script_each_can_be_opened() {
    let Some(browser) = chromium() else { return };
    let example = Example::reference();
    let page = example.text(Format::Html);
    let (found, _) = look(&browser, &page, 1200, &[]);
    let order: Vec<&str> = page.split("data-name=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(order.len(), example.study.subjects.len());
    assert_eq!(found["choices"], order.len());
    assert_eq!(found["before"], json!([order.first().expect("one")]));
    assert_eq!(found["after"], json!([order.last().expect("one")]));

    let start = page.find("<script>").expect("a script");
    let end = page.find("</script>").expect("its end");
    let (found, _) = look(&browser, &format!("{}{}", &page[..start], &page[end..]), 1200, &[]);
    assert_eq!([&found["choices"], &found["matrices"]], [&json!(0), &json!(order.len())]);
    assert_eq!(found["before"], json!([order.first().expect("one")]));
}

#[test]
fn the_page_is_dark_where_dark_is_preferred() {
    let Some(browser) = chromium() else { return };
    let page = Example::reference().text(Format::Html);
    let (light, _) = look(&browser, &page, 1200, &["--blink-settings=preferredColorScheme=1"]);
    let (dark, _) = look(&browser, &page, 1200, &["--blink-settings=preferredColorScheme=0"]);
    assert_eq!([&light["paper"], &dark["paper"]], ["rgb(253, 253, 251)", "rgb(21, 24, 27)"]);
}
