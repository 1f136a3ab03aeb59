//! The report of a small run: what it shows is what the run found.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;
use std::sync::OnceLock;

use glassbox::Device;
use glassbox_engine::layers::{Bidirectional, Dense, GRU, LSTM, RepeatVector, TimeDistributed};
use glassbox_engine::model::{Network, Sequential};
use glassbox_engine::reference::Reference;
use glassbox_engine::shape::Shape;
use glassbox_engine::training::Fit;
use glassbox_figures::Figure;
use glassbox_formats::hash::Sha256;
use glassbox_formats::output_folder::{MANIFEST, OutputFolder};
use glassbox_formats::tensor_file::TensorFile;
use glassbox_lab::study::{self, Study};
use glassbox_pipeline::nab::{LoadedPart, Source, TutorialData};
use glassbox_pipeline::results;
use glassbox_pipeline::series::Series;
use glassbox_pipeline::synthetic::{self, Subset};
use glassbox_pipeline::training::TrainOptions;
use glassbox_pipeline::tutorial::{Quiet, TutorialOptions, TutorialRun, run};
use glassbox_report::{PAGE, Results, figures, files};
use serde_json::Value as Json;

/// A run with the tutorial's model.
fn tutorial() -> &'static TutorialRun {
    static RUN: OnceLock<TutorialRun> = OnceLock::new();
    RUN.get_or_init(|| run_with(None))
}

/// A run with a recurrent model.
fn recurrent() -> &'static TutorialRun {
    static RUN: OnceLock<TutorialRun> = OnceLock::new();
    RUN.get_or_init(|| {
        let mut model = Sequential::new(Shape::new(24, 1));
        let mut build = || {
            model.add(LSTM::new(3))?.add(RepeatVector::new(24))?;
            model.add(Bidirectional::new(GRU::new(2).return_sequences(true)))?;
            model.add(TimeDistributed::new(Dense::new(1))).map(|_| ())
        };
        build().unwrap();
        run_with(Some(model.into()))
    })
}

/// Half a day of the twin's training series, and the day of the jump: enough for some windows to be anomalous.
fn run_with(model: Option<Network>) -> TutorialRun {
    let part = |part, rows: std::ops::Range<usize>| {
        let twin = synthetic::series(part, 1);
        let (times, values) = (&twin.timestamps()[rows.clone()], &twin.values()[rows]);
        let series = Series::new(twin.name(), twin.clock(), times.to_vec(), values.to_vec()).unwrap();
        LoadedPart { series, sha256: Sha256::of(b"a test"), warnings: vec![] }
    };
    let data = TutorialData {
        train: part(Subset::Train, 0..288),
        test: part(Subset::Test, 10 * 288..11 * 288),
        source: Source::Twin { seed: 1 },
    };
    let defaults = TrainOptions::default();
    let fit = Fit { epochs: 3, batch_size: 32, ..defaults.fit };
    let train = TrainOptions { fit, seed: 1, ..defaults };
    let options =
        TutorialOptions { time_steps: 24, model, train, inside: true, ..TutorialOptions::default() };
    run(data, &Device::new(Reference), &options, &mut Quiet).unwrap()
}

/// A folder with the results of the run.
fn results_of_the_run() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_results(folder.path(), tutorial());
    folder
}

fn write_results(dir: &Path, run: &TutorialRun) {
    results::write(&mut OutputFolder::open(dir, &results::FILES, &[]).unwrap(), run).unwrap();
}

/// Writes the report of the results in a folder, and returns the page.
fn write(dir: &Path) -> Result<String, Box<dyn Error>> {
    let results = Results::read(dir)?;
    let page = glassbox_report::write(&mut OutputFolder::join(dir, &files())?, &results)?;
    Ok(std::fs::read_to_string(page)?)
}

/// Replaces a file of a folder and its checksum in the manifest, as a run of another version could have written them.
fn forge(dir: &Path, name: &str, content: &[u8]) {
    std::fs::write(dir.join(name), content).unwrap();
    let mut manifest: Json = serde_json::from_slice(&std::fs::read(dir.join(MANIFEST)).unwrap()).unwrap();
    manifest["files"][name] = Sha256::of(content).to_string().into();
    std::fs::write(dir.join(MANIFEST), manifest.to_string()).unwrap();
}

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

/// `result.json` as text has it, to hold the plots against the file and not against the types behind it.
fn result(folder: &Path) -> Json {
    serde_json::from_slice(&std::fs::read(folder.join("result.json")).unwrap()).unwrap()
}

fn numbers(json: &Json, at: &str) -> Vec<f64> {
    json.pointer(at).unwrap().as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
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

/// The script's data, out of the page.
fn data_of(page: &str) -> Json {
    let (_, rest) = page.split_once("id=\"run-data\">").expect("the data");
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
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

/// The files below a folder, by their paths within it.
fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        match entry.path().is_dir() {
            true => files.extend(
                content(&entry.path()).into_iter().map(|(inner, file)| (format!("{name}/{inner}"), file)),
            ),
            false => drop(files.insert(name, std::fs::read(entry.path()).unwrap())),
        }
    }
    files
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

#[test]
fn a_file_that_the_run_did_not_write_is_named() {
    let refused = |change: &dyn Fn(&Path)| {
        let folder = results_of_the_run();
        change(folder.path());
        let error = write(folder.path()).unwrap_err().to_string();
        assert!(!folder.path().join(PAGE).exists());
        error
    };
    for name in results::FILES {
        let error = refused(&|folder| std::fs::remove_file(folder.join(name)).unwrap());
        assert!(error.contains(name), "{name}: {error}");
        // One number more, as an editor leaves it.
        let error = refused(&|folder| {
            let mut file = std::fs::read(folder.join(name)).unwrap();
            let digit = file.iter_mut().rfind(|byte| byte.is_ascii_digit()).unwrap();
            *digit = if *digit == b'1' { b'2' } else { b'1' };
            std::fs::write(folder.join(name), file).unwrap();
        });
        assert!(error.contains(name) && error.contains("was changed after glassbox wrote it"), "{error}");
    }
    // Of another run: each file is right, and they do not belong together.
    let other = tempfile::tempdir().unwrap();
    let mut run = tutorial().clone();
    run.detection.errors[0] += 1e-9;
    write_results(other.path(), &run);
    let error = refused(&|folder| {
        let windows = std::fs::read(other.path().join("windows.csv")).unwrap();
        std::fs::write(folder.join("windows.csv"), windows).unwrap();
    });
    assert!(error.contains("windows.csv"), "{error}");
    // What the run did not write at all.
    let error = refused(&|folder| std::fs::write(folder.join("study.json"), "{}").unwrap());
    assert!(error.contains("study.json") && error.contains("does not list it"), "{error}");
    let error = refused(&|folder| std::fs::remove_file(folder.join(MANIFEST)).unwrap());
    assert!(error.contains("has no manifest.json") && error.contains("make the results again"), "{error}");
}

/// `result.json` with one value changed.
fn with(folder: &Path, at: &str, value: Json) -> Vec<u8> {
    let mut json = result(folder);
    *json.pointer_mut(at).unwrap_or_else(|| panic!("no {at}")) = value;
    serde_json::to_vec_pretty(&json).unwrap()
}

/// A manifest can be forged. What is drawn by then has lengths that fit.
#[test]
fn forged_results_are_refused_or_drawn() {
    let forged = |name: &str, change: &dyn Fn(&Path) -> Vec<u8>| {
        let folder = results_of_the_run();
        forge(folder.path(), name, &change(folder.path()));
        write(folder.path()).map_err(|error| error.to_string())
    };
    let refused = |name: &str, change: &dyn Fn(&Path) -> Vec<u8>, words: &[&str]| {
        let error = forged(name, change).unwrap_err();
        for word in words.iter().chain(&[name]) {
            assert!(error.contains(word), "no {word:?} in {error}");
        }
    };
    for (at, value, words) in [
        ("/schema", Json::from(99), &["`schema` is 99", "reads 1"][..]),
        ("/config/time_steps", 0.into(), &["it has 0 steps in a window, and 24 are expected"]),
        ("/config/point_rule", "other".into(), &["config.point_rule", "inclusive"]),
        ("/data/train/name", "a\u{1b}[2J".into(), &["data.train.name", "control characters"]),
        ("/data", Json::Null, &["`data`"]),
    ] {
        refused("result.json", &|folder| with(folder, at, value.clone()), words);
    }
    // Shown as they are; nothing is computed from them.
    for (at, value) in [
        ("/anomalies/points/indices", serde_json::json!([1_000_000_000])),
        ("/anomalies/windows/shape", serde_json::json!([265, 0, 1])),
        ("/training/shape", serde_json::json!([0, 24, 1])),
        ("/training/epochs", u64::MAX.into()),
        ("/training/stopped_epoch", u64::MAX.into()),
        ("/training/history/loss", serde_json::json!([1.0])),
        ("/training/history/val_loss", serde_json::json!([])),
        ("/errors/train/histogram/edges", serde_json::json!([])),
        ("/errors/test/histogram/edges", serde_json::json!([1.0, 0.0])),
        ("/model/layers", serde_json::json!(["\u{1b}[2J"])),
        ("/timings/epochs", serde_json::json!([])),
        ("/timings/resumed_from", u64::MAX.into()),
    ] {
        forged("result.json", &|folder| with(folder, at, value.clone())).unwrap();
    }
    let lines = |name: &'static str, change: &dyn Fn(&mut Vec<String>)| {
        let text = move |folder: &Path| std::fs::read_to_string(folder.join(name)).unwrap();
        let changed = |folder: &Path| {
            let mut lines: Vec<String> = text(folder).lines().map(Into::into).collect();
            change(&mut lines);
            (lines.join("\n") + "\n").into_bytes()
        };
        forged(name, &changed).unwrap_err()
    };
    for (name, words) in [
        (
            "windows.csv",
            "windows.csv is not what a run of the tutorial writes: it has 99 rows, and 265 are expected",
        ),
        (
            "test.csv",
            "windows.csv is not what a run of the tutorial writes: it has 265 rows, and 76 are expected",
        ),
    ] {
        let error = lines(name, &|lines| lines.truncate(100));
        assert!(error.contains(words), "{error}");
    }
    for name in ["train.csv", "test.csv", "first_window.csv"] {
        let error = lines(name, &|lines| lines.truncate(20));
        assert!(error.contains("24"), "{name}: {error}");
    }
    let number = |number: &'static str| {
        lines("windows.csv", &|lines| {
            let mut cells: Vec<&str> = lines[1].split(',').collect();
            cells[3] = number;
            lines[1] = cells.join(",");
        })
    };
    assert!(number("zero").contains("line: 2"), "{}", number("zero"));
    assert!(number("inf").contains("line 2: the error is not finite"), "{}", number("inf"));
    let windows = |ids: &'static str| {
        move |folder: &Path| {
            let mut file = TensorFile::read(&folder.join("inside.safetensors")).unwrap();
            file.metadata.insert("glassbox.windows".into(), ids.into());
            let count = ids.matches("window").count();
            for (name, tensor) in &mut file.tensors {
                if name == "input" || name.starts_with("output.") {
                    tensor.values.truncate(tensor.values.len() / tensor.shape[0] * count);
                    tensor.shape[0] = count;
                }
            }
            file.to_bytes()
        }
    };
    refused("inside.safetensors", &windows("[]"), &["it has no windows"]);
    let beyond = r#"[{"series":"test","window":265}]"#;
    refused("inside.safetensors", &windows(beyond), &["its window 265 is beyond the end"]);
}

#[test]
fn of_other_data_the_page_says_what_the_data_says() {
    let page = |source: Source| {
        let folder = tempfile::tempdir().unwrap();
        let mut run = tutorial().clone();
        run.data.source = source;
        write_results(folder.path(), &run);
        write(folder.path()).unwrap()
    };
    // What is true of the tutorial's series alone.
    let known = [
        "two published files",
        "fourteen days",
        "a day stands out",
        "except for one:",
        "24 hours of 12 values",
        "The data is easy",
        "different every day",
        "Training series: normal",
        "2014-04-11, from 09:00 to 18:00",
    ];
    let own = page(Source::Directory("a/folder".into()));
    for text in known {
        assert!(!own.contains(text), "{text:?} is not known of this data");
    }
    for text in [
        "<code>a/folder</code>",
        "has 288 rows, one every 5 minutes",
        "values, 2 hours",
        "everything in it counts as normal",
    ] {
        assert!(own.contains(text), "no {text:?}");
    }
    let twin = page(Source::Twin { seed: 1 });
    for text in ["fourteen days", "a day stands out", "The data is easy", "Training series: normal"] {
        assert!(twin.contains(text), "no {text:?}");
    }
}

#[test]
fn of_another_model_the_page_says_what_is_true_of_it() {
    let page = |run: &TutorialRun| {
        let folder = tempfile::tempdir().unwrap();
        write_results(folder.path(), run);
        write(folder.path()).unwrap()
    };
    let of_the_tutorial = [
        "Seven layers, one after the other",
        "72 × 16 = 1152",
        "A <dfn>convolution</dfn> moves",
        "Kernels are initialised",
        "the units of the first layer respond",
        "a transposed convolution widens it",
        "The model does not know the time of day",
        "<h3>Dead units</h3>",
        "The bottleneck is wide enough",
        "glassbox replicate",
    ];
    let (conv, lstm) = (page(tutorial()), page(recurrent()));
    for text in of_the_tutorial {
        assert!(conv.contains(text), "no {text:?}");
        assert!(!lstm.contains(text), "{text:?} is not true of this model");
    }
    for text in [
        "another autoencoder in the place of the convolutional one",
        "depends on all 24 steps of the window",
        "a row for each of 3 inputs, a column for each of 12 outputs",
        "bidirectional",
    ] {
        assert!(lstm.contains(text), "no {text:?}");
    }
}

/// A study of two variants, as `study.json` has it, of the two series of `result`.
fn study_of(result: &Json) -> Json {
    let spread = |value: f64| {
        serde_json::json!({
            "count": 2, "mean": value, "min": value - 0.01, "q1": value, "median": value, "q3": value, "max": value + 0.01,
        })
    };
    let variant = |name: &str, f1: f64, difference: Json, verdict: &str| {
        let numbers = [
            "f1",
            "precision",
            "recall",
            "windows",
            "false_windows",
            "points",
            "threshold",
            "epochs",
            "seconds",
        ];
        let mut spreads: serde_json::Map<String, Json> =
            numbers.iter().map(|number| ((*number).into(), spread(f1))).collect();
        // No run found anything: there is no delay.
        spreads.insert("delay_minutes".into(), Json::Null);
        spreads.insert("live_delay_minutes".into(), Json::Null);
        serde_json::json!({
            "name": name, "title": format!("title of {name}"), "change": "What is <changed>.", "training": "tutorial",
            "weights": "last", "error": "mean", "threshold": {"kind": "training_max", "q": null}, "rule": "published",
            "members": 1, "runs": [], "spread": spreads, "difference": difference, "verdict": verdict,
            "finding": format!("finding of {name}"),
        })
    };
    let difference = serde_json::json!({
        "mean": -0.1, "min": -0.2, "max": 0.0, "better": 0, "worse": 2, "equal": 0, "p": 0.5, "p_adjusted": 0.5,
    });
    let point = |index: usize| serde_json::json!({"index": index, "timestamp": "2014-04-11 09:00:00"});
    serde_json::json!({
        "schema": 2, "versions": result["versions"], "data": result["data"],
        "truth": {"first": point(108), "last": point(216), "count": 109},
        "config": {
            "seeds": [1, 2], "time_steps": 24, "epochs": 3, "batch_size": 32, "validation_split": 0.1,
            "shuffle": true, "early_stopping": null, "seed": 1, "loss": "mean_squared_error", "optimizer": "adam",
        },
        "judged": {"first": 23, "last": 264}, "baseline": "tutorial", "trainings": [],
        "variants": [variant("tutorial", 0.875, Json::Null, "baseline"), variant("worse", 0.775, difference, "hurts")],
        "conclusion": ["One thing hurts & nothing helps."],
    })
}

#[test]
fn a_study_of_the_same_series_is_the_conclusion() {
    let folder = results_of_the_run();
    let study = study_of(&result(folder.path()));
    forge(folder.path(), "study.json", study.to_string().as_bytes());
    let page = write(folder.path()).unwrap();
    for text in [
        "2 variants with the same 2 seeds",
        "title of worse",
        "0.775",
        "0.765 to 0.785",
        "<td class=\"hurts\">hurts</td>",
        "finding of tutorial",
        // As text, not as elements.
        "What is &#60;changed&#62;.",
        "One thing hurts &#38; nothing helps.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("adds the results here"));

    forge(folder.path(), "study.json", b"{}");
    let error = write(folder.path()).unwrap_err().to_string();
    assert!(error.contains("study.json") && error.contains("missing field"), "{error}");
}
