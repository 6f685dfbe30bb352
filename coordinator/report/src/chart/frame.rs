//! Axes, lines and areas by Plotters, in the form of the page. Values beyond the vertical axis are drawn at its end,
//! with a sign that shows how far they go: no value is cut without a sign.

use std::cell::RefCell;
use std::ops::Range;

use maud::{Markup, PreEscaped, html};
use plotters::prelude::{
    ChartBuilder, Color, IntoDrawingArea, IntoFont, LabelAreaPosition, PathElement, Polygon, RGBColor, SVGBackend,
    ShapeStyle,
};

use super::cut::Cuts;
use crate::Error;

/// Plotters uses integer coordinates, so it draws on a canvas with this many units per pixel.
const UNITS: i32 = 10;

/// The colours of charts: those of the light theme, which the page's style replaces in the dark one.
pub(crate) const INK: RGBColor = RGBColor(0x3D, 0x44, 0x4D);
pub(crate) const GRID: RGBColor = RGBColor(0xE1, 0xE4, 0xE8);
pub(crate) const TRAIN: RGBColor = RGBColor(0xB3, 0x5C, 0x00);
pub(crate) const VALIDATION: RGBColor = RGBColor(0x0B, 0x5C, 0xAD);
pub(crate) const BASELINE: RGBColor = RGBColor(0x8B, 0x94, 0x9E);

/// A chart without its data. Sizes are pixels of the page at its natural size.
pub(crate) struct Frame<'a> {
    /// The description for readers who cannot see the chart.
    pub(crate) title: &'a str,
    /// The name of the chart in error messages.
    pub(crate) what: &'static str,
    pub(crate) width: i32,
    pub(crate) height: i32,
    pub(crate) x: Range<f64>,
    pub(crate) y: Range<f64>,
    pub(crate) x_label: &'a str,
    /// Formats the numbers of the axis; without it, the axis has no ticks.
    pub(crate) x_text: Option<&'a dyn Fn(f64) -> String>,
    pub(crate) y_text: &'a dyn Fn(f64) -> String,
}

/// A shape in the coordinates of the axes.
pub(crate) enum Shape {
    Line { points: Vec<(f64, f64)>, color: RGBColor, width: f64 },
    Area { points: Vec<(f64, f64)>, color: RGBColor },
}

/// Maps a point from the coordinates of the axes to pixels of the page.
pub(crate) type Place<'a> = &'a dyn Fn(f64, f64) -> (f64, f64);

impl Frame<'_> {
    /// Draws the frame with `shapes`, and puts the result of `over` on top.
    ///
    /// # Errors
    /// Plotters failed.
    pub(crate) fn draw(&self, shapes: &[Shape], over: impl FnOnce(Place<'_>) -> Markup) -> Result<Markup, Error> {
        let failed = |reason: String| Error::Chart { what: self.what, reason };
        let mut svg = String::new();
        let overlay = self.plot(&mut svg, shapes, over).map_err(failed)?;
        let body = svg.find('>').and_then(|end| svg.get(end + 1..)).and_then(|rest| rest.strip_suffix("</svg>\n"));
        let body = body.ok_or_else(|| failed("it is not an SVG document".to_owned()))?;
        let (width, height) = (self.width * UNITS, self.height * UNITS);
        Ok(html! {
            svg class="chart" role="img" viewBox={ "0 0 " (width) " " (height) } xmlns="http://www.w3.org/2000/svg" {
                title { (self.title) }
                (PreEscaped(body))
                g transform={ "scale(" (UNITS) ")" } { (overlay) }
            }
        })
    }

    fn plot(
        &self,
        svg: &mut String,
        shapes: &[Shape],
        over: impl FnOnce(Place<'_>) -> Markup,
    ) -> Result<Markup, String> {
        let size = ((self.width * UNITS) as u32, (self.height * UNITS) as u32);
        let root = SVGBackend::with_string(svg, size).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin_top(8 * UNITS)
            .margin_right(12 * UNITS)
            .margin_left(2 * UNITS)
            .x_label_area_size(34 * UNITS)
            .y_label_area_size(44 * UNITS)
            .build_cartesian_2d(self.x.clone(), self.y.clone())
            .map_err(|error| error.to_string())?;
        // Plotters divides the size of a font by 1.24.
        let font = ("sans-serif", f64::from(11 * UNITS) * 1.24).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(GRID.mix(0.0))
            .bold_line_style(GRID.stroke_width(UNITS as u32))
            .axis_style(INK.stroke_width(UNITS as u32))
            .set_tick_mark_size(LabelAreaPosition::Left, 4 * UNITS)
            .set_tick_mark_size(LabelAreaPosition::Bottom, if self.x_text.is_some() { 4 * UNITS } else { 0 })
            .x_labels(if self.x_text.is_some() { 6 } else { 0 })
            .y_labels(5)
            .x_label_formatter(&|value| self.x_text.map_or_else(String::new, |text| text(*value)))
            .y_label_formatter(&|value| (self.y_text)(*value))
            .x_desc(self.x_label)
            .label_style(font.clone())
            .axis_desc_style(font)
            .draw()
            .map_err(|error| error.to_string())?;
        let cuts = RefCell::new(Cuts::of(&self.y));
        for shape in shapes {
            let drawn = match shape {
                Shape::Line { points, color, width } => {
                    let style = ShapeStyle::from(color).stroke_width((width * f64::from(UNITS)) as u32);
                    chart.draw_series([PathElement::new(cuts.borrow_mut().inside(points), style)]).map(|_| ())
                }
                Shape::Area { points, color } => {
                    let points = cuts.borrow_mut().inside(points);
                    chart.draw_series([Polygon::new(points, color.mix(0.18))]).map(|_| ())
                }
            };
            drawn.map_err(|error| error.to_string())?;
        }
        let at = |x: f64, y: f64| {
            let (x, y) = chart.backend_coord(&(x, y));
            (f64::from(x) / f64::from(UNITS), f64::from(y) / f64::from(UNITS))
        };
        let place = |x: f64, y: f64| at(x, cuts.borrow_mut().held(x, y));
        let overlay = over(&place);
        let signs = cuts.borrow().signs(&at);
        root.present().map_err(|error| error.to_string())?;
        Ok(html! { (overlay) (signs) })
    }
}
