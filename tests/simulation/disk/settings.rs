//! The kind of system that the disk simulates, and its limits.

use rustix::io::Errno;

use super::memory::Eviction;

/// What a power cut may lose. Each model allows every loss of the previous models, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing is recorded. A little faster, for runs without power cuts.
    None,
    /// All changes reach the disk in order, content before the name that shows it. After a power cut the disk is in a
    /// state that it had before. An fsync writes all earlier changes. ext4 with `data=journal` behaves so; ext4 with
    /// `data=ordered` and without delayed allocation nearly does, and so do file systems that write snapshots, as ZFS
    /// and APFS.
    Ordered,
    /// Names, sizes and times are journalled, and reach the disk in order. Content is independent of them. A file may
    /// have its name and be empty or short, or have its length with any subset of its unwritten blocks zero or filled
    /// with old data of others. An fsync of a file writes its content and commits all earlier changes of names, sizes
    /// and times; an fsync of a directory only commits these. ext4 (`data=writeback`, and for empty files
    /// `data=ordered` with delayed allocation), XFS, and Btrfs without its log behave so.
    Journalled,
    /// Only fsync orders changes. Each directory entry, each inode (link count, size and times together) and each block
    /// of content may be in any of its states since it was last written. An fsync of a file writes its content and its
    /// inode, but no name; an fsync of a directory writes its entries, but no inode. The file system check at the start
    /// removes a name whose inode was never written, or was last written without a name. So a file is lost that was
    /// flushed while it was unnamed and then linked, even if its directory was flushed. Ext2 was seen to do so; FAT and
    /// similar file systems order nothing either. The check also removes an entry whose file was freed on the disk when
    /// another took its name, before the directory was written: ext4 without a journal was seen to do that. This is
    /// left out for file systems without hard links: no program can prevent it there, and FAT keeps the file in its
    /// entry.
    Unordered,
}

/// A system.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Decides which faults happen, and what is lost.
    pub(crate) seed: u64,
    pub(crate) open_beneath: bool,
    pub(crate) unnamed_files: bool,
    /// Whether an unnamed file can be given a name, by `/proc` or by the kernel.
    pub(crate) can_link_unnamed: bool,
    pub(crate) rename_noreplace: bool,
    /// Whether a directory or file can be opened without permission to read it, to resolve paths or to identify it.
    pub(crate) opens_unreadable: bool,
    /// The error of hard links if they are not supported.
    pub(crate) no_links: Option<Errno>,
    /// The error of locks if they are not supported.
    pub(crate) no_locks: Option<Errno>,
    /// The error of fsync on a directory if it is not supported.
    pub(crate) no_directory_sync: Option<Errno>,
    /// Whether closing a file may report an error.
    pub(crate) may_fail_at_close: bool,
    /// The granularity of modification times, which are rounded down.
    pub(crate) time_granularity_ns: u64,
    /// The tick of the clock from which the file system takes its own times.
    pub(crate) tick_ns: u64,
    /// Whether the next new file gets the inode number of a removed one.
    pub(crate) reuses_inodes: bool,
    pub(crate) descriptors_max: usize,
    pub(crate) capacity_bytes: u64,
    pub(crate) quota_bytes: u64,
    pub(crate) file_size_max: Option<u64>,
    /// The length of a file from which on everybody would wait while its content is freed.
    pub(crate) long_file_bytes: u64,
    /// Before how many of 65,536 calls the system closes a file in the background.
    pub(crate) closing_rate: u16,
    pub(crate) reports_free_bytes: bool,
    /// Whether files can have extended attributes.
    pub(crate) keeps_attributes: bool,
    /// Whether a process can find out that the machine was restarted.
    pub(crate) has_boot_id: bool,
    /// Whether directory entries contain their kind.
    pub(crate) has_entry_kinds: bool,
    /// How many entries one system call reads.
    pub(crate) entries_at_once: usize,
    /// Which files are not in memory.
    pub(crate) eviction: Eviction,
    pub(crate) loss: Loss,
    /// The unit in which content is lost.
    pub(crate) block_bytes: usize,
}

impl Settings {
    /// Linux on ext4.
    pub(crate) fn linux(seed: u64) -> Settings {
        Settings {
            seed,
            open_beneath: true,
            unnamed_files: true,
            can_link_unnamed: true,
            rename_noreplace: true,
            opens_unreadable: true,
            no_links: None,
            no_locks: None,
            no_directory_sync: None,
            may_fail_at_close: false,
            time_granularity_ns: 1,
            tick_ns: 4_000_000,
            reuses_inodes: true,
            descriptors_max: 1024,
            capacity_bytes: u64::MAX,
            quota_bytes: u64::MAX,
            file_size_max: None,
            long_file_bytes: u64::MAX,
            closing_rate: 0,
            reports_free_bytes: true,
            keeps_attributes: true,
            has_boot_id: true,
            has_entry_kinds: true,
            entries_at_once: 64,
            eviction: Eviction::default(),
            loss: Loss::Ordered,
            block_bytes: 4096,
        }
    }

    /// Another system or an old kernel: only what POSIX guarantees.
    pub(crate) fn portable(seed: u64) -> Settings {
        Settings {
            open_beneath: false,
            unnamed_files: false,
            can_link_unnamed: false,
            rename_noreplace: false,
            opens_unreadable: false,
            may_fail_at_close: true,
            has_boot_id: false,
            ..Settings::linux(seed)
        }
    }

    /// Linux on a file system in user space that has neither hard links nor unnamed files.
    pub(crate) fn without_links(seed: u64) -> Settings {
        Settings { unnamed_files: false, no_links: Some(Errno::PERM), may_fail_at_close: true, ..Settings::linux(seed) }
    }
}
