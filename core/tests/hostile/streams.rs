//! Hostile streams: what a peer sends without end to make a server keep it, and what it does with the answers.

/// Bytes of a stream.
pub(crate) const STREAM_BYTES: usize = 10 * 1024 * 1024;

/// How the peer takes what is sent to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taking {
    /// As fast as it comes.
    All,
    /// Some bytes a turn.
    Little,
    /// Not at all.
    Nothing,
    /// So many bytes, and then not at all.
    First(usize),
}

impl Taking {
    pub(crate) const EACH: [Self; 3] = [Self::All, Self::Little, Self::Nothing];
}

/// What a stream makes a server hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aim {
    /// A head or a trailer section.
    Section,
    /// A body, for whoever reads it.
    Body,
    /// A body of any length, for one that keeps it whole.
    Hoard,
    /// A body that is sent back as it comes.
    Echo,
    /// Answers, besides all that.
    Answers,
}

/// A beginning, and what is repeated behind it until the stream is long enough.
pub(crate) struct Stream {
    pub(crate) name: String,
    beginning: Vec<u8>,
    repeated: Vec<u8>,
    pub(crate) aim: Aim,
}

impl Stream {
    pub(crate) fn new(
        name: impl Into<String>,
        beginning: impl AsRef<[u8]>,
        repeated: impl AsRef<[u8]>,
    ) -> Self {
        let repeated = repeated.as_ref();
        // As long as a read, so that a read is a copy or two.
        let repeated = repeated.repeat((32 * 1024) / repeated.len() + 1);
        Self { name: name.into(), beginning: beginning.as_ref().to_vec(), repeated, aim: Aim::Section }
    }

    fn aiming(mut self, aim: Aim) -> Self {
        self.aim = aim;
        self
    }

    /// How the peers take what comes of it: where hardly anything is answered, one is as good as another.
    pub(crate) fn takings(&self) -> &'static [Taking] {
        match self.aim {
            Aim::Echo | Aim::Answers => &Taking::EACH,
            Aim::Section | Aim::Body | Aim::Hoard => &[Taking::All],
        }
    }

    /// Whether some of it goes to a handler that collects it.
    pub(crate) fn is_collected(&self) -> bool {
        let collected = |bytes: &[u8]| bytes.windows(8).any(|window| window == b"/collect");
        collected(&self.beginning) || collected(&self.repeated)
    }

    /// The bytes from `at` on: as many as lie in a row, at least one.
    pub(crate) fn from(&self, at: usize) -> &[u8] {
        match at.checked_sub(self.beginning.len()) {
            None => &self.beginning[at..],
            Some(behind) => &self.repeated[behind % self.repeated.len()..],
        }
    }
}

/// A request's head, up to the fields that frame it.
pub(crate) fn head(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n")
}

pub(crate) fn chunked(target: &str) -> String {
    head("POST", target) + "Transfer-Encoding: chunked\r\n\r\n"
}

fn sized(target: &str) -> String {
    head("POST", target) + "Content-Length: 20000000\r\n\r\n"
}

/// One chunk.
pub(crate) fn chunk(len: usize) -> String {
    format!("{len:x}\r\n{}\r\n", "x".repeat(len))
}

pub(crate) fn get(target: &str) -> String {
    head("GET", target) + "\r\n"
}

fn expecting(target: &str) -> String {
    head("POST", target) + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
}

/// Every stream.
pub(crate) fn all() -> Vec<Stream> {
    let aiming = |streams: Vec<Stream>, aim| streams.into_iter().map(move |stream| stream.aiming(aim));
    let mut streams = sections();
    for (reader, target) in READERS {
        streams.extend(aiming(bodies(reader, target), Aim::Body));
    }
    streams.extend(aiming(bodies("one that collects whatever comes", "/collect-all"), Aim::Hoard));
    streams.extend(aiming(bodies("one that sends it back", "/echo"), Aim::Echo));
    streams.extend(aiming(pipelines(), Aim::Answers));
    streams.extend(others());
    streams
}

/// Lines and sections that do not end.
fn sections() -> Vec<Stream> {
    let many = head("GET", "/");
    vec![
        Stream::new("a method without end", "", "M"),
        Stream::new("a target without end", "GET /", "a"),
        Stream::new("a version without end", "GET / ", "H"),
        Stream::new("a field name without end", &many, "n"),
        Stream::new("a field value without end", many.clone() + "x: ", "v"),
        Stream::new("blanks before a value without end", many.clone() + "x:", " "),
        Stream::new("a Host without end", "GET / HTTP/1.1\r\nHost: ", "h"),
        Stream::new("small fields without end", &many, "a: b\r\n"),
        Stream::new("fields of one byte without end", &many, "a:\r\n"),
        Stream::new("large fields without end", &many, large_field(8000)),
        Stream::new("heads as large as may be", "", many.clone() + &large_field(8000).repeat(7) + "\r\n"),
        Stream::new("heads of many fields", "", many + &"a: b\r\n".repeat(90) + "\r\n"),
        Stream::new(
            "bodies with trailers",
            "",
            chunked("/never") + "0\r\n" + &"a: b\r\n".repeat(90) + "\r\n",
        ),
    ]
}

pub(crate) fn large_field(len: usize) -> String {
    format!("x: {}\r\n", "v".repeat(len))
}

/// Sizes of chunks, on either side of what the queue and the output join or pass on.
const CHUNKS: [usize; 5] = [1, 511, 513, 4096, 60_000];

/// Who reads a body, or does not.
const READERS: [(&str, &str); 7] = [
    ("a collecting handler", "/collect"),
    ("a future that reads", "/count"),
    ("one that reads once", "/once"),
    ("one that never reads", "/never"),
    ("one that never asked for it", "/silent"),
    ("a job that is not run", "/job"),
    ("one that has answered", "/ignore"),
];

/// Bodies of every size of chunk, and of chunks that are none.
fn bodies(reader: &str, target: &str) -> Vec<Stream> {
    let mut streams = Vec::new();
    let mut add = |what: &str, beginning: String, repeated: &str| {
        streams.push(Stream::new(format!("{what} to {reader}"), beginning, repeated));
    };
    let chunked = chunked(target);
    add("a long body", sized(target), "x");
    for size in CHUNKS {
        add(&format!("chunks of {size}"), chunked.clone(), &chunk(size));
    }
    // What joins small pieces pays for a whole block here.
    add("uneven chunks", chunked.clone(), &(chunk(1) + &chunk(1) + &chunk(512)));
    add("extensions without end", chunked.clone() + "1;", "e");
    add("many extensions", chunked.clone(), "1;name=value\r\nx\r\n");
    add("a size without end", chunked.clone(), "0");
    add("a large chunk", chunked.clone() + "fffffff\r\n", "x");
    add("a huge chunk", chunked.clone() + "fffffffffffffff\r\n", "x");
    add("the largest chunk", chunked.clone() + "7fffffffffffffff\r\n", "x");
    add("trailers without end", chunked.clone() + "0\r\n", "a: b\r\n");
    add("a trailer line without end", chunked + "0\r\nx: ", "v");
    streams
}

/// Requests in a row.
fn pipelines() -> Vec<Stream> {
    let body = |target: &str, len: usize| {
        head("POST", target) + &format!("Content-Length: {len}\r\n\r\n") + &"x".repeat(len)
    };
    let large = |target: &str| head("GET", target) + &large_field(10_000) + "\r\n";
    [
        ("small requests", get("/")),
        ("requests for heads alone", head("HEAD", "/") + "\r\n"),
        ("requests for large answers", get("/large")),
        ("requests for huge answers", get("/huge")),
        ("requests for endless answers", get("/endless")),
        ("requests for answers of one-byte parts", get("/crumbs")),
        ("requests for what a job makes", get("/job")),
        ("requests for what a job made", get("/quick-job")),
        ("large requests", large("/")),
        ("large requests for what a job made", large("/quick-job")),
        ("requests that are not answered", get("/silent")),
        ("requests with interim answers", get("/hints")),
        ("requests that expect 100", expecting("/collect")),
        ("requests that expect 100 in vain", expecting("/never")),
        ("requests that expect 100 before they are sent back", expecting("/echo")),
        ("collected bodies sent back", chunked("/collect") + &chunk(2000) + "0\r\n\r\n"),
        ("small collected bodies", body("/collect", 4)),
        ("bodies that nobody wants", body("/", 5)),
        ("large bodies that nobody wants", body("/", 1000)),
    ]
    .map(|(what, request)| Stream::new(what, "", request))
    .into()
}

/// What is no request at all, or ends in another protocol.
fn others() -> Vec<Stream> {
    let offering = |target, protocol: &str| {
        head("GET", target) + &format!("Connection: upgrade\r\nUpgrade: {protocol}\r\n\r\n")
    };
    let connect = |target: &str| format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    vec![
        Stream::new("line ends without end", "", "\r\n"),
        Stream::new("line feeds without end", "", "\n"),
        Stream::new("carriage returns without end", "", "\r"),
        Stream::new("zeros without end", "", "\0"),
        Stream::new("what TLS begins with", "", "\x16\x03\x01\x02\x00"),
        Stream::new("an empty line before each request", "", "\r\n".to_owned() + &get("/")),
        Stream::new("line ends behind a request", get("/"), "\r\n"),
        Stream::new("bytes behind a refusal", "BAD\r\n\r\n", "x"),
        Stream::new("bytes behind the last request", head("GET", "/") + "Connection: close\r\n\r\n", "x"),
        Stream::new("bytes behind an upgrade that reads", offering("/upgrade", "other"), "x"),
        Stream::new("bytes behind an upgrade that does not read", offering("/upgrade-deaf", "other"), "x"),
        Stream::new("bytes behind an upgrade that is not flushed", offering("/upgrade", "other"), "x")
            .aiming(Aim::Answers),
        Stream::new("bytes behind an upgrade that was not taken up", offering("/", "h2c"), "\0\0\0"),
        Stream::new("bytes behind a tunnel", connect("tunnel:1"), "x"),
        Stream::new("bytes behind a tunnel that was refused", connect("b:1"), "x"),
    ]
}
