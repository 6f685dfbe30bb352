//! Charts as inline SVG: their text uses the page's font, their colours follow the page's theme. Plotters draws axes,
//! lines and areas; marks with a tooltip (`title`) are put over them.

pub(crate) mod curves;
mod cut;
pub(crate) mod forest;
pub(crate) mod frame;
pub(crate) mod overlay;
pub(crate) mod parallel;
pub(crate) mod pareto;
pub(crate) mod scale;
