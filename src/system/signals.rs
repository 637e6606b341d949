//! SIGINT and SIGTERM: the first signal requests a graceful shutdown, the second ends the process at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// The exit code after a second signal.
const EXIT_CODE_SECOND_SIGNAL: i32 = 1;

/// Registers the signal handlers. Returns a socket that becomes readable with the first signal.
///
/// # Errors
/// Those of creating a socket pair and of registering signal handlers.
pub fn shutdown_signal() -> io::Result<UnixStream> {
    let (wake, woken) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The handlers of a signal run in the order of their registration, so the first one sees whether a signal came
        // before. The second signal must end the process from within the handler, since the loop may be blocked in a
        // disk call.
        flag::register_conditional_shutdown(signal, EXIT_CODE_SECOND_SIGNAL, Arc::clone(&signalled))?;
        flag::register(signal, Arc::clone(&signalled))?;
        low_level::pipe::register(signal, wake.try_clone()?)?;
    }
    Ok(woken)
}
