//! `glassbox watch`: bytes from a file or a pipe to [`Watch`], its lines to a file or a pipe, and its state to the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use glassbox::fingerprint::Fingerprint;
use glassbox::interrupt::Interrupt;
use glassbox_pipeline::Error;
use glassbox_pipeline::detector::Detector;
use glassbox_pipeline::live::{Event, LineWriter, State, Watch};
use glassbox_pipeline::words::counted;

use super::{STANDARD_INPUT, note, warn, warn_of_flat_lines};
use crate::args::WatchArgs;
use crate::failure::{Failure, Kind, OrFail as _};
use crate::plot::Plot;
use crate::{files, interrupt};

/// Bytes that are read at a time, at most.
const PIECE: usize = 1 << 16;
/// How long a state may be behind the lines.
const SAVE_AFTER: Duration = Duration::from_secs(1);
/// How often a file that is followed is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often the keys are looked at while a plot is shown and no rows come.
const LOOK_AT_KEYS: Duration = Duration::from_millis(50);

pub(crate) fn run(args: &WatchArgs) -> Result<(), Failure> {
    let standard_input = args.input == Path::new("-");
    if args.follow && standard_input {
        return Err(Failure::new(
            Kind::Input,
            "--follow is for a file that grows; standard input is read until its other end is closed: leave it out",
        ));
    }
    let outputs = [("--output", args.output.as_deref()), ("--state", args.state.as_deref())];
    let outputs: Vec<files::Named<'_>> =
        outputs.into_iter().filter_map(|(name, path)| Some((name, path?))).collect();
    let _locks = files::claim(&[("the series", &args.input), ("--model", &args.model)], &outputs)?;
    let detector = Detector::load(&args.model)?;
    let columns = args.columns.columns(&detector.columns);
    let name = if standard_input { STANDARD_INPUT.into() } else { args.input.display().to_string() };
    let device = args.compute.device(args.quiet)?;
    let mut watch = Watch::new(&detector, &device, &name, &columns, args.threshold, args.bad_rows.policy())
        .map_err(failure)?;
    let (format, lines, only_anomalies) = (args.format, args.lines, args.only_anomalies);
    let writer = LineWriter { format, lines, only_anomalies, columns };
    note(args.quiet, format_args!("threshold: {}", watch.alarm()));
    if let Some(warning) = watch.alarm().warning() {
        warn(args.quiet, warning);
    }
    warn_of_flat_lines(&detector, &writer.columns.values, args.quiet);

    let source: Box<dyn Read + Send> = match standard_input {
        true => Box::new(io::stdin()),
        false => Box::new(File::open(&args.input).map_err(|cause| unreadable(&name, &cause))?),
    };
    let mut plot = args.plot.then(|| Plot::open(&name, &writer.columns.values)).transpose()?;
    // Last, because it cuts off what the state does not cover.
    let mut saved = Saved::begin(args, &mut watch)?;
    let (sender, pieces) = sync_channel(4);
    let wake = sender.clone();
    let interrupt = interrupt::listen_and(true, "", move || drop(wake.try_send(Piece::Stop)))?;
    let (stop, followed) = (interrupt.clone(), args.follow.then(|| args.input.clone()));
    std::thread::spawn(move || read(source, followed.as_deref(), &stop, &sender));

    let mut pump = Pump { args, watch, writer, saved: &mut saved, plot: plot.as_mut(), text: vec![] };
    pump.begin()?;
    let done = pump.run(&pieces, &interrupt, &name);
    let tally = *pump.watch.tally();
    // The terminal is as it was before anything is printed on it.
    drop(plot);
    done?;
    note(
        args.quiet,
        format_args!(
            "{}: {} anomalous, {} normal, {} not judged; {} anomalous live",
            counted(tally.rows, "row", "rows"),
            tally.anomalous,
            tally.normal,
            tally.unjudged,
            tally.live_anomalous
        ),
    );
    Ok(())
}

/// A part of the input.
enum Piece {
    Bytes(Vec<u8>),
    /// The end of the input.
    End,
    /// The input cannot be read.
    Failed(io::Error),
    /// A signal asks to end.
    Stop,
}

/// Reads the input until its end; or for ever, if it is a file that is `followed`.
fn read(mut source: Box<dyn Read + Send>, followed: Option<&Path>, stop: &Interrupt, to: &SyncSender<Piece>) {
    let (mut bytes, mut total) = (vec![0; PIECE], 0);
    while !stop.is_requested() {
        let piece = match (source.read(&mut bytes), followed) {
            (Ok(0), None) => Piece::End,
            (Ok(0), Some(path)) => match std::fs::metadata(path) {
                Ok(there) if there.is_file() && there.len() < total => Piece::Failed(io::Error::other(
                    "it is shorter than what was read of it: it was cut or replaced; start again to go on",
                )),
                _ => {
                    std::thread::sleep(LOOK_AGAIN);
                    continue;
                }
            },
            (Ok(count), _) => {
                total += count as u64;
                Piece::Bytes(bytes[..count].to_vec())
            }
            (Err(error), _) if error.kind() == io::ErrorKind::Interrupted => continue,
            (Err(error), _) => Piece::Failed(error),
        };
        let last = !matches!(piece, Piece::Bytes(_));
        if to.send(piece).is_err() || last {
            return;
        }
    }
}

/// From pieces of the input to lines.
struct Pump<'a> {
    args: &'a WatchArgs,
    watch: Watch<'a>,
    writer: LineWriter,
    saved: &'a mut Saved,
    plot: Option<&'a mut Plot>,
    /// Lines that are not written yet.
    text: Vec<u8>,
}

impl Pump<'_> {
    /// Writes the header, unless it was written before.
    fn begin(&mut self) -> Result<(), Failure> {
        if self.saved.is_beginning(&self.watch) {
            self.writer.header(&mut self.text);
        }
        self.write().map(drop)
    }

    fn run(&mut self, pieces: &Receiver<Piece>, interrupt: &Interrupt, name: &str) -> Result<(), Failure> {
        while !interrupt.is_requested() {
            let wait = match (&self.plot, self.saved.is_behind()) {
                (Some(_), _) => LOOK_AT_KEYS,
                (None, true) => SAVE_AFTER,
                (None, false) => Duration::MAX,
            };
            let piece = match pieces.recv_timeout(wait) {
                Ok(piece) => Some(piece),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (mut ended, fed) = (false, piece.is_some());
            let done = match piece {
                Some(Piece::Bytes(bytes)) => self.take(|watch, each| watch.feed(&bytes, each)),
                Some(Piece::End) => {
                    ended = true;
                    self.take(|watch, each| watch.finish(each))
                }
                Some(Piece::Failed(cause)) => Err(unreadable(name, &cause)),
                Some(Piece::Stop) => break,
                None => Ok(()),
            };
            // The lines of the rows before an error are written.
            let read_by_someone = self.write()?;
            done?;
            if !read_by_someone {
                return Ok(());
            }
            self.saved.keep_up(&self.watch, fed)?;
            if let Some(plot) = &mut self.plot {
                if plot.show(self.watch.tally())? {
                    break;
                }
                if ended {
                    plot.wait(self.watch.tally(), interrupt)?;
                }
            }
            if ended {
                break;
            }
        }
        self.saved.save(&self.watch)
    }

    /// Gives the watch something to do, and collects its lines.
    fn take(
        &mut self,
        work: impl FnOnce(&mut Watch<'_>, &mut dyn FnMut(Event<'_>)) -> Result<(), Error>,
    ) -> Result<(), Failure> {
        let Self { args, watch, writer, plot, text, .. } = self;
        let done = work(watch, &mut |event| match (&mut *plot, event) {
            (plot, Event::Line(line)) => {
                writer.write(&line, text);
                if let Some(plot) = plot {
                    plot.line(&line);
                }
            }
            (Some(plot), Event::Notice(notice)) => plot.notice(&notice.to_string()),
            (None, Event::Notice(notice)) => warn(args.quiet, notice),
        });
        done.map_err(failure)
    }

    /// Writes the collected lines. Returns false if nobody reads them any more.
    fn write(&mut self) -> Result<bool, Failure> {
        let lines = std::mem::take(&mut self.text);
        let written = match (&mut self.saved.output, &self.plot) {
            (Some(output), _) => output.write(&lines),
            (None, Some(_)) => Ok(()),
            (None, None) => {
                let mut out = io::stdout().lock();
                out.write_all(&lines).and_then(|()| out.flush())
            }
        };
        self.text = lines;
        self.text.clear();
        let place = || match &self.saved.output {
            Some(output) => output.path.display().to_string(),
            None => "to standard output".into(),
        };
        match written {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Failure::new(Kind::Output, format_args!("cannot write {}: {error}", place()))),
        }
    }
}

/// The output file.
struct Output {
    file: File,
    path: PathBuf,
    /// Bytes in it, if it is a plain file, which can be cut.
    length: Option<u64>,
}

impl Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.length = self.length.map(|length| length + bytes.len() as u64);
        Ok(())
    }
}

/// The output and the state, which says how much of the output counts.
struct Saved {
    output: Option<Output>,
    state: Option<PathBuf>,
    every: u64,
    run: Fingerprint,
    /// Rows at the last save, and its time.
    rows: u64,
    at: Instant,
    behind: bool,
}

impl Saved {
    /// Opens the output, and goes on from the state if there is one.
    fn begin(args: &WatchArgs, watch: &mut Watch<'_>) -> Result<Self, Failure> {
        let mut run = watch.fingerprint();
        run.add("--format", args.format);
        run.add("--lines", args.lines);
        run.add("--only-anomalies", args.only_anomalies);
        run.add("the output", if args.output.is_some() { "a file" } else { "standard output" });
        let load = |path: &PathBuf| State::load(path).map_err(Error::from);
        let state = args.state.as_ref().map(load).transpose()?.flatten();
        let (is_first, covered) = (state.is_none(), state.as_ref().and_then(State::output));
        if let (Some(state), Some(path)) = (state, &args.state) {
            watch.resume(state, &run, &path.display().to_string()).map_err(failure)?;
        }
        let output =
            args.output.as_deref().map(|path| open_output(args, path, is_first, covered)).transpose()?;
        let (state, every) = (args.state.clone(), args.save_every);
        let rows = watch.tally().rows;
        let mut saved = Self { output, state, every, run, rows, at: Instant::now(), behind: false };
        if is_first {
            // Before the first line: an output with lines and without a state is of nobody.
            saved.behind = true;
            saved.save(watch)?;
        }
        Ok(saved)
    }

    /// Returns true before the first line.
    fn is_beginning(&self, watch: &Watch<'_>) -> bool {
        match self.output.as_ref().and_then(|output| output.length) {
            Some(length) => length == 0,
            None => watch.tally().rows == 0,
        }
    }

    /// Returns true if lines were written since the last save.
    fn is_behind(&self) -> bool {
        self.behind && self.state.is_some()
    }

    /// Saves if it is time; `fed` says that the watch was fed since the last call.
    fn keep_up(&mut self, watch: &Watch<'_>, fed: bool) -> Result<(), Failure> {
        self.behind |= fed;
        let is_time = watch.tally().rows - self.rows >= self.every || self.at.elapsed() >= SAVE_AFTER;
        if is_time { self.save(watch) } else { Ok(()) }
    }

    /// Saves the state. The lines that it covers are on the disk first.
    fn save(&mut self, watch: &Watch<'_>) -> Result<(), Failure> {
        let (Some(path), true) = (&self.state, self.behind) else { return Ok(()) };
        if let Some(Output { file, path, length: Some(_) }) = &self.output {
            let flushed = file.sync_data();
            flushed.map_err(|error| {
                Failure::new(
                    Kind::Output,
                    format_args!("cannot write {} to the disk: {error}", path.display()),
                )
            })?;
        }
        let length = self.output.as_ref().and_then(|output| output.length);
        watch.state(&self.run, length).save(path).or_fail(Kind::Output)?;
        (self.rows, self.at, self.behind) = (watch.tally().rows, Instant::now(), false);
        Ok(())
    }
}

/// Opens the output, and cuts off what the state does not cover.
fn open_output(
    args: &WatchArgs,
    path: &Path,
    is_first: bool,
    covered: Option<u64>,
) -> Result<Output, Failure> {
    let failed = |error: io::Error| {
        Failure::new(Kind::Output, format_args!("cannot write {}: {error}", path.display()))
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    let there = file.metadata().map_err(failed)?;
    let mut length = None;
    if there.is_file() {
        let (found, keep) = (there.len(), covered.unwrap_or(0));
        let refused = |problem: &str| {
            let path = path.display();
            Err(Failure::new(Kind::Input, format_args!("--output: {path} {problem}")))
        };
        if is_first && args.state.is_some() && found > 0 {
            return refused(
                "is there already, and there is no state that says how it goes on; remove it, or give its state",
            );
        }
        if found < keep {
            return refused(&format!(
                "has {found} bytes, fewer than the {keep} of the state; put back the output of that run, or remove both \
                 to start anew"
            ));
        }
        file.set_len(keep).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        length = Some(keep);
    }
    Ok(Output { file, path: path.into(), length })
}

fn unreadable(name: &str, cause: &io::Error) -> Failure {
    Failure::new(Kind::Input, format_args!("cannot read {name}: {cause}"))
}

/// Without the options of `detect` that would help there.
fn failure(error: Error) -> Failure {
    match error {
        Error::OtherStep { .. } | Error::NoCalibration => Failure::new(error.kind(), error),
        other => other.into(),
    }
}
