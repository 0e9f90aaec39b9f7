//! The runtime that a service is to find itself in, if any: entered around whatever of the service's is called, polled or
//! dropped.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

/// Which runtime to enter. None by default: nothing here needs one.
#[derive(Clone, Default)]
pub(crate) struct Runtime {
    #[cfg(feature = "tokio")]
    handle: Option<tokio::runtime::Handle>,
}

/// For as long as it lives, the thread is within the runtime.
pub(crate) struct Entered<'a> {
    #[cfg(feature = "tokio")]
    _guard: Option<tokio::runtime::EnterGuard<'a>>,
    _runtime: &'a Runtime,
}

impl Runtime {
    #[cfg(feature = "tokio")]
    pub(crate) const fn tokio(handle: tokio::runtime::Handle) -> Self {
        Self { handle: Some(handle) }
    }

    #[inline]
    pub(crate) fn enter(&self) -> Entered<'_> {
        Entered {
            #[cfg(feature = "tokio")]
            _guard: self.handle.as_ref().map(tokio::runtime::Handle::enter),
            _runtime: self,
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(feature = "tokio")]
        return f.debug_tuple("Runtime").field(&self.handle).finish();
        #[cfg(not(feature = "tokio"))]
        f.write_str("Runtime")
    }
}

/// Something of the service's that is touched, and dropped, within the runtime only.
pub(crate) struct Inside<T> {
    runtime: Runtime,
    /// There until it is dropped.
    value: Option<T>,
}

impl<T> Inside<T> {
    pub(crate) const fn new(runtime: Runtime, value: T) -> Self {
        Self { runtime, value: Some(value) }
    }

    /// The same in another runtime.
    #[cfg(feature = "tokio")]
    pub(crate) fn move_to(&mut self, runtime: Runtime) {
        self.runtime = runtime;
    }

    /// Enters the runtime, and lends what is inside.
    ///
    /// # Panics
    /// Never: it is taken out by the drop alone.
    #[inline]
    pub(crate) fn with<R>(&mut self, touch: impl FnOnce(&mut T) -> R) -> R {
        let _entered = self.runtime.enter();
        touch(self.value.as_mut().expect("it is there until it is dropped"))
    }
}

impl<T> Drop for Inside<T> {
    fn drop(&mut self) {
        let _entered = self.runtime.enter();
        self.value = None;
    }
}

impl<F: Future> Future for Inside<Pin<Box<F>>> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        self.with(|future| future.as_mut().poll(context))
    }
}
