//! The labelled files of the benchmark.

use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use glassbox_engine::text::excerpt;
use glassbox_pipeline::series::{Columns, Series, read_csv};
use indexmap::IndexMap;
use jiff::civil::DateTime;

use super::{NabError, Window};
use crate::Result;

/// A data file and its anomaly windows.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledFile {
    /// The path below the data folder, with `/`: `realTweets/Twitter_volume_UPS.csv`.
    pub path: String,
    /// The series.
    pub series: Series,
    /// The windows, in the order of their rows, disjoint, of at least two rows.
    pub windows: Vec<Window>,
}

impl LabelledFile {
    /// The folder of the file, which NAB calls its category.
    #[must_use]
    pub fn group(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// The file name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit_once('/').map_or(&self.path, |(_, name)| name)
    }
}

/// The windows of the labels' file as text, by the path of their file.
type Labels = IndexMap<String, Vec<[String; 2]>>;

/// The place of the labels in a checkout of NAB with this data folder.
#[must_use]
pub fn labels_beside(data: &Path) -> PathBuf {
    // The folder's parent, also where its path ends in `..` or is a link's.
    let data = data.canonicalize().unwrap_or_else(|_| data.to_owned());
    data.parent().unwrap_or(&data).join("labels").join("combined_windows.json")
}

/// Reads every file that the `labels` name from the folder `data`, in the order of their paths.
///
/// # Errors
/// If a file is missing or no valid series, or a window does not begin and end on a row of its file, overlaps the one
/// before it, or has one row only, for which NAB's score is undefined.
pub fn load(data: &Path, labels: &Path) -> Result<Vec<LabelledFile>> {
    let text = std::fs::read_to_string(labels)
        .map_err(|cause| NabError::NoLabels { file: labels.to_owned(), cause })?;
    let bad = |problem: String| NabError::BadLabels { file: labels.to_owned(), problem };
    let mut parsed: Labels = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    parsed.sort_unstable_keys();
    if parsed.is_empty() {
        return Err(bad("it names no file".into()).into());
    }
    let file = |(path, windows): (String, Vec<[String; 2]>)| {
        // The paths become those of results, which are written.
        let parts = || path.split('/');
        let nameless = |part| matches!(part, "" | "." | "..");
        if parts().count() > 2 || parts().any(nameless) || path.contains(char::is_control) {
            return Err(bad(format!("{} is no path GROUP/FILE", excerpt(&path))).into());
        }
        let series =
            read_csv(&data.join(&path), &Columns::default()).map_err(glassbox_pipeline::Error::from)?;
        let windows = rows(series.series.timestamps(), &windows).map_err(|(index, problem)| {
            NabError::BadWindow { labels: labels.to_owned(), data: path.clone(), number: index + 1, problem }
        })?;
        Ok(LabelledFile { path, series: series.series, windows })
    };
    parsed.into_iter().map(file).collect()
}

/// The rows of windows: those of the first row with the timestamp of each end.
fn rows(timestamps: &[DateTime], windows: &[[String; 2]]) -> Result<Vec<Window>, (usize, String)> {
    let mut found: Vec<Window> = vec![];
    for (index, window) in windows.iter().enumerate() {
        let refused = |problem: String| Err((index, problem));
        let row = |edge: &String| match DateTime::from_str(edge) {
            Err(_) => Err((index, format!("has the edge {}, which is no timestamp", excerpt(edge)))),
            Ok(at) => timestamps.iter().position(|time| *time == at).ok_or_else(|| {
                (index, format!("has the edge {}, a timestamp that no row has", excerpt(edge)))
            }),
        };
        let (first, last) = (row(&window[0])?, row(&window[1])?);
        match found.last() {
            _ if last <= first => {
                return refused(format!(
                    "begins with row {first} and ends with row {last}; expected at least two rows"
                ));
            }
            Some(before) if first <= before.last => {
                return refused(
                    "does not begin after the window before it; sort and merge the windows".into(),
                );
            }
            _ => found.push(Window { first, last }),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "timestamp,value\n2014-01-01 00:00:00,1\n2014-01-01 01:00:00,2\n2014-01-01 01:00:00,3\n\
                       2014-01-01 02:00:00,4\n2014-01-01 03:00:00,5\n";

    fn corpus(labels: &str) -> Result<Vec<LabelledFile>> {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("a")).unwrap();
        std::fs::create_dir(folder.path().join("labels")).unwrap();
        std::fs::write(data.join("a/x.csv"), CSV).unwrap();
        let file = labels_beside(&data);
        std::fs::write(&file, labels).unwrap();
        load(&data, &file)
    }

    #[test]
    fn an_edge_is_the_first_row_with_its_timestamp() {
        let files = corpus(
            r#"{"a/x.csv": [["2014-01-01 00:00:00.000000", "2014-01-01 01:00:00.000000"],
                            ["2014-01-01 02:00:00", "2014-01-01T03:00:00"]]}"#,
        );
        let file = &files.unwrap()[0];
        assert_eq!(file.windows, [Window { first: 0, last: 1 }, Window { first: 3, last: 4 }]);
        assert_eq!((file.group(), file.name()), ("a", "x.csv"));
    }

    #[test]
    fn labels_that_do_not_fit_are_refused_by_name() {
        let window = |edges: &str| format!(r#"{{"a/x.csv": [{edges}]}}"#);
        for (labels, said) in [
            ("{}".into(), "names no file"),
            ("[]".into(), "expected a JSON object of files"),
            (r#"{"a/y.csv": []}"#.into(), "y.csv"),
            (r#"{"../x.csv": []}"#.into(), "is no path GROUP/FILE"),
            (window(r#"["2014-01-01 00:00:00"]"#), "expected a JSON object of files"),
            (window(r#"["2014-01-01 00:30:00", "2014-01-01 01:00:00"]"#), "window 1 of a/x.csv has the edge"),
            (window(r#"["noon", "2014-01-01 01:00:00"]"#), "is no timestamp"),
            (window(r#"["2014-01-01 01:00:00", "2014-01-01 01:00:00"]"#), "at least two rows"),
            (
                window(
                    r#"["2014-01-01 00:00:00", "2014-01-01 02:00:00"], ["2014-01-01 02:00:00", "2014-01-01 03:00:00"]"#,
                ),
                "window 2 of a/x.csv does not begin after",
            ),
        ] {
            let error = corpus(&labels).unwrap_err().to_string();
            assert!(error.contains(said), "{labels}: {error}");
        }
    }
}
