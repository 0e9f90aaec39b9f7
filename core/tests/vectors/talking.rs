//! A conversation with the whole flow, and what it sends.

use anabranch_core::app::{Http, Settings};
use anabranch_core::testing::Rig;
use anabranch_core::{Flow, ReadOperation, WriteOperation};

use super::application::Application;
use super::text;
use super::vector::Step;

/// What was sent, the date left out, and how it ended.
pub(crate) fn talk(settings: &Settings, steps: &[Step], max_write: usize) -> (Vec<u8>, Option<String>) {
    let http = Http::new(Application).with_settings(settings.clone());
    let mut rig = Rig::connect(&http);
    let mut output = Vec::new();
    for step in steps {
        match step {
            Step::Bytes(bytes) => rig.feed(bytes, usize::MAX),
            Step::Eof => rig.eof(),
            Step::Wait(duration) => rig.advance(*duration),
        }
        take(&mut rig, max_write, &mut output);
    }
    let lingers = matches!(rig.next_write_operation(), WriteOperation::Close(_))
        && rig.next_read_operation() == ReadOperation::Read;
    if lingers {
        // A peer that was told of the end closes its half.
        rig.eof();
        take(&mut rig, max_write, &mut output);
    }
    (
        without_dates(&output),
        rig.close_reason().map(|reason| text::closed(rig.next_write_operation(), reason)),
    )
}

fn take(rig: &mut Rig<Box<dyn Flow>>, max: usize, output: &mut Vec<u8>) {
    while rig.next_write_operation() == WriteOperation::Write {
        output.extend(rig.write_at_most(max));
    }
}

/// Time moves the date on, and it is the same in every answer: it stays out of the files.
fn without_dates(output: &[u8]) -> Vec<u8> {
    const NAME: &[u8] = b"date: ";
    const LEN: usize = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".len();
    let mut rest = output;
    let mut kept = Vec::new();
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        kept.extend_from_slice(&rest[..at]);
        rest = &rest[(at + LEN).min(rest.len())..];
    }
    kept.extend_from_slice(rest);
    kept
}
