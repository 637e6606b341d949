//! Signals. Of SIGINT and SIGTERM, the first one requests a graceful shutdown, and the second ends the process at once.
//! SIGHUP requests that log files are opened anew, or, if the terminal has gone, a graceful shutdown. SIGXFSZ has no effect.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::{flag, low_level};

use super::terminal::Terminal;

/// The exit code after a second signal.
const EXIT_CODE_SECOND_SIGNAL: i32 = 1;

/// Sockets that signals make readable.
#[derive(Debug)]
pub struct Signals {
    /// For SIGINT and SIGTERM.
    pub shutdown: UnixStream,
    /// For SIGHUP.
    pub reload: UnixStream,
    /// The terminal whose end is also reported by SIGHUP.
    pub(super) terminal: Option<Terminal>,
}

impl Signals {
    /// Registers the signal handlers.
    ///
    /// # Errors
    /// Those of creating socket pairs and of registering signal handlers.
    pub fn register() -> io::Result<Signals> {
        let (wake, shutdown) = UnixStream::pair()?;
        shutdown.set_nonblocking(true)?;
        let signalled = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The handlers of a signal run in the order of their registration, so the first one sees whether a signal
            // came before. The second signal must end the process from within the handler, since the loop may be
            // blocked in a disk call.
            flag::register_conditional_shutdown(signal, EXIT_CODE_SECOND_SIGNAL, Arc::clone(&signalled))?;
            flag::register(signal, Arc::clone(&signalled))?;
            low_level::pipe::register(signal, wake.try_clone()?)?;
        }
        // A write beyond the limit on the size of files (RLIMIT_FSIZE) then fails, as on a full disk. Otherwise the process
        // would end when its access log reaches the limit.
        flag::register(SIGXFSZ, Arc::default())?;
        let terminal = Terminal::of_process();
        let (wake, reload) = UnixStream::pair()?;
        reload.set_nonblocking(true)?;
        low_level::pipe::register(SIGHUP, wake)?;
        Ok(Signals { shutdown, reload, terminal })
    }
}
