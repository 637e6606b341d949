//! SIGINT and SIGTERM: the first asks the loop to finish, a second one ends the process at once.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

/// The exit code of a run that a second signal cut short.
const EXIT_CODE_CUT_SHORT: i32 = 1;

/// A socket that becomes readable with the first of the signals.
///
/// # Errors
/// Those of making a socket pair, and of registering signal handlers.
pub fn first_signal() -> io::Result<UnixStream> {
    let (wake, woken) = UnixStream::pair()?;
    woken.set_nonblocking(true)?;
    let signalled = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // The handlers of a signal run in the order of their registration. The second signal must end the process from
        // within the handler, since the loop may be blocked in a call to the disk.
        flag::register_conditional_shutdown(signal, EXIT_CODE_CUT_SHORT, Arc::clone(&signalled))?;
        flag::register(signal, Arc::clone(&signalled))?;
        low_level::pipe::register(signal, wake.try_clone()?)?;
    }
    Ok(woken)
}
