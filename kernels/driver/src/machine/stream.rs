//! Streams: work in its order, put off until somebody waits; captures, and the graphs that they make.

use std::collections::VecDeque;
use std::thread::{self, ThreadId};
use std::time::Instant;

use cudarc::driver::sys::CUresult as Code;
use glassbox_shim::Launch;

use super::{Answer, Machine, Thing, trace};

/// A stream.
#[derive(Default)]
pub(crate) struct Stream {
    waiting: VecDeque<Operation>,
    capture: Option<Capture>,
}

/// Launches that are recorded and not done.
struct Capture {
    by: ThreadId,
    launches: Vec<Launch>,
    /// Something was done meanwhile that must not be.
    void: bool,
}

/// An operation that a stream does in its turn.
pub(crate) enum Operation {
    Launch(Launch),
    Write { to: u64, bytes: Vec<u8> },
    Read { from: u64, to: Destination },
    Record { event: u64 },
}

/// Memory of the caller's that a copy goes to. It is written when somebody waits for the copy.
pub(crate) struct Destination {
    start: *mut u8,
    bytes: usize,
}

// SAFETY: whoever made it has promised that it may be written from any thread until the copy was waited for.
unsafe impl Send for Destination {}

impl Destination {
    /// # Safety
    /// * there are so many bytes, which nobody else uses until the copy was waited for.
    pub(crate) unsafe fn new(start: *mut u8, bytes: usize) -> Self {
        Self { start, bytes }
    }

    fn write(&self, bytes: &[u8]) {
        assert_eq!(bytes.len(), self.bytes);
        // SAFETY: there are so many bytes, of which nobody else knows: `new`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.start, bytes.len()) };
    }
}

impl Machine {
    pub(crate) fn create_stream(&mut self) -> Answer<u64> {
        Ok(self.keep(Thing::Stream(Stream::default())))
    }

    pub(crate) fn destroy_stream(&mut self, stream: u64) -> Answer {
        self.finish(stream)?;
        self.things.remove(&stream);
        Ok(())
    }

    /// Puts an operation at the end of a stream, or a launch into its capture.
    pub(crate) fn enqueue(&mut self, stream: u64, operation: Operation) -> Answer {
        if let Operation::Launch(launch) = &operation {
            let Launch { function, grid: [gx, gy, gz], block: [bx, by, bz], shared_bytes, .. } = launch;
            let capturing = if self.stream(stream)?.capture.is_some() { "captured: " } else { "" };
            trace(format_args!(
                "{capturing}cuLaunchKernel {function:?} {gx}x{gy}x{gz} blocks of {bx}x{by}x{bz} threads, {shared_bytes} bytes of shared memory"
            ));
        }
        let stream = self.stream(stream)?;
        match (&mut stream.capture, operation) {
            (None, operation) => stream.waiting.push_back(operation),
            (Some(capture), Operation::Launch(launch)) => capture.launches.push(launch),
            (Some(capture), _) => {
                capture.void = true;
                return Err(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
            }
        }
        Ok(())
    }

    /// Does all work of a stream.
    pub(crate) fn finish(&mut self, stream: u64) -> Answer {
        self.require_no_capture()?;
        while let Some(operation) = self.stream(stream)?.waiting.pop_front() {
            self.perform(operation)?;
        }
        Ok(())
    }

    /// Does all work.
    pub(crate) fn finish_all(&mut self) -> Answer {
        let is_stream =
            |(handle, thing): (&u64, &Thing)| matches!(thing, Thing::Stream(_)).then_some(*handle);
        let streams: Vec<u64> = self.things.iter().filter_map(is_stream).collect();
        streams.into_iter().try_for_each(|stream| self.finish(stream))
    }

    /// Does all work up to where an event was recorded, and what comes after it as well.
    pub(crate) fn finish_event(&mut self, event: u64) -> Answer {
        self.event(event)?;
        self.finish_all()
    }

    fn perform(&mut self, operation: Operation) -> Answer {
        match operation {
            Operation::Launch(launch) => self.do_launch(&launch),
            Operation::Write { to, bytes } => {
                let done = self.device.upload(&bytes, to);
                self.settle(done)
            }
            Operation::Read { from, to } => {
                let mut bytes = vec![0; to.bytes];
                let done = self.device.download(from, &mut bytes);
                self.settle(done)?;
                to.write(&bytes);
                Ok(())
            }
            Operation::Record { event } => {
                *self.event(event)? = Some(Instant::now());
                Ok(())
            }
        }
    }

    fn do_launch(&mut self, launch: &Launch) -> Answer {
        if self.settings.lost_after == Some(self.launches) {
            return Err(self.lose(Code::CUDA_ERROR_ECC_UNCORRECTABLE));
        }
        self.launches += 1;
        let done = self.device.launch(launch);
        self.settle(done)
    }

    // -----------------------------------------------------------------------------------------------------
    // Captures and graphs

    /// Refuses a call that a capture of this thread's does not survive, and voids the capture.
    pub(super) fn require_no_capture(&mut self) -> Answer {
        let here = thread::current().id();
        for thing in self.things.values_mut() {
            if let Thing::Stream(Stream { capture: Some(capture), .. }) = thing
                && capture.by == here
            {
                capture.void = true;
                return Err(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
            }
        }
        Ok(())
    }

    pub(crate) fn begin_capture(&mut self, stream: u64) -> Answer {
        let stream = self.stream(stream)?;
        if stream.capture.is_some() {
            return Err(Code::CUDA_ERROR_ILLEGAL_STATE);
        }
        stream.capture = Some(Capture { by: thread::current().id(), launches: vec![], void: false });
        Ok(())
    }

    pub(crate) fn end_capture(&mut self, stream: u64) -> Answer<u64> {
        let capture = self.stream(stream)?.capture.take().ok_or(Code::CUDA_ERROR_ILLEGAL_STATE)?;
        if capture.by != thread::current().id() {
            return Err(Code::CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
        }
        if capture.void {
            return Err(Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
        }
        Ok(self.keep(Thing::Graph(capture.launches)))
    }

    pub(crate) fn instantiate(&mut self, graph: u64) -> Answer<u64> {
        let launches = self.graph(graph)?.clone();
        trace(format_args!("cuGraphInstantiate {} launches", launches.len()));
        Ok(self.keep(Thing::Executable(launches)))
    }

    pub(crate) fn launch_graph(&mut self, executable: u64, stream: u64) -> Answer {
        self.require_no_capture()?;
        let launches = self.executable(executable)?.clone();
        trace(format_args!("cuGraphLaunch {} launches", launches.len()));
        self.stream(stream)?.waiting.extend(launches.into_iter().map(Operation::Launch));
        Ok(())
    }
}
