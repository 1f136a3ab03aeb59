//! Errors as a shell sees them: one line, and an exit code.

use std::fmt::Display;
use std::process::ExitCode;

use glassbox::checkpoint::CheckpointError;

use glassbox_engine::Error;
use glassbox_engine::text::one_line;
use glassbox_lab::study::StudyError;
use glassbox_pipeline::detection::DetectionError;
use glassbox_pipeline::detector::DetectorError;
use glassbox_pipeline::tutorial::TutorialError;

/// Why the command ended without success. The exit codes are part of the interface: `glassbox --help` and
/// `docs/command.md` list them.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    message: String,
}

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A requested check failed.
    Check = 1,
    /// An input file, a model or an option cannot be used.
    Input = 3,
    /// A number is not finite.
    NotFinite = 4,
    /// An output could not be written.
    Output = 5,
    /// A download failed.
    Download = 6,
    /// The requested device cannot be used, or it failed.
    Device = 7,
    /// Ctrl-C. Shells use 128 plus the number of SIGINT.
    Interrupted = 130,
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Display) -> Self {
        Self { kind, message: message(error) }
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
        self.kind == Kind::Interrupted
    }

    /// The exit code.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
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
            // The names of Keras's arguments are options here.
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

    /// Names an option as it is typed, where the engine uses Keras's name, or no name.
    fn of_engine(error: &Error) -> Self {
        let Error::Option { option, found, expected } = error else {
            let options = match error {
                Error::Device { .. } => " (see --batch-size, --device, and --checkpoint-dir with --resume)",
                _ => "",
            };
            return Self::new(kind_of(error), format_args!("{error}{options}"));
        };
        let typed = match *option {
            "batch" => "--batch-size".into(),
            variable if variable.starts_with("GLASSBOX_") => variable.into(),
            option => format!("--{}", option.replace('_', "-")),
        };
        let way_out = match *option {
            "validation_split" => {
                "; use more rows, or train without validation: --validation-split 0 (`train` and `fit-arrays`)"
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
