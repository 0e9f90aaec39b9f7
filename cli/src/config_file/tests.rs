//! Files with their faults, and files that are understood.

use std::collections::BTreeSet;

use clap::ValueEnum;

use super::arguments;
use super::check::{CommandLine, check};
use super::effective::effective;
use super::fault::Faults;
use super::read::{Pipeline, Reading};
use super::schema::{KEYS, PIPELINE_KEYS};
use crate::args::{LogFormat, ProtocolName, ServeArguments};
use crate::models::ModelName;

/// A file as WeaselDB has it: its own tables beside those of its server.
const WEASELDB: &str = r#"
[http]
bind_address = "0.0.0.0"
port = 9080
accept_threads = 2
network_threads = 4
keepalive_timeout_sec = 60
request_timeout_sec = 30

[http.pipelines.commit_status]
ring_buffer_size = 512
threads = 3

[http.pipelines.default]
ring_buffer_size = 64

[commit]
min_request_id_length = 20

[subscription]
max_buffer_size_bytes = 10_485_760

[benchmark]
ok_resolve_iterations = 7000
"#;

fn alone(text: &str) -> Reading {
    check(text, &CommandLine::default())
}

fn good(text: &str) -> Reading {
    let reading = alone(text);
    assert_eq!(reading.faults, [], "{text}");
    reading
}

/// The faults as they are shown.
fn faults(text: &str) -> String {
    Faults::new("f", text, alone(text).faults).to_string()
}

/// The lines of the file that are named, in the order in which they are.
fn lines_named(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.strip_prefix("f:")?.split(':').next()).collect()
}

/// `serve` with a file.
fn serve(text: &str, flags: &str) -> ServeArguments {
    let words: Vec<_> =
        ["anabranch", "serve"].into_iter().chain(flags.split_whitespace()).map(Into::into).collect();
    arguments(&words, &good(text).settings).unwrap()
}

#[test]
fn each_fault_is_told_with_its_line_and_remedy() {
    for (text, at, what, remedy) in [
        // Keys that are not there.
        ("thraeds = 4", "f:1:1", "unknown key `thraeds`", "`threads`?"),
        ("\n[limits]\nmax-feilds = 4", "f:3:1", "unknown key `max-feilds` in [limits]", "`max_fields`?"),
        ("max_fields = 4", "f:1:1", "at the top of the file", "it belongs in [limits]"),
        ("[limits]\nmodel = \"pool\"", "f:2:1", "in [limits]", "at the top of the file, before any [table]"),
        ("[limits]\nhed_timeout = 4", "f:2:1", "unknown key", "`head_timeout`, in [deadlines]?"),
        ("[etx]\ncolour = 4", "f:2:1", "unknown key", "there are etx_delay, etx_max_message_bytes"),
        ("[limit]\nmax_fields = 4", "f:1:2", "unknown table [limit]", "`limits`?"),
        ("[http.pipeline.a]\nthreads = 4", "f:1:7", "unknown table [http.pipeline]", "`pipelines`?"),
        ("[tls]\na = 4", "f:1:2", "unknown table [tls]", "there are [limits], [deadlines]"),
        ("[http.pipelines.a]\nthread = 4", "f:2:1", "in [http.pipelines.a]", "`threads`?"),
        ("commit = 3", "f:1:1", "unknown key `commit`", "leave it out"),
        // Values of another type.
        ("port = \"9000\"", "f:1:8", "`port` cannot be a string", "without the quotes: port = 9000"),
        ("port = [80]", "f:1:8", "`port` cannot be an array", "from 0 to 65535"),
        ("threads = 1.5", "f:1:11", "`threads` cannot be a float", "a whole number, at least 1"),
        ("model = 3", "f:1:9", "`model` cannot be an integer", "one of \"single\", \"threads\""),
        ("[logging]\naccess_log = \"true\"", "f:2:14", "`access_log` cannot be", "access_log = true"),
        (
            "[http]\nkeepalive_timeout_sec = \"60s\"",
            "f:2:25",
            "cannot be a string",
            "whole number of seconds",
        ),
        ("limits = 3", "f:1:1", "`limits` is a table, and this is an integer", "a line `[limits]`"),
        ("[http]\npipelines = 3", "f:2:1", "unknown key `pipelines`", "there are"),
        ("[http.pipelines]\na = 3", "f:2:1", "`a` is a pipeline", "[http.pipelines.NAME]"),
        ("[[limits]]\nmax_fields = 3", "f:1:3", "`limits` is a table", "a line `[limits]`"),
        ("[port]\na = 3", "f:1:1", "`port` cannot be a table", "from 0 to 65535"),
        // Values out of range, each with its limit.
        ("port = 70000", "f:1:8", "70000 is not in 0..=65535", "the default is 8080"),
        ("threads = 0", "f:1:11", "at least 1", "a whole number"),
        ("threads = -3", "f:1:11", "-3 is less than nothing", "at least 1"),
        ("threads = 99999999999999999999", "f:1:11", "too large to be counted", "a whole number"),
        ("lane_queue = 2000000", "f:1:14", "at most 1048576", "a whole number"),
        ("lane_threads = 20000", "f:1:16", "at most 10000", "a whole number"),
        ("[http.pipelines.a]\nthreads = 20000", "f:2:11", "at most 10000", "a whole number"),
        ("[limits]\nmax_field_line_bytes = \"64KiB\"", "f:2:24", "at most 65535", "the default is \"16KiB\""),
        ("[limits]\nmax_header_bytes = \"off\"", "f:2:20", "cannot be `off`", "the default is \"64KiB\""),
        ("[limits]\nmax_body_bytes = 0", "f:2:18", "write `off` for no bound", "\"64MiB\""),
        ("[limits]\nmax_body_bytes = \"1QB\"", "f:2:18", "unknown unit `QB`", "like \"64KiB\""),
        ("[deadlines]\nhead_timeout = 10", "f:2:16", "`10s` or `10ms`?", "the default is \"10s\""),
        ("[deadlines]\nhead_timeout = \"0s\"", "f:2:16", "write `off` for no bound", "like \"500ms\""),
        ("[http]\nrequest_timeout_sec = 0", "f:2:23", "write `off` for no bound", "whole number of seconds"),
        ("[logging]\nverbose = 3", "f:2:11", "not 0, 1 or 2", "every event"),
        ("[http.pipelines.a]\nring_buffer_size = 0", "f:2:20", "at least 1", "a whole number"),
        ("[http.pipelines.\"a b\"]\nthreads = 1", "f:1:17", "cannot have this name", "digits"),
        ("bind = \"localhost\"", "f:1:8", "not an IP address", "\"127.0.0.1\" for this machine"),
        ("model = \"stagd\"", "f:1:9", "`model` cannot be \"stagd\"", "\"staged\"? There are \"single\""),
        ("[logging]\nlog_format = \"xml\"", "f:2:14", "cannot be \"xml\"", "There are \"text\", \"json\""),
        // What does not go together.
        ("model = \"single\"\nthreads = 4", "f:2:1", "`threads` is for model pool", "model = \"pool\""),
        ("acceptors = 4", "f:1:1", "for model staged, and this is model threads", "model = \"staged\""),
        ("model = \"staged\"\npin = \"on\"", "f:2:1", "`pin` is for model multi-reactor", "leave it out"),
        (
            "model = \"pool\"\n[http]\naccept_threads = 4",
            "f:3:1",
            "`http.accept_threads` is for model staged",
            "leave it out",
        ),
        ("port = 80\n[http]\nport = 81", "f:3:1", "`http.port` says again what `port` says", "keep one"),
        (
            "[http]\nkeepalive_timeout_sec = 1\n[deadlines]\nidle_timeout = \"1s\"",
            "f:4:1",
            "`deadlines.idle_timeout` says again",
            "keep one",
        ),
        (
            "lane_queue = 1\n[http.pipelines.default]\nring_buffer_size = 4",
            "f:3:1",
            "says again what `lane_queue` says",
            "keep one",
        ),
        // What is not TOML.
        ("port = ", "f:1:8", "not TOML: ", "a line is `key = value`"),
        ("[deadlines]\nhead_timeout = 10s", "f:2:16", "not TOML: ", "head_timeout = \"10s\""),
        ("[deadlines]\ngrace = [\"a\" \"b\" \"c\"]", "f:2:14", "not TOML: ", "a line is"),
        ("port = 1\nport = 2", "f:2:1", "not TOML: duplicate key", "keep one"),
    ] {
        let said = faults(text);
        let first = said.lines().next().unwrap_or_default();
        assert!(first.starts_with(&format!("{at}: ")) && first.contains(what), "{text:?}: {said}");
        let last = said.lines().last().unwrap_or_default();
        assert!(last.starts_with("  remedy: ") && last.contains(remedy), "{text:?}: {said}");
        assert_eq!(said.matches("remedy: ").count(), 1, "{text:?}: {said}");
    }
}

#[test]
fn all_faults_are_told_at_once_in_the_order_of_the_file() {
    let said = faults(
        "port = 70000\nthraeds = 1\nbind = [\nqueue = 3\n[deadlines]\nhead_timeout = 10s\nidle_timeout = 3\n\
         [http.pipelines.b]\nthreads = 0\n[http.pipelines.a]\nthreads = true\n",
    );
    let at = lines_named(&said);
    assert!(["1", "2"].iter().all(|line| at.contains(line)), "{said}");
    let said = faults(
        "port = 70000\nthraeds = 1\nqueue = 3\n[deadlines]\nhead_timeout = 10s\nidle_timeout = 3\n\
         [http.pipelines.b]\nthreads = 0\n[http.pipelines.a]\nthreads = true\n",
    );
    let at = lines_named(&said);
    assert_eq!(at, ["1", "2", "3", "5", "6", "8", "10"], "{said}");
}

#[test]
fn keys_behind_a_header_that_cannot_be_read_are_no_faults_of_their_own() {
    let said = faults("thraeds = 1\n[limits\nmax_fields = 3\nhead_timeout = 3\n");
    let at = lines_named(&said);
    assert_eq!(at, ["1", "2"], "{said}");
}

#[test]
fn weaseldbs_file_is_understood_as_it_stands() {
    let reading = good(WEASELDB);
    let warned: Vec<&str> = reading.warnings.iter().map(|fault| fault.what.as_str()).collect();
    assert_eq!(warned.len(), 3, "{warned:?}");
    for table in ["commit", "subscription", "benchmark"] {
        assert!(
            warned.contains(&format!("[{table}] is WeaselDB's own, and not used here").as_str()),
            "{warned:?}"
        );
    }
    let serve = serve(WEASELDB, "");
    assert_eq!(
        (serve.model, serve.port, serve.bind.to_string().as_str()),
        (ModelName::Staged, 9080, "0.0.0.0")
    );
    assert_eq!((serve.acceptors.unwrap().0, serve.threads.unwrap().0), (2, 4));
    assert_eq!(serve.lane_queue.unwrap().0, 64);
    let times = serve.deadlines;
    assert_eq!(times.idle_timeout.duration().unwrap().as_secs(), 60);
    for part in [times.head_timeout, times.body_timeout, times.handler_timeout] {
        assert_eq!(part.duration().unwrap().as_secs(), 30);
    }
    let span = serve.pipelines[0].span.clone();
    assert_eq!(&WEASELDB[span.clone()], "commit_status");
    let pipeline = Pipeline { name: "commit_status".into(), span, threads: Some(3), queue: Some(512) };
    assert_eq!(serve.pipelines, [pipeline]);
}

#[test]
fn logging_is_what_the_file_says() {
    for level in 0..3 {
        let text =
            format!("[logging]\nverbose = {level}\naccess_log = {}\nlog_format = \"json\"", level == 1);
        let log = serve(&text, "").log;
        assert_eq!((log.verbose, log.access_log, log.log_format), (level, level == 1, LogFormat::Json));
    }
}

#[test]
fn part_of_a_request_that_has_its_own_deadline_keeps_it() {
    for text in [
        "[http]\nrequest_timeout_sec = 30\n[deadlines]\nbody_timeout = \"5s\"",
        "[deadlines]\nbody_timeout = \"5s\"\n[http]\nrequest_timeout_sec = 30",
    ] {
        let times = serve(text, "").deadlines;
        assert_eq!(times.body_timeout.to_string(), "5s");
        assert_eq!(times.head_timeout.to_string(), "30s");
    }
}

#[test]
fn model_that_is_named_counts_before_the_one_its_threads_name() {
    assert_eq!(serve("[http]\nnetwork_threads = 3", "").model, ModelName::Staged);
    let named = serve("model = \"multi-reactor\"\n[http]\nnetwork_threads = 3", "");
    assert_eq!((named.model, named.threads.unwrap().0), (ModelName::MultiReactor, 3));
    assert_eq!(serve("[http]\nport = 3", "").model, ModelName::Threads);
}

#[test]
fn flags_override_the_file() {
    let text = "model = \"staged\"\nport = 70000\nqueue = 3\nacceptors = 2\n[limits]\nmax_fields = 7\n";
    let line = CommandLine { flags: BTreeSet::from(["port"]), model: None, protocol: None };
    let told = check(text, &line).faults;
    // A value that cannot be is a fault though a flag overrides it; what the flag says is not taken from the file.
    assert_eq!(told.len(), 2, "{told:?}");

    let text = "model = \"staged\"\nport = 7000\nacceptors = 2\n[limits]\nmax_fields = 7\n";
    let line = CommandLine {
        flags: BTreeSet::from(["port", "model"]),
        model: Some(ModelName::Pool),
        protocol: None,
    };
    let reading = check(text, &line);
    assert_eq!(reading.faults, []);
    assert_eq!(reading.warnings.len(), 1, "{:?}", reading.warnings);
    assert!(reading.warnings[0].what.contains("`acceptors` is for model staged, and this is model pool"));
    assert_eq!(reading.settings.flags.keys().copied().collect::<Vec<_>>(), ["max-fields"]);
}

#[test]
fn what_means_nothing_to_the_protocol_is_set_aside_with_a_warning() {
    let told = |text: &str, line: &CommandLine| {
        let reading = check(text, line);
        assert_eq!(reading.faults, [], "{text}");
        let flags: Vec<_> = reading.settings.flags.keys().copied().collect();
        (flags, reading.warnings.iter().map(|warning| warning.what.clone()).collect::<Vec<_>>())
    };
    let both = "[limits]\nmax_fields = 7\nmax_output_bytes = 9\n[etx]\netx_delay = \"1s\"\n";
    let etx = "`limits.max_fields` is for protocol http, and this is protocol etx".to_owned();
    let nothing = CommandLine::default();
    assert_eq!(told(both, &nothing).1, [""; 0], "what is in [etx] says whom it is for");
    let named = format!("protocol = \"etx\"\n{both}");
    let left = vec!["etx-delay", "max-output-bytes", "protocol"];
    assert_eq!(told(&named, &nothing), (left.clone(), vec![etx.clone()]));
    let line =
        CommandLine { flags: BTreeSet::from(["protocol"]), model: None, protocol: Some(ProtocolName::Etx) };
    assert_eq!(told(both, &line), (left[..2].to_vec(), vec![etx]));
}

#[test]
fn what_is_printed_is_read_as_the_same_and_printed_the_same() {
    let everything = "bind = \"::1\"\nlane_threads = 5\n[limits]\nmax_body_bytes = \"1.5k\"\nmax_requests = \"off\"\n\
                      max_memory = 0x1000\n[deadlines]\nhead_timeout = \"90s\"\ngrace = \"off\"\n[logging]\nverbose = 2\n\
                      access_log = true\n";
    let etx = "protocol = \"etx\"\n[limits]\nmax_output_bytes = 5\n[etx]\netx_delay = 0\n";
    let mut texts = vec![String::new(), WEASELDB.to_owned(), everything.to_owned(), etx.to_owned()];
    texts.extend(ModelName::value_variants().iter().map(|model| format!("model = \"{}\"", model.name())));
    texts.push("model = \"pool\"\nthreads = 3".to_owned());
    for text in texts {
        let printed = effective(&good(&text).settings);
        let again = good(&printed);
        assert_eq!(again.warnings, [], "{printed}");
        assert_eq!(effective(&again.settings), printed, "{text}");
        assert_eq!(
            format!("{:?}", serve(&printed, "").limits),
            format!("{:?}", serve(&text, "").limits),
            "{text}"
        );
        assert_eq!(
            format!("{:?}", serve(&printed, "").deadlines),
            format!("{:?}", serve(&text, "").deadlines),
            "{text}"
        );
        assert_eq!(format!("{:?}", serve(&printed, "").log), format!("{:?}", serve(&text, "").log), "{text}");
    }
}

#[test]
fn what_is_printed_says_which_values_are_defaults() {
    let printed =
        effective(&good("port = 9000\n[deadlines]\nidle_timeout = \"60s\"\nhead_timeout = \"10s\"").settings);
    let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
    assert_eq!(line("port"), "port = 9000");
    assert!(
        line("head_timeout").ends_with("# default") && line("max_memory = \"1GiB\"").ends_with("# default")
    );
    assert!(!printed.contains("\nqueue"), "{printed}");
    let pool = effective(&good("model = \"pool\"\nthreads = 3").settings);
    assert!(pool.contains("\nthreads = 3\n") && pool.contains("\nqueue = 3 "), "{pool}");
}

#[test]
fn file_may_say_what_every_flag_says() {
    // Each key with its default, or with something where there is none, is understood.
    let printed = effective(&good("model = \"staged\"").settings);
    for key in KEYS.iter().filter(|key| key.table != "http" && !["queue", "pin"].contains(&key.name)) {
        assert!(
            printed.contains(&format!("\n{} = ", key.name)) || printed.starts_with(key.name),
            "{}",
            key.path()
        );
    }
}

#[test]
fn example_is_right_and_names_every_key() {
    let example = include_str!("../../../examples/anabranch.toml");
    let reading = good(example);
    assert_eq!(reading.warnings, []);
    let (given, defaults) = (serve(example, ""), serve("", ""));
    let shown = |serve: &ServeArguments| format!("{:?} {:?} {:?}", serve.limits, serve.deadlines, serve.log);
    assert_eq!(shown(&given), shown(&defaults), "the example shows the defaults");
    let book = include_str!("../../../docs/operate.md");
    for key in KEYS.iter().chain(PIPELINE_KEYS) {
        assert!(book.contains(&format!("`{}`", key.name)), "docs/operate.md leaves out {}", key.path());
        let own = key.table != "http";
        assert!(
            !own || example.contains(&format!("{} = ", key.name)),
            "the example leaves out {}",
            key.path()
        );
    }
}

#[test]
fn pipelines_are_few_and_their_names_are_plain() {
    let many =
        |count| (0..count).map(|n| format!("[http.pipelines.p{n}]\nthreads = 1\n")).collect::<String>();
    assert_eq!(good(&many(64)).settings.pipelines.len(), 64);
    let said = faults(&many(65));
    assert!(said.contains("more than 64 pipelines") && said.matches("remedy: ").count() == 1, "{said}");
    let named = |name: &str| alone(&format!("[http.pipelines.{name:?}]\nthreads = 1\n")).faults.len();
    assert_eq!(["a", "A-b_9", &"a".repeat(32)].map(named), [0; 3]);
    assert_eq!(["", "a\0", "a/b", "\u{e9}", &"a".repeat(33)].map(named), [1; 5]);
}

#[test]
fn lane_that_no_route_asks_for_is_told_with_the_nearest_that_one_does() {
    for (name, remedy) in [
        ("commit_statsu", "`commit_status`?"),
        ("Commit-Status", "`commit_status`?"),
        ("defualt", "`default`?"),
        ("reports", "leave it out, or name a lane that work comes to: `commit_status`, `default`"),
    ] {
        let text = format!("[http.pipelines.{name}]\nthreads = 1\n");
        let said = Faults::new("f", &text, good(&text).warnings).to_string();
        assert!(said.starts_with(&format!("f:1:17: no route asks for lane `{name}`: ")), "{said}");
        assert!(said.ends_with(&format!("\n  remedy: {remedy}")), "{said}");
    }
    let text = "[http.pipelines.commit_status]\nthreads = 1\n[http.pipelines.default]\nthreads = 1\n";
    assert_eq!(good(text).warnings, []);
}

#[test]
fn lane_that_nobody_configured_is_told_where_the_configuration_is_printed() {
    let told = "\n# [http.pipelines.commit_status] is asked for";
    assert!(effective(&good("").settings).contains(told));
    assert!(!effective(&good(WEASELDB).settings).contains(told));
}

#[test]
fn any_bytes_are_read_without_a_panic() {
    let noise =
        "[http.pipelines.a]\nthreads=\"\u{1F980}\"\n[[a]]\n'b'=1979-05-27\nc={d=[1,{}]}\n\"\\u0000\"=nan\n";
    let text = format!("{WEASELDB}{noise}");
    let ends = (0..=text.len()).filter(|end| end % 7 == 0 || *end > WEASELDB.len());
    for end in ends.filter(|end| text.is_char_boundary(*end)) {
        let _ = faults(&text[..end]);
    }
}
