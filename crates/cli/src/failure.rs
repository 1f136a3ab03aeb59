//! Errors as a shell sees them: one line, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

use glassbox::checkpoint::CheckpointError;
use glassbox_engine::text::one_line;
use glassbox_pipeline::Error;
pub(crate) use glassbox_pipeline::ErrorKind as Kind;
use glassbox_pipeline::live::StateError;
use glassbox_pipeline::nab::FetchFailure;
use glassbox_pipeline::series::SeriesError;

/// Why the command ended without success. The exit codes are part of the interface: `glassbox --help` and
/// `docs/command.md` list them.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    message: String,
}

/// The exit code of an interruption: shells use 128 plus the number of SIGINT.
pub(crate) const INTERRUPTED: u8 = 130;

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Display) -> Self {
        let code = match kind {
            Kind::Input => 3,
            Kind::NotFinite => 4,
            Kind::Output => 5,
            Kind::Download => 6,
            Kind::Device => 7,
            Kind::Interrupted => INTERRUPTED,
        };
        Self { code, message: message(error) }
    }

    /// A requested check failed.
    pub(crate) fn of_check(problems: impl Display) -> Self {
        Self { code: 1, message: message(problems) }
    }

    /// Adds the command that continues the run, if this is an interruption.
    #[must_use]
    pub(crate) fn or_go_on(self, command: impl FnOnce() -> String) -> Self {
        if self.is_interruption() { self.then("to continue", &command()) } else { self }
    }

    /// Adds a command to run next, on a line of its own and as long as it is.
    #[must_use]
    pub(crate) fn then(mut self, what: &str, command: &str) -> Self {
        self.message = format!("{}; {what}:\n{command}", self.message);
        self
    }

    pub(crate) fn is_interruption(&self) -> bool {
        self.code == INTERRUPTED
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

/// Characters of a message at most. What libraries quote is cut much earlier; this holds for whatever they missed.
pub(crate) const LONGEST: usize = 2000;

/// One line of at most [`LONGEST`] characters.
pub(crate) fn message(text: impl Display) -> String {
    one_line(&text.to_string()).up_to(LONGEST).to_string()
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// Turns an error into a failure of a kind.
pub(crate) trait OrFail<T> {
    fn or_fail(self, kind: Kind) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, kind: Kind) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(kind, error))
    }
}

impl From<glassbox_engine::Error> for Failure {
    fn from(error: glassbox_engine::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<glassbox::Error> for Failure {
    fn from(error: glassbox::Error) -> Self {
        Error::from(error).into()
    }
}

impl From<SeriesError> for Failure {
    fn from(error: SeriesError) -> Self {
        Error::from(error).into()
    }
}

impl From<glassbox_lab::Error> for Failure {
    fn from(error: glassbox_lab::Error) -> Self {
        match error {
            glassbox_lab::Error::Pipeline(error) => error.into(),
            other => Self::new(other.kind(), other),
        }
    }
}

/// Names options as they are typed, where the libraries use Keras's names or none.
impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        match error {
            Error::Engine(glassbox_engine::Error::Option { option, found, expected }) => {
                let way_out = match option {
                    "validation_split" => {
                        "; use more rows, or train without validation: --validation-split 0 (`train` and `fit-arrays`)"
                    }
                    _ => "",
                };
                let option = match option {
                    "batch" => "--batch-size".into(),
                    variable if variable.starts_with("GLASSBOX_") => variable.into(),
                    argument => typed(argument),
                };
                Self::new(kind, format_args!("{option} is {found}, expected {expected}{way_out}"))
            }
            Error::Model(glassbox::Error::Checkpoint(CheckpointError::OtherRun { file, mut difference })) => {
                let what = &mut difference.what;
                if what.contains('_') && *what != "early_stopping" {
                    *what = typed(what);
                }
                Self::new(kind, CheckpointError::OtherRun { file, difference })
            }
            other => Self::new(kind, format_args!("{other}{}", means(&other))),
        }
    }
}

/// An argument of Keras as an option.
fn typed(argument: &str) -> String {
    format!("--{}", argument.replace('_', "-"))
}

/// The options or the command that do what an error advises.
fn means(error: &Error) -> &'static str {
    match error {
        Error::Engine(glassbox_engine::Error::Device { .. }) => {
            " (see --batch-size, --device, and --checkpoint-dir with --resume)"
        }
        Error::Series(SeriesError::MissingColumn { .. }) => " (--timestamp-column, --value-column)",
        Error::Series(SeriesError::BadRow { .. }) => " (--on-bad-rows skip)",
        Error::State(StateError::Ended { .. }) => " (--follow)",
        Error::NoCalibration => " (--rule published, --rule inclusive)",
        Error::OtherStep { .. } => " (--resample)",
        Error::TooFewScores { .. }
        | Error::QuantileTooLow { .. }
        | Error::RateTooHigh { .. }
        | Error::BadThresholdRule { .. } => " (--threshold)",
        Error::MissingFile { .. } => " (--data, $GLASSBOX_NAB)",
        Error::MissingFromCache { .. } | Error::Damaged { .. } => " (`glassbox data fetch`)",
        Error::Fetch { failure: FetchFailure::Connection(_), .. } => " (--data)",
        _ => "",
    }
}
