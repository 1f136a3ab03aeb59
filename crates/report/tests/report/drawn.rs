//! The plots, the page and the files: they have the numbers of the run.

use std::collections::BTreeSet;

use glassbox_figures::Figure;
use glassbox_formats::output_folder::{MANIFEST, OutputFolder};
use glassbox_lab::study::{self, Study};
use glassbox_pipeline::results;
use glassbox_pipeline::tutorial::TutorialRun;
use glassbox_report::{PAGE, Results, figures, files};
use serde_json::Value as Json;

use crate::kit::{
    content, data_of, numbers, recurrent, result, results_of_the_run, study_of, tutorial, write,
    write_results,
};

fn named<'a>(figures: &'a [Figure], id: &str) -> &'a Figure {
    figures.iter().find(|figure| figure.id == id).unwrap_or_else(|| panic!("no plot {id}"))
}

/// The values of a curve; all are there.
fn values(figure: &Figure, curve: usize) -> Vec<f64> {
    figure.curves[curve].y.iter().map(|y| y.expect("a value")).collect()
}

/// The places at which a curve has values.
fn places(figure: &Figure, curve: usize) -> Vec<usize> {
    let there = |(index, y): (usize, &Option<f64>)| y.is_some().then_some(index);
    figure.curves[curve].y.iter().enumerate().filter_map(there).collect()
}

#[test]
fn plots_show_the_numbers_of_the_results() {
    let folder = results_of_the_run();
    let result = result(folder.path());
    let figures = figures(&Results::read(folder.path()).unwrap());

    let losses = named(&figures, "losses");
    assert_eq!(losses.x, [1.0, 2.0, 3.0]);
    assert_eq!(values(losses, 0), numbers(&result, "/training/history/loss"));
    assert_eq!(values(losses, 1), numbers(&result, "/training/history/val_loss"));

    for part in ["train", "test"] {
        let histogram = named(&figures, &format!("{part}-mae"));
        let edges = numbers(&result, &format!("/errors/{part}/histogram/edges"));
        assert_eq!(histogram.x, edges[..50]);
        assert_eq!(histogram.x_end, Some(edges[50]));
        assert_eq!(values(histogram, 0), numbers(&result, &format!("/errors/{part}/histogram/counts")));
        assert_eq!(Some(histogram.rules[0].at), result["threshold"].as_f64());
        let series = named(&figures, &format!("series-{part}"));
        assert_eq!(
            Some(series.x.len() as u64),
            result.pointer(&format!("/data/{part}/rows")).unwrap().as_u64()
        );
    }

    let anomalies = named(&figures, "anomalies");
    let found = numbers(&result, "/anomalies/points/indices");
    assert!(!found.is_empty(), "a run without anomalies shows nothing here");
    assert_eq!(places(anomalies, 1).iter().map(|row| *row as f64).collect::<Vec<_>>(), found);
    for row in places(anomalies, 1) {
        assert_eq!(anomalies.curves[1].y[row], anomalies.curves[0].y[row]);
    }
    // The true interval, by the clock of the series.
    assert_eq!(anomalies.spans.len(), 1);
    let row = |at: f64| anomalies.x.iter().position(|x| *x == at).unwrap();
    assert_eq!((row(anomalies.spans[0].from), row(anomalies.spans[0].to)), (9 * 12, 18 * 12));

    let errors = named(&figures, "window-errors");
    let indices: Vec<f64> = places(errors, 1).iter().map(|window| *window as f64).collect();
    assert_eq!(indices, numbers(&result, "/anomalies/windows/indices"));
    assert_eq!(values(errors, 0), tutorial().detection.errors);

    let first = named(&figures, "first-window");
    let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>();
    // Each f32 is read back from its shortest decimal as an f64: equal once it is an f32 again.
    let narrow = |values: &[f64]| values.iter().map(|value| *value as f32).collect::<Vec<_>>();
    assert_eq!(narrow(&values(first, 0)), tutorial().first_window);
    assert_eq!(narrow(&values(first, 1)), tutorial().first_reconstruction);

    let inside = tutorial().inside.as_ref().unwrap();
    assert_eq!(values(named(&figures, "row-error"), 0), wide(&inside.rows.error));
    for (id, norms) in [
        ("norms-weights", &inside.norms.weights),
        ("norms-gradients", &inside.norms.gradients),
        ("norms-updates", &inside.norms.updates),
    ] {
        let figure = named(&figures, id);
        assert_eq!(figure.curves.len(), 5, "five layers have weights");
        for (layer, curve) in figure.curves.iter().enumerate() {
            // Kernel and bias of each layer.
            let norm =
                |row: &Vec<f32>| f64::from(row[2 * layer]).powi(2) + f64::from(row[2 * layer + 1]).powi(2);
            let expected: Vec<f64> = norms.iter().map(|row| norm(row).sqrt()).collect();
            assert_eq!(curve.y.iter().map(|y| y.unwrap()).collect::<Vec<_>>(), expected, "{}", curve.name);
        }
    }
}

#[test]
fn the_page_carries_its_plots_and_files_and_nothing_from_elsewhere() {
    let folder = results_of_the_run();
    let page = write(folder.path()).unwrap();
    assert!(page.len() < 5_000_000);

    let figures = figures(&Results::read(folder.path()).unwrap());
    let data = data_of(&page);
    assert_eq!(
        data["figures"],
        serde_json::to_value(&figures).unwrap(),
        "the script draws what the pictures show"
    );
    for figure in &figures {
        assert!(figure.alt.len() > 40, "{}: {:?}", figure.id, figure.alt);
        let svg = std::fs::read_to_string(folder.path().join(format!("plots/{}.svg", figure.id))).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("</svg>"), "{}", figure.id);
        let png = std::fs::read(folder.path().join(format!("plots/{}.png", figure.id))).unwrap();
        assert!(png.starts_with(b"\x89PNG"), "{}", figure.id);
        assert!(page.contains(&format!("id=\"plot-{}\"", figure.id)), "{} is not in the page", figure.id);
    }
    // All that is written was announced, so that what is in its way can be found before the run.
    let mut wrote = content(folder.path());
    results::FILES.iter().chain(&[MANIFEST]).for_each(|name| drop(wrote.remove(*name)));
    assert_eq!(wrote.len(), 2 * figures.len() + 1);
    assert_eq!(wrote.into_keys().collect::<BTreeSet<_>>(), BTreeSet::from_iter(files()));

    // Links lead elsewhere when followed; nothing is loaded.
    for loads in
        ["src=\"http", "src=\"//", "url(http", "@import", "<link rel=\"stylesheet", "srcset", "<iframe"]
    {
        assert!(!page.contains(loads), "{loads}");
    }
    // Every threshold, count and index that the tutorial prints.
    let result = &Results::read(folder.path()).unwrap().result;
    for text in
        [result.threshold.to_string(), result.training.mean.to_string(), result.training.std.to_string()]
    {
        assert!(page.contains(&text), "{text}");
    }

    // The same results give the same bytes.
    assert_eq!(write(folder.path()).unwrap(), page);
}

#[test]
fn a_run_in_memory_and_its_folder_have_the_same_report() {
    let study = |results: &Json| serde_json::from_value(study_of(results)).unwrap();
    for (inside, with_study) in [(true, true), (false, false)] {
        let mut run = tutorial().clone();
        run.inside = run.inside.filter(|_| inside);
        let [straight, read] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        write_results(straight.path(), &run);
        write_results(read.path(), &run);
        let study: Option<Study> = with_study.then(|| study(&result(read.path())));
        if let Some(study) = &study {
            for folder in [&straight, &read] {
                study::write(&mut OutputFolder::join(folder.path(), &study::FILES).unwrap(), study).unwrap();
            }
        }
        let results = Results::of(&run, study);
        let mut folder = OutputFolder::join(straight.path(), &files()).unwrap();
        glassbox_report::write(&mut folder, &results).unwrap();
        drop(folder);
        write(read.path()).unwrap();
        let (straight, read) = (content(straight.path()), content(read.path()));
        assert!(straight.keys().eq(read.keys()), "the same files");
        for (name, bytes) in &straight {
            assert!(read[name] == *bytes, "{name} differs");
        }
        assert!(straight.contains_key(PAGE) && straight.contains_key("study.json") == with_study);
    }
}

#[test]
fn windows_in_the_page_are_those_that_were_observed() {
    let folder = results_of_the_run();
    let page = write(folder.path()).unwrap();
    let data = data_of(&page);
    let inside = tutorial().inside.as_ref().unwrap();
    let windows = data["inside"]["windows"].as_array().unwrap();
    assert_eq!(windows.len(), inside.windows.len());
    for (shown, observed) in windows.iter().zip(&inside.windows) {
        let narrow = |at: &str| numbers(shown, at).iter().map(|value| *value as f32).collect::<Vec<_>>();
        assert_eq!(narrow("/input"), observed.input);
        assert_eq!(narrow("/output"), observed.outputs[6]);
        if shown["series"] == "test" {
            let window = shown["window"].as_u64().unwrap() as usize;
            assert_eq!(shown["error"].as_f64(), Some(tutorial().detection.errors[window]));
        }
    }
    // Of an output step in the middle: 18 before and 20 after, cut off by the ends of a window of 24.
    assert_eq!(data["inside"]["fields"][12], serde_json::json!([0, 24]));
    assert_eq!(data["inside"]["fields"][0], serde_json::json!([0, 21]));
}

#[test]
fn the_page_shows_each_gate_and_state_of_recurrent_layers() {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), recurrent());
    let page = write(folder.path()).unwrap();
    let data = data_of(&page);
    let maps = data["inside"]["maps"].as_array().unwrap();
    let names: Vec<&str> = maps.iter().map(|map| map["name"].as_str().unwrap()).collect();
    let gru = ["update gate", "reset gate", "candidate", "hidden state"];
    let parts = |layer: &'static str, parts: &[&str]| -> Vec<String> {
        parts.iter().map(|part| format!("{layer}, {part}")).collect()
    };
    let lstm = ["input gate", "forget gate", "candidate", "output gate", "cell state", "hidden state"];
    let expected = [
        vec!["lstm".into()],
        parts("lstm", &lstm),
        vec!["repeat_vector".into(), "bidirectional".into()],
        parts("bidirectional/1", &gru),
        parts("bidirectional/2 (backwards)", &gru),
    ];
    assert_eq!(names, expected.concat());
    for name in names {
        assert!(page.contains(&format!("<figcaption>{name}: ")), "{name} without the script");
    }

    // The input gate in the page is the one observed, in 127ths of its largest value.
    let inside = recurrent().inside.as_ref().unwrap();
    let full = maps[1]["full"].as_f64().unwrap();
    assert_eq!((maps[1]["steps"].as_u64(), maps[1]["channels"].as_u64()), (Some(24), Some(3)));
    for (shown, observed) in data["inside"]["windows"].as_array().unwrap().iter().zip(&inside.windows) {
        let map = |index: usize| shown["maps"][index].as_str().unwrap();
        let input_gate: Vec<f32> =
            observed.traces[0].chunks_exact(18).flat_map(|step| step[..3].to_vec()).collect();
        assert_eq!(map(1), glassbox_figures::heatmap::bytes(&input_gate, full as f32));
        // Turned round, so that it is in the order of the input.
        let candidate = observed.traces[2].chunks_exact(10).rev().flat_map(|step| step[4..6].to_vec());
        let full = maps[15]["full"].as_f64().unwrap() as f32;
        assert_eq!(map(15), glassbox_figures::heatmap::bytes(&candidate.collect::<Vec<_>>(), full));
    }
    for text in ["<dfn>forget gate</dfn>", "<dfn>update gate</dfn>"] {
        assert!(page.contains(text), "no {text:?}");
    }
    assert!(!write(results_of_the_run().path()).unwrap().contains("<dfn>forget gate</dfn>"));
}

#[test]
fn a_run_that_did_not_look_inside_has_a_page_too() {
    let folder = tempfile::tempdir().unwrap();
    let plain = TutorialRun { inside: None, ..tutorial().clone() };
    write_results(folder.path(), &plain);
    let page = write(folder.path()).unwrap();
    assert!(page.contains("This run did not record the model's internals"));
    assert!(!page.contains("id=\"explorer\"") && data_of(&page)["inside"].is_null());
    assert!(page.contains("id=\"plot-anomalies\""));
}
