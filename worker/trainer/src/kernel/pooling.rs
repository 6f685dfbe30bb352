//! 2×2 max-pooling with stride 2, forward and backward, over planes of `height` × `width`; incomplete squares at the
//! lower and right border are left out.

/// The largest value of each square, and its index among the four (the first on a tie, row by row). NaN counts as
/// largest.
pub(super) fn forward(values: &[f32], height: usize, width: usize) -> (Vec<f32>, Vec<u8>) {
    let (rows, columns) = (height / 2, width / 2);
    let planes = values.len() / (height * width).max(1);
    let mut out = Vec::with_capacity(planes * rows * columns);
    let mut chosen = Vec::with_capacity(planes * rows * columns);
    for plane in values.chunks_exact(height * width) {
        for pair in plane.chunks_exact(2 * width) {
            let (upper, lower) = pair.split_at(width);
            for (upper, lower) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                let (mut largest, mut place) = (upper[0], 0);
                for (at, value) in [(1, upper[1]), (2, lower[0]), (3, lower[1])] {
                    if value > largest || (value.is_nan() && !largest.is_nan()) {
                        (largest, place) = (value, at);
                    }
                }
                out.push(largest);
                chosen.push(place);
            }
        }
    }
    (out, chosen)
}

/// Each gradient goes to the chosen value.
pub(super) fn backward(gradient: &[f32], chosen: &[u8], height: usize, width: usize) -> Vec<f32> {
    let (rows, columns) = (height / 2, width / 2);
    let planes = gradient.len() / (rows * columns).max(1);
    let mut out = vec![0.0; planes * height * width];
    let lines = gradient.chunks_exact(columns).zip(chosen.chunks_exact(columns));
    for (line, (gradient, chosen)) in lines.enumerate() {
        let start = line / rows * height * width + line % rows * 2 * width;
        for (column, (gradient, chosen)) in gradient.iter().zip(chosen).enumerate() {
            let place = usize::from(*chosen);
            out[start + place / 2 * width + 2 * column + place % 2] = *gradient;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_four_and_back() {
        let values = [1.0, 5.0, 2.0, 2.0, 9.0, 3.0, 0.0, 2.0, 1.0, 9.0, 7.0, 7.0, 7.0, 7.0, 9.0];
        let (out, chosen) = forward(&values, 3, 5);
        assert_eq!((out, chosen.clone()), (vec![5.0, 2.0], vec![1, 0]));
        let back = backward(&[0.5, 0.25], &chosen, 3, 5);
        assert_eq!(back, [0.0, 0.5, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert!(forward(&[1.0, f32::NAN, 3.0, 4.0], 2, 2).0[0].is_nan());
        let two = [1.0, 2.0, 3.0, 4.0, 8.0, 7.0, 6.0, 5.0];
        let (out, chosen) = forward(&two, 2, 2);
        assert_eq!((out, chosen.as_slice()), (vec![4.0, 8.0], [3, 0].as_slice()));
        assert_eq!(backward(&[1.0, 2.0], &chosen, 2, 2), [0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0]);
    }
}
