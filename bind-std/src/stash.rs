//! The buffers of threads that have work, given back while they sleep.

use std::sync::{Mutex, PoisonError};

use bytes::BytesMut;

use crate::host::Workspace;

/// A blocking thread's buffers and spare state while it has work.
#[derive(Debug)]
pub(crate) struct Outfit {
    pub(crate) workspace: Workspace,
    /// Filled by blocking receives, and swapped with the scratch in the turn that follows: no copy.
    pub(crate) inbox: BytesMut,
}

/// The outfits that no thread needs at the moment. A connection that stands idle holds none, so that ten thousand of
/// them cost ten thousand stacks and not ten thousand buffers besides.
#[derive(Debug)]
pub(crate) struct Stash {
    read_size: usize,
    spare: Mutex<Vec<Outfit>>,
}

/// At most this many are kept.
const KEPT: usize = 32;

impl Stash {
    pub(crate) fn new(read_size: usize) -> Self {
        // A read of no bytes would say nothing.
        Self { read_size: read_size.max(1), spare: Mutex::default() }
    }

    /// The size of a read.
    pub(crate) const fn read_size(&self) -> usize {
        self.read_size
    }

    #[cold]
    pub(crate) fn take(&self) -> Outfit {
        let spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop();
        spare.unwrap_or_else(|| Outfit {
            workspace: Workspace::new(self.read_size),
            inbox: BytesMut::with_capacity(self.read_size),
        })
    }

    #[cold]
    pub(crate) fn give(&self, outfit: Outfit) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < KEPT {
            spare.push(outfit);
        }
    }
}
