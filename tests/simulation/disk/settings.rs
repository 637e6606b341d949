//! What kind of system the disk stands for, and how much of everything it has.

use rustix::io::Errno;

/// What a loss of power may take. Each model allows what the ones before it allow, and more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nothing is remembered of what could be lost: for runs without power cuts, a little faster.
    None,
    /// All changes reach the disk in the order in which they were made, content before the name that shows it: what is
    /// there after a cut is a state that was there before. An fsync of anything writes all that came before. So behaves ext4
    /// with `data=journal`; with `data=ordered` and without delayed allocation it comes close; so do file systems that write
    /// snapshots, as ZFS and APFS do.
    Ordered,
    /// Names, sizes and times are journalled, and reach the disk in order; content does not wait for them nor they for it.
    /// A file may have its name and be empty, or short, or have its length with any subset of its unwritten blocks zero or
    /// full of what others had there before. An fsync of a file writes its content and commits all names, sizes and times
    /// that were changed before; that of a directory commits only those. So behave ext4 (`data=writeback`, and `data=ordered`
    /// with delayed allocation as to empty files), XFS, Btrfs without its log.
    Journalled,
    /// Nothing is ordered but by fsync. Each entry of a directory is as new or as old as it likes, and so is each inode
    /// (its link count, size and times together), and each block of content. An fsync of a file writes its content and its
    /// inode as it is then, and no name; that of a directory writes its entries, and no inode. A name that leads to an inode
    /// that was never written, or was last written without a name, is removed by the check of the file system at the
    /// start: so a file is lost that was flushed while it was unnamed, then linked, and its directory flushed. Ext2 was seen
    /// to do so; FAT and the like order nothing either. In the same way an entry is removed whose file was freed on the disk when
    /// another took its name, before the directory was written: ext4 without a journal was seen to do that. Without hard links it is left out: no
    /// program can help it then, and FAT, which has none, keeps the file in its entry.
    Cruel,
}

/// The system.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Decides which faults happen, and what is lost.
    pub(crate) seed: u64,
    pub(crate) open_beneath: bool,
    pub(crate) unnamed_files: bool,
    /// Whether `/proc` or the kernel lets an unnamed file have a name.
    pub(crate) can_link_unnamed: bool,
    pub(crate) rename_noreplace: bool,
    /// A directory or file can be opened without permission to read it, to pass through or to identify it.
    pub(crate) opens_unreadable: bool,
    /// What is said of hard links where there are none.
    pub(crate) no_links: Option<Errno>,
    /// What is said of locks where there are none.
    pub(crate) no_locks: Option<Errno>,
    /// What is said of fsync of a directory where there is none.
    pub(crate) no_directory_sync: Option<Errno>,
    /// To what modification times are rounded down.
    pub(crate) time_granularity_ns: u64,
    /// How often the clock ticks from which the file system takes its own times.
    pub(crate) tick_ns: u64,
    /// Whether the number of a removed file goes to the next new one.
    pub(crate) reuses_inodes: bool,
    pub(crate) descriptors_max: usize,
    pub(crate) capacity_bytes: u64,
    pub(crate) quota_bytes: u64,
    pub(crate) file_size_max: Option<u64>,
    pub(crate) reports_free_bytes: bool,
    /// Whether files have extended attributes.
    pub(crate) keeps_attributes: bool,
    /// Whether a directory says of what kind its entries are.
    pub(crate) tells_kinds: bool,
    /// How many entries one system call reads.
    pub(crate) entries_at_once: usize,
    pub(crate) loss: Loss,
    /// Content is lost in such pieces.
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
            time_granularity_ns: 1,
            tick_ns: 4_000_000,
            reuses_inodes: true,
            descriptors_max: 1024,
            capacity_bytes: u64::MAX,
            quota_bytes: u64::MAX,
            file_size_max: None,
            reports_free_bytes: true,
            keeps_attributes: true,
            tells_kinds: true,
            entries_at_once: 64,
            loss: Loss::Ordered,
            block_bytes: 4096,
        }
    }

    /// Another system, or an old kernel: what POSIX has, and no more.
    pub(crate) fn portable(seed: u64) -> Settings {
        Settings {
            open_beneath: false,
            unnamed_files: false,
            can_link_unnamed: false,
            rename_noreplace: false,
            opens_unreadable: false,
            ..Settings::linux(seed)
        }
    }

    /// Linux on a file system without hard links, which has no unnamed files either.
    pub(crate) fn without_links(seed: u64) -> Settings {
        Settings { unnamed_files: false, no_links: Some(Errno::PERM), ..Settings::linux(seed) }
    }
}
