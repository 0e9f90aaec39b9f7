//! Every limit and every deadline as a flag. The defaults are core's own, so that the two cannot differ.

use anabranch_core::app::{Deadlines, Limits, Settings};
use anabranch_core::etx;
use anabranch_core::lifecycle::ServerConfig;
use clap::{Args, ValueEnum};

use crate::units::{Bound, Count, Size, Time};

/// Sizes and numbers.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// Connections served at once
    #[arg(long, value_name = "N", default_value_t = Count(ServerConfig::default().max_connections as u64))]
    pub max_connections: Count,
    /// What becomes of who comes when so many are served
    #[arg(long, value_enum, default_value_t = AtLimitName::Pause)]
    pub at_limit: AtLimitName,
    /// Bytes held for bodies, output and slow work by all connections together, or `off`
    #[arg(long, value_name = "SIZE", default_value_t = Bound::At(Size(1 << 30)))]
    pub max_memory: Bound<Size>,
    /// Bytes of a request body, or `off`; more is 413
    #[arg(long, value_name = "SIZE", default_value_t = Bound::At(Size(Limits::default().max_body_bytes)))]
    pub max_body_bytes: Bound<Size>,
    /// Bytes of the request line; more is 414
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_request_line_bytes))]
    pub max_request_line_bytes: Size,
    /// Field lines of a header or trailer section; more is 431
    #[arg(long, value_name = "N", default_value_t = Count(Limits::default().max_fields as u64))]
    pub max_fields: Count,
    /// Bytes of a header or trailer section; more is 431
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_header_bytes))]
    pub max_header_bytes: Size,
    /// Bytes of one field line, at most 65535; more is 431
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_field_line_bytes),
          value_parser = field_line)]
    pub max_field_line_bytes: Size,
    /// Bytes of a chunk-size line with its extensions; more is 400
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_chunk_line_bytes))]
    pub max_chunk_line_bytes: Size,
    /// Bytes of chunk extensions in one body; more is 400
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_chunk_extension_bytes))]
    pub max_chunk_extension_bytes: Size,
    /// Bytes of an unwanted body that are read and dropped to keep the connection
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_discard_bytes))]
    pub max_discard_bytes: Size,
    /// Bytes read and dropped after the last answer while the peer closes its half
    #[arg(long, value_name = "SIZE", default_value_t = Size(Limits::default().max_linger_bytes))]
    pub max_linger_bytes: Size,
    /// Bytes of answers that wait for a peer to take them, beyond which nothing more is begun for it
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_output_bytes))]
    pub max_output_bytes: Size,
    /// Bytes of a streamed request body that wait for the application, beyond which nothing is read
    #[arg(long, value_name = "SIZE", default_value_t = size(Limits::default().max_window_bytes))]
    pub max_window_bytes: Size,
    /// Requests on one connection before it is closed, or `off`
    #[arg(long, value_name = "N", default_value_t = Bound::Off)]
    pub max_requests: Bound<Count>,
}

/// Times.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Deadlines (each a time, or `off`)")]
pub struct DeadlineFlags {
    /// From a connection's start to its first byte
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().first_byte))]
    pub first_byte_timeout: Bound<Time>,
    /// From a request head's (or an ETX-ack message's) first byte to its last, however the bytes trickle
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().head))]
    pub head_timeout: Bound<Time>,
    /// A request body without any progress
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().body))]
    pub body_timeout: Bound<Time>,
    /// The least average rate of a request body, in bytes a second, or `off`
    #[arg(long, value_name = "SIZE", default_value_t = least_rate())]
    pub min_body_rate: Bound<Size>,
    /// From an answer's end to the next request's first byte
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().idle))]
    pub idle_timeout: Bound<Time>,
    /// An answer of which the peer takes nothing
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().write_stall))]
    pub write_timeout: Bound<Time>,
    /// From the last answer's end to the peer's closing its half
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().linger))]
    pub linger_timeout: Bound<Time>,
    /// From a request's end to its answer's beginning; then it is 503
    #[arg(long, value_name = "TIME", default_value_t = Bound::from(Deadlines::default().handler))]
    pub handler_timeout: Bound<Time>,
    /// From the first signal to the end of what is still in flight; `off` waits for it
    #[arg(long, value_name = "TIME", default_value_t = Bound::At(Time(ServerConfig::default().grace)))]
    pub grace: Bound<Time>,
}

/// What becomes of newcomers at the limit.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtLimitName {
    /// They wait in the kernel's queue until there is room
    Pause,
    /// They are told at once that there is no room (HTTP: 503); `single` while it serves, and `pool` with its queue full,
    /// accept nobody whom they could tell
    Refuse,
}

/// What an HTTP connection is held to.
#[must_use]
pub fn http_settings(limits: &LimitFlags, deadlines: &DeadlineFlags) -> Settings {
    let mut settings = Settings::default();
    let sizes = &mut settings.limits;
    sizes.max_request_line_bytes = limits.max_request_line_bytes.as_usize();
    sizes.max_fields = limits.max_fields.as_usize();
    sizes.max_header_bytes = limits.max_header_bytes.as_usize();
    sizes.max_field_line_bytes = limits.max_field_line_bytes.as_usize();
    sizes.max_body_bytes = limits.max_body_bytes.limit().map_or(u64::MAX, |size| size.0);
    sizes.max_chunk_line_bytes = limits.max_chunk_line_bytes.as_usize();
    sizes.max_chunk_extension_bytes = limits.max_chunk_extension_bytes.as_usize();
    sizes.max_discard_bytes = limits.max_discard_bytes.0;
    sizes.max_linger_bytes = limits.max_linger_bytes.0;
    sizes.max_output_bytes = limits.max_output_bytes.as_usize();
    sizes.max_window_bytes = limits.max_window_bytes.as_usize();
    sizes.max_requests = limits.max_requests.limit().map(|count| count.0);
    let times = &mut settings.deadlines;
    times.first_byte = deadlines.first_byte_timeout.duration();
    times.head = deadlines.head_timeout.duration();
    times.body = deadlines.body_timeout.duration();
    times.min_body_rate =
        deadlines.min_body_rate.limit().map(|rate| u32::try_from(rate.0).unwrap_or(u32::MAX));
    times.idle = deadlines.idle_timeout.duration();
    times.write_stall = deadlines.write_timeout.duration();
    times.linger = deadlines.linger_timeout.duration();
    times.handler = deadlines.handler_timeout.duration();
    settings
}

/// What an ETX-ack connection is held to: the same flags, as far as they have a meaning there.
#[must_use]
pub fn etx_settings(
    limits: &LimitFlags,
    deadlines: &DeadlineFlags,
    delay: core::time::Duration,
    max_message_bytes: usize,
) -> etx::Ack {
    let mut ack = etx::Ack::with_delay(delay);
    ack.max_message_bytes = max_message_bytes;
    ack.max_output_bytes = limits.max_output_bytes.as_usize();
    ack.max_linger_bytes = limits.max_linger_bytes.0;
    ack.idle_timeout = deadlines.idle_timeout.duration();
    ack.message_timeout = deadlines.head_timeout.duration();
    ack.write_timeout = deadlines.write_timeout.duration();
    ack.linger_timeout = deadlines.linger_timeout.duration();
    ack
}

const fn size(bytes: usize) -> Size {
    Size(bytes as u64)
}

fn least_rate() -> Bound<Size> {
    Deadlines::default().min_body_rate.map_or(Bound::Off, |rate| Bound::At(Size(u64::from(rate))))
}

/// Spans of a head are 16 bits wide.
fn field_line(text: &str) -> Result<Size, String> {
    match text.parse::<Size>() {
        Ok(size) if size.0 > 65_535 => Err("at most 65535".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Arguments, Command, ServeArguments};
    use clap::Parser;
    use core::time::Duration;

    fn parse(arguments: &str) -> ServeArguments {
        let words = ["anabranch", "serve"].into_iter().chain(arguments.split_whitespace());
        match Arguments::try_parse_from(words).unwrap().command {
            Command::Serve(serve) => *serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_flags_the_settings_are_the_defaults() {
        let serve = parse("");
        assert_eq!(http_settings(&serve.limits, &serve.deadlines), Settings::default());
    }

    #[test]
    fn each_flag_changes_its_own_setting_and_nothing_else() {
        let mut expected = Settings::default();
        expected.limits.max_request_line_bytes = 1;
        expected.limits.max_fields = 2;
        expected.limits.max_header_bytes = 3;
        expected.limits.max_field_line_bytes = 4;
        expected.limits.max_body_bytes = 5;
        expected.limits.max_chunk_line_bytes = 6;
        expected.limits.max_chunk_extension_bytes = 7;
        expected.limits.max_discard_bytes = 8;
        expected.limits.max_linger_bytes = 9;
        expected.limits.max_output_bytes = 10;
        expected.limits.max_window_bytes = 11;
        expected.limits.max_requests = Some(12);
        expected.deadlines.first_byte = Some(Duration::from_secs(13));
        expected.deadlines.head = Some(Duration::from_secs(14));
        expected.deadlines.body = Some(Duration::from_secs(15));
        expected.deadlines.min_body_rate = Some(16);
        expected.deadlines.idle = Some(Duration::from_secs(17));
        expected.deadlines.write_stall = Some(Duration::from_secs(18));
        expected.deadlines.linger = Some(Duration::from_secs(19));
        expected.deadlines.handler = Some(Duration::from_secs(20));
        let serve = parse(
            "--max-request-line-bytes 1 --max-fields 2 --max-header-bytes 3 --max-field-line-bytes 4 \
             --max-body-bytes 5 --max-chunk-line-bytes 6 --max-chunk-extension-bytes 7 --max-discard-bytes 8 \
             --max-linger-bytes 9 --max-output-bytes 10 --max-window-bytes 11 --max-requests 12 \
             --first-byte-timeout 13s --head-timeout 14s --body-timeout 15s --min-body-rate 16 \
             --idle-timeout 17s --write-timeout 18s --linger-timeout 19s --handler-timeout 20s",
        );
        assert_eq!(http_settings(&serve.limits, &serve.deadlines), expected);
    }

    #[test]
    fn off_lifts_a_bound() {
        let serve = parse(
            "--max-body-bytes off --max-requests off --first-byte-timeout off --head-timeout off \
             --body-timeout off --min-body-rate off --idle-timeout off --write-timeout off --linger-timeout off",
        );
        let settings = http_settings(&serve.limits, &serve.deadlines);
        assert_eq!(settings.limits.max_body_bytes, u64::MAX);
        let times = settings.deadlines;
        assert_eq!((times.first_byte, times.head, times.body, times.idle), (None, None, None, None));
        assert_eq!((times.min_body_rate, times.write_stall, times.linger), (None, None, None));
    }
}
