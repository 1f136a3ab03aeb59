//! Where the tutorial's data comes from: a named folder, the cache, the twin.

use std::path::{Path, PathBuf};

use glassbox_pipeline::Error;
use glassbox_pipeline::nab::{self, DataWarning, FetchOptions, Places, PublishedFile, Source, TEST, TRAIN};
use glassbox_pipeline::synthetic::{self, Subset};

mod common;
#[path = "common/server.rs"]
mod server;

/// Writes `content` where `file` lies below `folder`.
fn put(folder: &Path, file: PublishedFile, content: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.join(file.path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path
}

const SMALL: &str = "timestamp,value\n2014-04-01 00:00:00,1\n2014-04-01 00:05:00,2\n";

#[test]
fn the_first_place_that_applies_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let (data, cache) = (folder.path().join("data"), folder.path().join("cache"));
    let both = Places { data: Some(data.clone()), cache: Some(cache.clone()) };
    let cache_only = Places { data: None, cache: Some(cache.clone()) };
    // A named folder is the source though it is not even there.
    assert_eq!(Source::choose(&both, 7), Source::Directory(data));
    assert_eq!(Source::choose(&cache_only, 7), Source::Twin { seed: 7 });
    assert_eq!(Source::choose(&Places::default(), 7), Source::Twin { seed: 7 });
    put(&cache, TEST, "");
    assert_eq!(Source::choose(&cache_only, 7), Source::Cache(cache));
}

#[test]
fn the_twin_is_loaded_with_the_hash_of_its_csv() {
    let source = Source::Twin { seed: 3 };
    let data = nab::load(&source).unwrap();
    assert_eq!(data.train.series, synthetic::series(Subset::Train, 3));
    assert_eq!(data.test.series, synthetic::series(Subset::Test, 3));
    assert_ne!(data.train.sha256, data.test.sha256);
    assert_eq!(data.train.sha256, nab::load(&source).unwrap().train.sha256);
    assert_eq!(data.source.to_string(), "the built-in synthetic copy (seed 3)");
}

#[test]
fn a_named_folder_that_lacks_a_file_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = Source::Directory(folder.path().to_owned());
    let message = |source: &Source| nab::load(source).unwrap_err().to_string();
    assert!(message(&source).contains(TRAIN.path), "{}", message(&source));
    // The checkout was named, and not its `data`.
    put(&folder.path().join("data"), TRAIN, SMALL);
    let below = folder.path().join("data").display().to_string();
    assert!(message(&source).contains(&format!("it is in {below}: name that")), "{}", message(&source));
    put(folder.path(), TRAIN, SMALL);
    assert!(message(&source).contains(TEST.path), "{}", message(&source));
    // There, and no file.
    std::fs::create_dir_all(folder.path().join(TEST.path)).unwrap();
    assert!(matches!(nab::load(&source), Err(Error::Unreadable { .. })));
}

#[test]
fn an_edited_file_is_used_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let train = put(folder.path(), TRAIN, SMALL);
    put(folder.path(), TEST, SMALL);
    let data = nab::load(&Source::Directory(folder.path().to_owned())).unwrap();
    assert_eq!(data.train.series.values(), [1.0, 2.0]);
    let [DataWarning::NotPublished { path, found, expected }] = &data.train.warnings[..] else {
        panic!("{:?}", data.train.warnings)
    };
    assert_eq!((path, *found, *expected), (&train, data.train.sha256, TRAIN.sha256));
    let text = data.train.warnings[0].to_string();
    assert!(text.contains(&TRAIN.sha256.to_string()) && text.contains(TRAIN.path), "{text}");
    // What is no series at all is refused here too, by path and line.
    put(folder.path(), TEST, "timestamp,value\nnever,1\n");
    let message = nab::load(&Source::Directory(folder.path().to_owned())).unwrap_err().to_string();
    assert!(message.contains(TEST.path) && message.contains("line 2"), "{message}");
}

#[test]
fn a_damaged_or_incomplete_cache_says_to_fetch_again() {
    let cache = tempfile::tempdir().unwrap();
    let source = Source::Cache(cache.path().to_owned());
    put(cache.path(), TRAIN, SMALL);
    let error = nab::load(&source).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("fetch it again"), "{error}");
    std::fs::remove_file(cache.path().join(TRAIN.path)).unwrap();
    let error = nab::load(&source).unwrap_err();
    assert!(matches!(error, Error::MissingFromCache { .. }), "{error}");
    assert!(error.to_string().contains("fetch it again"), "{error}");
}

#[test]
fn the_real_files_are_the_published_ones_and_survive_a_download() {
    let Some(folder) = common::nab_data() else { return };
    let real = nab::load(&Source::Directory(folder.clone())).unwrap();
    assert!(real.train.warnings.is_empty() && real.test.warnings.is_empty());
    assert_eq!((real.train.sha256, real.test.sha256), (TRAIN.sha256, TEST.sha256));
    assert_eq!((real.train.series.len(), real.test.series.len()), (4032, 4032));
    for file in [TRAIN, TEST] {
        assert_eq!(std::fs::metadata(folder.join(file.path)).unwrap().len(), file.bytes);
    }

    let base = server::serve(move |path, stream| {
        server::respond_with_file(stream, &std::fs::read(folder.join(&path[1..])).unwrap());
    });
    let cache = tempfile::tempdir().unwrap();
    let options = FetchOptions { base_url: base, use_proxy: false, ..FetchOptions::default() };
    let fetched = nab::fetch(cache.path(), &options).unwrap();
    assert!(fetched.iter().all(|file| file.downloaded));
    let places = Places { data: None, cache: Some(cache.path().to_owned()) };
    let source = Source::choose(&places, 0);
    let cached = nab::load(&source).unwrap();
    assert_eq!((cached.train, cached.test, cached.source), (real.train, real.test, source));
}
