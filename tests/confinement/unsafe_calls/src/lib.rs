//! System calls that no library offers as safe functions: those that create processes, and those whose arguments point into
//! memory. Each returns the number of the error.

use std::ffi::CStr;
use std::os::fd::{FromRawFd, OwnedFd};

use io_uring::{IoUring, opcode, types};

/// Asks for a descriptor through which the process handles its own page faults.
pub fn handle_page_faults() -> Result<OwnedFd, i32> {
    // SAFETY: without a range that is registered with it, the descriptor changes nothing.
    unsafe { owned(libc::syscall(libc::SYS_userfaultfd, 0)) }
}

/// Asks how many bytes the buffer of the kernel's log has.
pub fn kernel_log_bytes() -> Result<(), i32> {
    const SIZE_BUFFER: libc::c_int = 10;
    // SAFETY: this action writes to no memory.
    let result = unsafe { libc::syscall(libc::SYS_syslog, SIZE_BUFFER, 0, 0) };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Creates a process, which ends at once.
pub fn fork() -> Result<(), i32> {
    // SAFETY: the child makes no call but the one that ends it.
    match unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } {
        0 => unsafe { libc::_exit(0) },
        child if child > 0 => Ok(()),
        _ => Err(errno()),
    }
}

/// The same with `clone3`.
pub fn fork_with_clone3() -> Result<(), i32> {
    // `struct clone_args` of version 0, in which only the signal at the end is set.
    let arguments: [u64; 8] = [0, 0, 0, 0, libc::SIGCHLD as u64, 0, 0, 0];
    // SAFETY: as in `fork`; the arguments have the length that is passed.
    match unsafe { libc::syscall(libc::SYS_clone3, arguments.as_ptr(), size_of_val(&arguments)) } {
        0 => unsafe { libc::_exit(0) },
        child if child > 0 => Ok(()),
        _ => Err(errno()),
    }
}

/// Opens a file for reading by its handle, as `open_by_handle_at(2)` of the file system that `mount` is on.
pub fn open_by_handle(path: &CStr, mount: &CStr) -> Result<OwnedFd, i32> {
    // `struct file_handle`: the length of the handle, its type, and the handle.
    let mut handle = [0_u32; 2 + 32];
    handle[0] = 128;
    let mut mount_id = 0;
    // SAFETY: the handle has room for the length that it states, and the path ends with a null byte.
    unsafe {
        if libc::syscall(libc::SYS_name_to_handle_at, libc::AT_FDCWD, path.as_ptr(), &mut handle, &mut mount_id, 0) < 0 {
            return Err(errno());
        }
        let mount = owned(libc::open(mount.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC).into())?;
        owned(libc::syscall(libc::SYS_open_by_handle_at, std::os::fd::AsRawFd::as_raw_fd(&mount), &handle, libc::O_RDONLY))
    }
}

/// Opens a file for reading through io_uring, which does that for the process.
pub fn open_with_io_uring(path: &CStr) -> Result<OwnedFd, i32> {
    let number = |error: std::io::Error| error.raw_os_error().unwrap_or(0);
    let mut ring = IoUring::new(2).map_err(number)?;
    let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), path.as_ptr()).flags(libc::O_RDONLY).build();
    // SAFETY: the path outlives the operation, which has ended when the wait returns.
    unsafe { ring.submission().push(&open).map_err(|_| 0)? };
    ring.submit_and_wait(1).map_err(number)?;
    let result = ring.completion().next().ok_or(0)?.result();
    if result < 0 {
        return Err(-result);
    }
    // SAFETY: the operation has just created it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}

/// Loads the shortest program for the kernel's virtual machine.
pub fn load_bpf() -> Result<OwnedFd, i32> {
    const PROG_LOAD: libc::c_long = 5;
    const SOCKET_FILTER: u32 = 1;
    // r0 = 0; exit.
    let program: [u64; 2] = [0xb7, 0x95];
    let license = c"MIT";
    // The start of `union bpf_attr`: type, count, program, license.
    let mut attributes = [0_u64; 16];
    attributes[0] = u64::from(SOCKET_FILTER) | 2 << 32;
    attributes[1] = program.as_ptr() as u64;
    attributes[2] = license.as_ptr() as u64;
    // SAFETY: the attributes have the length that is passed, and what they point to is alive.
    unsafe { owned(libc::syscall(libc::SYS_bpf, PROG_LOAD, attributes.as_ptr(), size_of_val(&attributes))) }
}

/// Adds a key to the keyring of the process.
pub fn add_key() -> Result<(), i32> {
    const PROCESS_KEYRING: i32 = -2;
    let (kind, name, content) = (c"user", c"attacker", b"content");
    // SAFETY: each pointer is to a string that is alive, and the length is that of the content.
    let result = unsafe {
        let content_at = content.as_ptr();
        libc::syscall(libc::SYS_add_key, kind.as_ptr(), name.as_ptr(), content_at, content.len(), PROCESS_KEYRING)
    };
    if result < 0 { Err(errno()) } else { Ok(()) }
}

/// Takes over the descriptor `number` of the process `process`.
pub fn steal_descriptor(process: u32, number: u32) -> Result<OwnedFd, i32> {
    // SAFETY: the arguments are numbers.
    unsafe {
        let process = owned(libc::syscall(libc::SYS_pidfd_open, process, 0))?;
        owned(libc::syscall(libc::SYS_pidfd_getfd, std::os::fd::AsRawFd::as_raw_fd(&process), number, 0))
    }
}

/// # Safety
/// The descriptor, unless negative, must be new.
unsafe fn owned(descriptor: libc::c_long) -> Result<OwnedFd, i32> {
    match libc::c_int::try_from(descriptor) {
        // SAFETY: the caller's promise.
        Ok(descriptor) if descriptor >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(descriptor) }),
        _ => Err(errno()),
    }
}

fn errno() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}
