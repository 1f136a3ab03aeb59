//! Tests of reading and writing `.npy` files.

use glassbox_formats::arrays::{ArrayError, parse_npy, read_npy, write_npy};
use ndarray::{Array2, Array3, ShapeBuilder, array};
use ndarray_npy::WriteNpyExt;
use proptest::prelude::*;

/// An `.npy` file of version 1 with this header.
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{header}\n");
    [b"\x93NUMPY\x01\x00", (header.len() as u16).to_le_bytes().as_slice(), header.as_bytes(), data].concat()
}

fn refusal(header: &str, data: &[u8]) -> String {
    parse_npy(&npy(header, data), "x.npy").unwrap_err().to_string()
}

#[test]
fn both_orders_both_widths_and_two_axes_are_read() {
    let values = |shape: (usize, usize, usize)| {
        Array3::from_shape_fn(shape, |(n, s, c)| (100 * n + 10 * s + c) as f64)
    };
    let expected = values((2, 3, 2));
    let mut fortran = Array3::zeros((2, 3, 2).f());
    fortran.assign(&expected);
    for array in [&expected, &fortran] {
        let (mut single, mut double) = (vec![], vec![]);
        array.mapv(|v| v as f32).write_npy(&mut single).unwrap();
        array.write_npy(&mut double).unwrap();
        assert_eq!(String::from_utf8_lossy(&double).contains("True"), !array.is_standard_layout());
        for bytes in [single, double] {
            let read = parse_npy(&bytes, "x").unwrap();
            assert!(read.is_standard_layout());
            assert_eq!(read.mapv(f64::from), expected.clone().into_dyn());
        }
    }
    let mut bytes = vec![];
    array![[1f32, 2.0, 3.0], [4.0, 5.0, 6.0]].write_npy(&mut bytes).unwrap();
    let read = parse_npy(&bytes, "x").unwrap();
    assert_eq!((read.shape(), read[[1, 2]]), (&[2, 3][..], 6.0));
    let big = npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1, 1)}", &1.5f32.to_be_bytes());
    assert_eq!(parse_npy(&big, "x").unwrap()[[0, 0]], 1.5);
}

#[test]
fn what_is_no_array_of_samples_is_refused_by_name() {
    let shape = |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    for (error, expected) in [
        (refusal(&shape("(2,)"), &[0; 8]), "x.npy has shape [2], expected three axes (n, steps, channels)"),
        (refusal(&shape("(1, 1, 1, 1)"), &[0; 4]), "has shape [1, 1, 1, 1]"),
        (refusal(&shape("(0, 3, 1)"), &[]), "holds no values"),
        (refusal(&shape("(2, 1)"), &[0; 7]), "does not have 7 bytes"),
        (refusal(&shape("(4611686018427387904, 4611686018427387904)"), &[0; 8]), "does not have 8 bytes"),
        (refusal(&shape("(99999999999999999999999, 1)"), &[]), "not a valid .npy file"),
        (
            refusal("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]),
            "holds elements of type '<i8'",
        ),
        (
            refusal("{'descr': [('a', '<f4', (2,))], 'fortran_order': False, 'shape': (1, 1)}", &[0; 8]),
            "elements of type [",
        ),
        (refusal("(1, 2)", &[]), "not a valid .npy file"),
        (refusal(&"[".repeat(9000), &[]), "too many brackets"),
        (refusal(&" ".repeat(20_000), &[]), "longer than 10000"),
        (
            parse_npy(b"PK\x03\x04 an archive", "x.npy").unwrap_err().to_string(),
            "does not start with the bytes of an .npy file",
        ),
        (parse_npy(b"\x93NUMPY\x07\x00......", "x.npy").unwrap_err().to_string(), "has version 7"),
        (parse_npy(b"\x93NUMPY\x02\x00\xff\xff\xff\xff", "x.npy").unwrap_err().to_string(), "longer than"),
    ] {
        assert!(error.contains(expected) && error.contains("x.npy"), "{expected}\n{error}");
    }
}

#[test]
fn values_that_are_not_finite_are_refused_with_their_index() {
    let mut array = Array3::<f32>::zeros((2, 3, 2).f());
    array[[1, 2, 0]] = f32::NAN;
    let mut bytes = vec![];
    array.write_npy(&mut bytes).unwrap();
    let error = parse_npy(&bytes, "x").unwrap_err().to_string();
    assert!(error.contains("the value at [1, 2, 0] is NaN"), "{error}");
    let mut bytes = vec![];
    array![[0.0, -1e39]].write_npy(&mut bytes).unwrap();
    assert!(matches!(parse_npy(&bytes, "x"), Err(ArrayError::NotFinite { index, .. }) if index == [0, 1]));
}

#[test]
fn what_is_written_is_read_whatever_its_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sub/y.npy");
    let array = Array3::from_shape_fn((2, 3, 4), |(n, s, c)| (n * 100 + s * 10 + c) as f32);
    write_npy(&path, array.view()).unwrap();
    assert_eq!(read_npy(&path).unwrap(), array.clone().into_dyn());
    let turned = array.view().reversed_axes();
    write_npy(&path, turned).unwrap();
    assert_eq!(read_npy(&path).unwrap(), turned.into_dyn());
    assert!(!String::from_utf8_lossy(&std::fs::read(&path).unwrap()).contains("True"));
    assert!(matches!(read_npy(folder.path()), Err(ArrayError::Unreadable { .. })));
}

proptest! {
    #[test]
    fn a_round_trip_is_exact(n in 1usize..4, steps in 1usize..5, seed in any::<u32>()) {
        let value = |i: usize| f32::from_bits(seed.wrapping_mul(2_654_435_761).wrapping_add(i as u32 * 97));
        let array = Array2::from_shape_fn((n, steps), |(i, j)| Some(value(i * 31 + j)).filter(|v| v.is_finite()).unwrap_or(-0.0));
        let array = array.insert_axis(ndarray::Axis(2));
        let mut bytes = vec![];
        array.write_npy(&mut bytes).unwrap();
        let read = parse_npy(&bytes, "x").unwrap();
        prop_assert_eq!(read.mapv(f32::to_bits), array.mapv(f32::to_bits).into_dyn());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(parse_npy(&bytes, "x").is_err());
    }

    #[test]
    fn an_arbitrary_header_does_no_harm(header in ".{0,200}", data in prop::collection::vec(any::<u8>(), 0..40)) {
        prop_assert!(parse_npy(&npy(&header, &data), "x").is_err());
    }

    #[test]
    fn truncations_and_flipped_bits_do_no_harm(end in any::<prop::sample::Index>(), flip in any::<prop::sample::Index>()) {
        let mut bytes = vec![];
        Array3::<f32>::ones((2, 2, 1)).write_npy(&mut bytes).unwrap();
        prop_assert!(parse_npy(&bytes[..end.index(bytes.len())], "x").is_err());
        let bit = flip.index(8 * bytes.len());
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(array) = parse_npy(&bytes, "x") {
            prop_assert!(array.iter().all(|value| value.is_finite()));
        }
    }
}
