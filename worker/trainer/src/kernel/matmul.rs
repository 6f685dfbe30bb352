//! The product of two matrices in slices: the only call of the matrix library.

use gemm::Parallelism;

/// A matrix in a slice, row by row, or column by column if it is `transposed`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) transposed: bool,
}

impl<'a> Matrix<'a> {
    pub(super) fn new(values: &'a [f32], rows: usize, columns: usize) -> Self {
        Self { values, rows, columns, transposed: false }
    }

    /// Swaps rows and columns without moving values.
    pub(super) fn transpose(self) -> Self {
        Self { rows: self.columns, columns: self.rows, transposed: !self.transposed, ..self }
    }

    /// Distances of neighbours along a column and along a row.
    fn strides(self) -> (isize, isize) {
        if self.transposed { (1, self.rows as isize) } else { (self.columns as isize, 1) }
    }
}

/// Sets `out` to `left × right`, or adds it if `add` is set; row by row.
#[expect(unsafe_code, reason = "the matrix library takes pointers")]
pub(super) fn product(out: &mut [f32], left: Matrix<'_>, right: Matrix<'_>, add: bool) {
    let (rows, columns, inner) = (left.rows, right.columns, left.columns);
    assert_eq!(inner, right.rows, "the matrices do not fit together");
    assert!(out.len() == rows * columns, "the product does not fit in its place");
    assert!(left.values.len() == rows * inner && right.values.len() == inner * columns, "a matrix is not whole");
    if out.is_empty() {
        return;
    }
    let ((left_row, left_column), (right_row, right_column)) = (left.strides(), right.strides());
    // SAFETY: the assertions above check that the three slices are as long as sizes and strides require; `out` is
    // borrowed mutably, so it does not overlap the others.
    unsafe {
        gemm::gemm(
            rows,
            columns,
            inner,
            out.as_mut_ptr(),
            1,
            columns as isize,
            add,
            left.values.as_ptr(),
            left_column,
            left_row,
            right.values.as_ptr(),
            right_column,
            right_row,
            1.0_f32,
            1.0_f32,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_by_hand() {
        let left = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let right = [1.0, 0.0, -1.0, 2.0, 1.0, 1.0];
        let (left, right) = (Matrix::new(&left, 2, 3), Matrix::new(&right, 3, 2));
        let mut out = [10.0; 4];
        product(&mut out, left, right, false);
        assert_eq!(out, [2.0, 7.0, 5.0, 16.0]);
        product(&mut out, left, right, true);
        assert_eq!(out, [4.0, 14.0, 10.0, 32.0]);
        product(&mut out, right.transpose(), left.transpose(), false);
        assert_eq!(out, [2.0, 5.0, 7.0, 16.0]);
    }
}
