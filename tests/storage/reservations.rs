//! Space that is reserved ahead of an upload's content, on a disk that is nearly full.

use std::cell::Cell;
use std::rc::Rc;

use spindle::storage::{UploadId, UploadMode};

use crate::disk::{Call, Disk, Event};
use crate::operations::{START_NS, SYSTEMS, Trial, path};

/// A full disk may have reserved a part of the space before it fails.
#[test]
fn a_saved_upload_frees_the_space_that_a_full_disk_had_reserved_in_part() {
    for system in SYSTEMS {
        let disk = Disk::new(system.1(1), Rc::new(Cell::new(START_NS)));
        let directory = Trial::open(&disk).unwrap();
        directory.set_reserve_bytes_min(4);
        let (id, mode) = (UploadId::new(1), UploadMode::Replace);
        let mut upload = directory.begin_partial_upload(id, &path("name"), mode, None, false, Vec::new()).unwrap();
        upload.announce(Some(100));
        disk.at(Call::Reserve, 1, Event::Fault("no space to reserve"));
        upload.write(b"12345678").unwrap();
        upload.write(b"9").unwrap();
        assert_eq!(disk.names_with_reserved_space().len(), 1, "a part is reserved");
        upload.save(b"").unwrap();
        assert_eq!(disk.names_with_reserved_space(), [""; 0]);
    }
}
