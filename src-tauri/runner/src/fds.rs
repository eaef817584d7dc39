//! Descriptors that pass from the launcher through bubblewrap to the runner.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
};

use rustix::{
    fs::{MemfdFlags, memfd_create},
    io::{FdFlags, fcntl_setfd},
};

/// Lets a descriptor survive the next `exec`, and gives its number.
pub(crate) fn keep_over_exec(fd: impl AsFd) -> io::Result<RawFd> {
    fcntl_setfd(&fd, FdFlags::empty())?;
    Ok(fd.as_fd().as_raw_fd())
}

/// A file in memory with this text, to be read from its start.
pub(crate) fn memory_file(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file.into())
}

/// Takes over a descriptor that was left open for this program, named by its number. It goes no
/// further: what this program starts does not get it.
#[expect(
    unsafe_code,
    reason = "exec passes descriptors on by number and in no other way"
)]
pub(crate) fn inherited(number: &OsStr) -> io::Result<OwnedFd> {
    let number: RawFd = number
        .to_str()
        .and_then(|text| text.parse().ok())
        .filter(|number| *number > 2)
        .ok_or_else(|| io::Error::other("not a descriptor number"))?;
    // Fails for a number that is not open, so the descriptor below is a real one.
    std::fs::symlink_metadata(format!("/proc/self/fd/{number}"))?;
    // SAFETY: it is open, and each number on our command line is taken over exactly once, before
    // there is any other thread.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// All of an inherited file.
pub(crate) fn read_inherited(number: &OsStr) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::from(inherited(number)?).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Keeps whatever descriptors this program was started with to itself: what leaks from the engine,
/// or from whoever started it, must not end up in a session.
#[expect(
    unsafe_code,
    reason = "descriptors that nobody owns in this program are only known by number"
)]
pub(crate) fn seal() -> io::Result<()> {
    let numbers: Vec<RawFd> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // SAFETY: no descriptor is read, written or closed by this; the one of the directory that
        // was just listed is closed already, and setting a flag on it fails harmlessly.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
        if let Err(error) = fcntl_setfd(fd, FdFlags::CLOEXEC)
            && error != rustix::io::Errno::BADF
        {
            return Err(error.into());
        }
    }
    Ok(())
}
