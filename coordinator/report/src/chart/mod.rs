//! Charts as SVG that stands in the page: its text uses the page's font, its colours follow the page's theme. Plotters
//! draws axes, lines and areas; marks that a reader can ask about (with a `title`) are put over them.

pub(crate) mod curves;
mod cut;
pub(crate) mod forest;
pub(crate) mod frame;
pub(crate) mod overlay;
pub(crate) mod parallel;
pub(crate) mod pareto;
pub(crate) mod scale;
