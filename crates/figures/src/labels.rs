//! Places labels beside points so that they cover neither each other nor the points.
//!
//! The algorithm is greedy: each label in turn takes the first free place, from places beside its point to rings
//! farther out, from where a line leads back to the point. That suffices for some thirty points.

/// A rectangle of a picture, in pixels; y grows downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rectangle {
    pub(super) left: i32,
    pub(super) top: i32,
    pub(super) right: i32,
    pub(super) bottom: i32,
}

impl Rectangle {
    /// A square around a point.
    pub(super) fn around((x, y): (i32, i32), radius: i32) -> Self {
        Self { left: x - radius, top: y - radius, right: x + radius, bottom: y + radius }
    }

    fn overlap(&self, other: &Self) -> i64 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        if width > 0 && height > 0 { i64::from(width) * i64::from(height) } else { 0 }
    }

    fn holds(&self, other: &Self) -> bool {
        self.left <= other.left
            && self.top <= other.top
            && self.right >= other.right
            && self.bottom >= other.bottom
    }
}

/// A point and the size of its label.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labelled {
    pub(super) at: (i32, i32),
    pub(super) radius: i32,
    /// Width and height of the label.
    pub(super) size: (i32, i32),
}

/// The places of the labels: all within `frame` and, if possible, clear of `taken`, of all points and of each other.
pub(super) fn place(points: &[Labelled], taken: &[Rectangle], frame: Rectangle) -> Vec<Rectangle> {
    let mut taken = taken.to_vec();
    taken.extend(points.iter().map(|point| Rectangle::around(point.at, point.radius)));
    let mut places = vec![];
    for point in points {
        let covered = |place: &Rectangle| taken.iter().map(|other| place.overlap(other)).sum::<i64>();
        let candidates: Vec<Rectangle> = candidates(point).filter(|place| frame.holds(place)).collect();
        // `min_by_key` takes the first of the least.
        let best = candidates.into_iter().min_by_key(covered);
        let place = best.unwrap_or_else(|| Rectangle::around(point.at, point.radius));
        taken.push(place);
        places.push(place);
    }
    places
}

/// The places of a label, the best first.
fn candidates(point: &Labelled) -> impl Iterator<Item = Rectangle> + use<'_> {
    let ((x, y), (width, height)) = (point.at, point.size);
    let at = move |left: i32, top: i32| Rectangle { left, top, right: left + width, bottom: top + height };
    (0..14).flat_map(move |ring| {
        let away = point.radius + 3 + 9 * ring;
        // Vertical offsets of the label's middle, from beside the point to above it.
        let beside = [0, -away / 2, away / 2, -away, away];
        let right = beside.map(|dy| at(x + away, y + dy - height / 2));
        let left = beside.map(|dy| at(x - away - width, y + dy - height / 2));
        let above = [-width / 2, -width / 5, -4 * width / 5].map(|dx| at(x + dx, y - away - height));
        let below = [-width / 2, -width / 5, -4 * width / 5].map(|dx| at(x + dx, y + away));
        right.into_iter().chain(left).chain(above).chain(below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_a_crowd_cover_nothing() {
        let frame = Rectangle { left: 0, top: 0, right: 900, bottom: 600 };
        // Five by five points, closer to each other than a label is long.
        let points: Vec<Labelled> = (0..25)
            .map(|i| Labelled { at: (300 + i % 5 * 40, 200 + i / 5 * 40), radius: 5, size: (90, 14) })
            .collect();
        let banner = Rectangle { left: 0, top: 150, right: 900, bottom: 170 };
        let places = place(&points, &[banner], frame);
        for (i, place) in places.iter().enumerate() {
            assert!(frame.holds(place), "{place:?}");
            assert_eq!(place.overlap(&banner), 0, "{place:?}");
            for other in &places[..i] {
                assert_eq!(place.overlap(other), 0, "{place:?} {other:?}");
            }
            for point in &points {
                assert_eq!(place.overlap(&Rectangle::around(point.at, point.radius)), 0);
            }
        }
    }

    #[test]
    fn a_point_in_a_corner_keeps_its_label_within_the_frame() {
        let frame = Rectangle { left: 0, top: 0, right: 200, bottom: 100 };
        let point = Labelled { at: (198, 2), radius: 4, size: (80, 14) };
        assert!(frame.holds(&place(&[point], &[], frame)[0]));
    }
}
