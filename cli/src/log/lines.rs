//! Where log lines go: through a bounded queue to a thread of their own, because whoever writes a line may be carrying a
//! connection and must not wait for a terminal or a pipe. A queue that is full loses lines and says how many.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::thread;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait.
const QUEUE: usize = 8_192;

/// Bytes that are written at once, at most, but for a line that is longer.
const BATCH: usize = 64 * 1024;

/// The end that lines are given to. Clones feed the same queue.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: SyncSender<Entry>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Answered when everything before it was written.
    Flush(Sender<()>),
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with_capacity(out, QUEUE)
    }

    fn with_capacity(out: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let (queue, entries) = sync_channel(capacity);
        let lost = Arc::new(AtomicU64::new(0));
        thread::Builder::new().name("log".into()).spawn({
            let lost = lost.clone();
            move || write(out, &entries, &lost)
        })?;
        Ok(Self { queue, lost })
    }

    /// Waits until everything given so far was written.
    pub(super) fn flush(&self) {
        let (answer, done) = channel();
        if self.queue.send(Entry::Flush(answer)).is_ok() {
            // The thread went down: then there is nothing to wait for.
            let _ = done.recv();
        }
    }
}

/// The subscriber writes each line whole.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.queue.try_send(Entry::Line(line.to_vec())) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;
    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn write(mut out: impl Write, entries: &Receiver<Entry>, lost: &AtomicU64) {
    let mut batch = Vec::new();
    while let Ok(first) = entries.recv() {
        let mut answers = Vec::new();
        let mut next = Some(first);
        while let Some(entry) = next {
            match entry {
                Entry::Line(line) => batch.extend_from_slice(&line),
                Entry::Flush(answer) => answers.push(answer),
            }
            next = if batch.len() < BATCH { entries.try_recv().ok() } else { None };
        }
        let missing = lost.swap(0, Ordering::Relaxed);
        if missing > 0 {
            batch
                .extend_from_slice(format!("{missing} log lines were lost: they came too fast\n").as_bytes());
        }
        // A log that cannot be written has nowhere to say so.
        let _ = out.write_all(&batch).and_then(|()| out.flush());
        batch.clear();
        // Whoever asked may have gone.
        for answer in answers {
            let _ = answer.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_in_order_and_are_there_after_a_flush() {
        let sink = Sink::default();
        let mut lines = Lines::start(sink.clone()).unwrap();
        for number in 0..1000 {
            writeln!(lines, "{number}").unwrap();
        }
        Lines::flush(&lines);
        let expected: String = (0..1000).map(|number| format!("{number}\n")).collect();
        assert_eq!(String::from_utf8(sink.0.lock().unwrap().clone()).unwrap(), expected);
    }

    /// Writes nothing before it is let go on.
    struct Stuck(Sink, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.1.recv();
            self.0.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn reader_that_stands_still_costs_lines_and_no_time() {
        let (sink, (go_on, wait)) = (Sink::default(), channel());
        let mut lines = Lines::with_capacity(Stuck(sink.clone(), wait), 4).unwrap();
        for number in 0..100 {
            lines.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        drop(go_on);
        Lines::flush(&lines);
        lines.write_all(b"last\n").unwrap();
        Lines::flush(&lines);
        let written = String::from_utf8(sink.0.lock().unwrap().clone()).unwrap();
        assert!(written.contains("log lines were lost"), "{written}");
        assert!(written.ends_with("last\n"), "{written}");
    }
}
