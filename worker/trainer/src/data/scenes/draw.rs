//! Draws the scenes of each class, back to front: sky, objects, ground.

use super::canvas::{Canvas, Colour, mix};
use crate::random::Stream;

/// Draws a scene of the class with this number.
pub(super) fn scene(canvas: &mut Canvas, class: usize, stream: &mut Stream) {
    match class {
        0 => coast(canvas, stream),
        1 => forest(canvas, stream),
        2 => highway(canvas, stream),
        3 => inside_city(canvas, stream),
        4 => mountain(canvas, stream),
        5 => open_country(canvas, stream),
        6 => street(canvas, stream),
        _ => tall_building(canvas, stream),
    }
}

fn coast(canvas: &mut Canvas, stream: &mut Stream) {
    let horizon = sky(canvas, stream, (0.3, 0.6));
    let sea = near([0.15, 0.35, 0.55], stream);
    let (waves, slant) = (stream.between(12.0, 30.0), stream.between(-2.0, 2.0));
    canvas.paint(|x, y| {
        let wave = ((y * waves + x * slant) * std::f64::consts::TAU).sin() * 0.12 * (y - horizon);
        (y > horizon).then(|| sea.map(|value| value + wave))
    });
    let sand = near([0.75, 0.68, 0.50], stream);
    let (edge, slope) = (stream.between(0.75, 1.05), stream.between(-0.3, 0.3));
    canvas.paint(|x, y| (y > edge + slope * (x - 0.5)).then_some(sand));
}

fn forest(canvas: &mut Canvas, stream: &mut Stream) {
    let (dark, light) = (near([0.10, 0.22, 0.08], stream), near([0.30, 0.48, 0.18], stream));
    patches(canvas, stream, (dark, light), 0.0, 10);
    let bark = near([0.25, 0.18, 0.12], stream);
    for _ in 0..4 + stream.below(6) {
        let (place, width, lean) = (stream.unit(), stream.between(0.02, 0.07), stream.between(-0.1, 0.1));
        let top = stream.between(0.0, 0.3);
        canvas.paint(|x, y| (y > top && (x - place - lean * (y - 0.5)).abs() < width / 2.0).then_some(bark));
    }
}

fn highway(canvas: &mut Canvas, stream: &mut Stream) {
    let horizon = sky(canvas, stream, (0.3, 0.55));
    let (dry, green) = (near([0.45, 0.42, 0.25], stream), near([0.28, 0.40, 0.20], stream));
    patches(canvas, stream, (dry, green), horizon, 5);
    road(canvas, stream, horizon, (0.5, 0.9));
}

fn inside_city(canvas: &mut Canvas, stream: &mut Stream) {
    let wall = near([0.55, 0.48, 0.42], stream);
    canvas.paint(|_, _| Some(wall));
    let mut left = 0.0;
    while left < 1.0 {
        let right = left + stream.between(0.2, 0.5);
        let top = stream.between(-0.1, 0.15);
        facade(canvas, stream, (left, right), (top, 0.85));
        left = right;
    }
    let pavement = near([0.40, 0.40, 0.42], stream);
    canvas.paint(|_, y| (y > 0.85).then_some(pavement));
}

fn mountain(canvas: &mut Canvas, stream: &mut Stream) {
    let horizon = sky(canvas, stream, (0.65, 0.9));
    for layer in 0..2 + stream.below(2) {
        let rock = mix(near([0.45, 0.45, 0.52], stream), [0.2, 0.25, 0.2], f64::from(layer) * 0.3);
        let snow = near([0.85, 0.87, 0.90], stream);
        let (peak, height) = (stream.unit(), stream.between(0.3, 0.6) - 0.1 * f64::from(layer));
        let (steep, jag) = (stream.between(0.7, 1.6), stream.between(20.0, 45.0));
        canvas.paint(|x, y| {
            let ridge = horizon - height + (x - peak).abs() * steep + (x * jag).sin() * 0.02;
            let colour = if y < ridge + 0.1 && layer == 0 { snow } else { rock };
            (y > ridge).then_some(colour)
        });
    }
    let meadow = near([0.25, 0.35, 0.18], stream);
    canvas.paint(|_, y| (y > horizon).then_some(meadow));
}

fn open_country(canvas: &mut Canvas, stream: &mut Stream) {
    let horizon = sky(canvas, stream, (0.35, 0.65));
    let (green, yellow) = (near([0.30, 0.45, 0.18], stream), near([0.60, 0.55, 0.28], stream));
    patches(canvas, stream, (green, yellow), horizon, 4);
    let bush = near([0.15, 0.28, 0.12], stream);
    for _ in 0..stream.below(5) {
        let (across, down, radius) = (stream.unit(), stream.between(horizon, 0.9), stream.between(0.02, 0.07));
        canvas.paint(|x, y| ((x - across).powi(2) + (y - down).powi(2) * 3.0 < radius * radius).then_some(bush));
    }
}

fn street(canvas: &mut Canvas, stream: &mut Stream) {
    let horizon = sky(canvas, stream, (0.4, 0.6));
    let pavement = near([0.50, 0.48, 0.46], stream);
    canvas.paint(|_, y| (y > horizon).then_some(pavement));
    let vanishing = stream.between(0.4, 0.6);
    for side in [-1.0, 1.0] {
        let wall = near([0.50, 0.42, 0.36], stream);
        let (rise, floors) = (stream.between(0.8, 1.6), stream.between(6.0, 12.0));
        let open = stream.between(0.05, 0.15);
        canvas.paint(|x, y| {
            let far = (x - vanishing) * side - open;
            let inside = far > 0.0 && y < horizon + far * 0.6 && y > horizon - far * rise - 0.08;
            let window = ((y - horizon) / (far + 0.1) * floors).sin() > 0.3 && (far * 40.0).sin() > 0.0;
            inside.then(|| if window { wall.map(|value| value * 0.5) } else { wall })
        });
    }
    road(canvas, stream, horizon, (0.3, 0.6));
}

fn tall_building(canvas: &mut Canvas, stream: &mut Stream) {
    sky(canvas, stream, (1.0, 1.1));
    for _ in 0..1 + stream.below(3) {
        let (middle, half) = (stream.between(0.2, 0.8), stream.between(0.08, 0.18));
        let top = stream.between(0.05, 0.35);
        facade(canvas, stream, (middle - half, middle + half), (top, 1.0));
    }
}

/// Draws a sky over the whole image; returns the horizon, drawn from `range`.
fn sky(canvas: &mut Canvas, stream: &mut Stream, range: (f64, f64)) -> f64 {
    let (high, low) = (near([0.40, 0.58, 0.85], stream), near([0.75, 0.80, 0.88], stream));
    canvas.paint(|_, y| Some(mix(high, low, y.min(1.0))));
    let cloud = near([0.88, 0.88, 0.90], stream);
    for _ in 0..stream.below(4) {
        let (across, down, radius) = (stream.unit(), stream.between(0.0, 0.4), stream.between(0.03, 0.12));
        canvas.paint(|x, y| ((x - across).powi(2) + (y - down).powi(2) * 4.0 < radius * radius).then_some(cloud));
    }
    stream.between(range.0, range.1)
}

/// Draws a road from the lower edge to a vanishing point on the horizon, `width` wide at the edge, with a dashed line.
fn road(canvas: &mut Canvas, stream: &mut Stream, horizon: f64, width: (f64, f64)) {
    let asphalt = near([0.32, 0.32, 0.34], stream);
    let line = near([0.90, 0.88, 0.75], stream);
    let (vanishing, foot) = (stream.between(0.35, 0.65), stream.between(0.35, 0.65));
    let (width, dashes) = (stream.between(width.0, width.1), stream.between(4.0, 9.0));
    canvas.paint(|x, y| {
        let near = (y - horizon) / (1.0 - horizon);
        let across = (x - vanishing - (foot - vanishing) * near).abs();
        let dash = across < 0.025 * near && (dashes / (near + 0.2)).sin() > -0.2;
        (near > 0.0 && across < width / 2.0 * near).then_some(if dash { line } else { asphalt })
    });
}

/// Draws a front with rows of windows, between `sides` and from top to bottom `reach`.
fn facade(canvas: &mut Canvas, stream: &mut Stream, sides: (f64, f64), reach: (f64, f64)) {
    let wall = near([0.55, 0.48, 0.42], stream);
    let window = near([0.25, 0.30, 0.38], stream);
    let (columns, rows) = (stream.between(9.0, 18.0), stream.between(9.0, 18.0));
    canvas.paint(|x, y| {
        let inside = x > sides.0 && x < sides.1 && y > reach.0 && y < reach.1;
        let open = ((x - sides.0) * columns).fract() > 0.45 && ((y - reach.0) * rows).fract() > 0.45;
        inside.then_some(if open { window } else { wall })
    });
}

/// Draws ground below `top`, of two colours in soft patches.
fn patches(canvas: &mut Canvas, stream: &mut Stream, colours: (Colour, Colour), top: f64, detail: u32) {
    let waves: [[f64; 3]; 4] = std::array::from_fn(|_| {
        let scale = f64::from(detail) * 2.0;
        [stream.between(-scale, scale), stream.between(1.0, 2.0 * scale), stream.between(0.0, 6.3)]
    });
    canvas.paint(|x, y| {
        let level: f64 = waves.iter().map(|[across, down, phase]| (x * across + y * down + phase).sin()).sum();
        (y > top).then(|| mix(colours.0, colours.1, (level / 4.0 + 0.5).clamp(0.0, 1.0)))
    });
}

/// A random colour similar to `colour`.
fn near(colour: Colour, stream: &mut Stream) -> Colour {
    colour.map(|value| value + stream.between(-0.15, 0.15))
}
