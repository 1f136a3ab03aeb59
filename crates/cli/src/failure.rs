//! Errors as a shell sees them: one line, and a code.

use std::fmt::Display;
use std::process::ExitCode;

use glassbox::checkpoint::CheckpointError;

use glassbox_engine::Error;
use glassbox_lab::study::StudyError;
use glassbox_pipeline::detection::DetectionError;
use glassbox_pipeline::detector::DetectorError;
use glassbox_pipeline::tutorial::TutorialError;

/// Why the command ended without success. The codes are part of the interface: they stand in every
/// command's help and in the README.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A check that was asked for has failed.
    Check = 1,
    /// An input file, a model or an option cannot be used.
    Input = 3,
    /// A number is not finite.
    NotFinite = 4,
    /// A result could not be written.
    Output = 5,
    /// A download failed.
    Download = 6,
    /// The device that was asked for cannot be used, or failed.
    Device = 7,
    /// Ctrl-C, as shells have it: 128 and the number of SIGINT.
    Interrupted = 130,
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Display) -> Self {
        Self { kind, message: error.to_string() }
    }

    /// Says how to go on, if this is an interruption.
    #[must_use]
    pub(crate) fn or_go_on(mut self, command: impl FnOnce() -> String) -> Self {
        if self.is_interruption() {
            self.message = format!("{}; to go on:\n{}", self.message, command());
        }
        self
    }

    pub(crate) fn is_interruption(&self) -> bool {
        self.kind == Kind::Interrupted
    }

    /// Prints the message and gives the code.
    pub(crate) fn report(&self) -> ExitCode {
        // If standard error is gone there is nobody left to tell.
        let _ = writeln_error(&self.message);
        ExitCode::from(self.kind as u8)
    }
}

fn writeln_error(message: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(std::io::stderr(), "glassbox: {message}")
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

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::of_engine(&error)
    }
}

impl From<glassbox::Error> for Failure {
    fn from(error: glassbox::Error) -> Self {
        Self::of_training(&error)
    }
}

impl From<DetectorError> for Failure {
    fn from(error: DetectorError) -> Self {
        Self::of_detector(&error)
    }
}

impl From<TutorialError> for Failure {
    fn from(error: TutorialError) -> Self {
        match &error {
            TutorialError::Step(error) => Self::of_detector(error),
            other => Self::new(Kind::Input, other),
        }
    }
}

impl From<StudyError> for Failure {
    fn from(error: StudyError) -> Self {
        match error {
            StudyError::Tutorial(error) => error.into(),
            other => Self::new(Kind::Input, other),
        }
    }
}

impl Failure {
    fn of_detector(error: &DetectorError) -> Self {
        match error {
            DetectorError::Train(error) => Self::of_training(error),
            DetectorError::Detection(DetectionError::NotFinite { .. }) => Self::new(Kind::NotFinite, error),
            other => Self::new(Kind::Input, other),
        }
    }

    fn of_training(error: &glassbox::Error) -> Self {
        match error {
            glassbox::Error::Engine(error) => Self::of_engine(error),
            glassbox::Error::Interrupted { .. } => Self::new(Kind::Interrupted, error),
            // A run is told from another by names of Keras's arguments, which are options here.
            glassbox::Error::Checkpoint(CheckpointError::OtherRun { difference, .. })
                if difference.what.contains('_') =>
            {
                let (named, what) = (error.to_string(), &difference.what);
                let typed = format!("run: --{} is", what.replace('_', "-"));
                Self::new(Kind::Input, named.replacen(&format!("run: {what} is"), &typed, 1))
            }
            other => Self::new(Kind::Input, other),
        }
    }

    /// The engine names an option as Keras does; here it is named as it is typed.
    fn of_engine(error: &Error) -> Self {
        let Error::Option { option, found, expected } = error else {
            return Self::new(kind_of(error), error);
        };
        let typed = match *option {
            "batch" => "--batch-size".into(),
            variable if variable.starts_with("GLASSBOX_") => variable.into(),
            option => format!("--{}", option.replace('_', "-")),
        };
        let way_out = match *option {
            "validation_split" => {
                "; more rows give it more of them, and --validation-split 0 of `train` and `fit-arrays` takes none"
            }
            _ => "",
        };
        Self::new(kind_of(error), format!("{typed} is {found}, expected {expected}{way_out}"))
    }
}

fn kind_of(error: &Error) -> Kind {
    match error {
        Error::NonFinite(_) => Kind::NotFinite,
        Error::Device { .. } => Kind::Device,
        // The only callback that can fail is the one that writes checkpoints.
        Error::Callback(_) => Kind::Output,
        _ => Kind::Input,
    }
}
