//! Hostile streams: what a peer sends without end to make a server keep it, and what it does with the answers.

/// Bytes of a stream.
pub(crate) const STREAM_BYTES: usize = 10 * 1024 * 1024;

/// How the peer takes what is sent to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taking {
    /// As fast as it comes.
    All,
    /// A byte now and then.
    Trickle,
    /// Not at all.
    Nothing,
}

/// What a stream makes a server hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aim {
    /// A head or a trailer section.
    Section,
    /// A body, for whoever reads it.
    Body,
    /// A body that is sent back as it comes.
    Echo,
    /// Answers, besides all that.
    Answers,
}

/// A beginning, and what is repeated behind it until the stream is long enough.
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    beginning: Vec<u8>,
    repeated: Vec<u8>,
    pub(crate) taking: Taking,
    pub(crate) aim: Aim,
}

impl Stream {
    fn new(name: &'static str, beginning: impl AsRef<[u8]>, repeated: impl AsRef<[u8]>) -> Self {
        let repeated = repeated.as_ref();
        // As long as a read, so that a read is a copy or two.
        let repeated = repeated.repeat((32 * 1024) / repeated.len() + 1);
        Self {
            name,
            beginning: beginning.as_ref().to_vec(),
            repeated,
            taking: Taking::All,
            aim: Aim::Section,
        }
    }

    /// Aims at answers, with a peer that takes them like this.
    fn taking(mut self, taking: Taking) -> Self {
        self.aim = Aim::Answers;
        self.taking = taking;
        self
    }

    fn aiming(mut self, aim: Aim) -> Self {
        self.aim = aim;
        self
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
fn head(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n")
}

fn chunked(target: &str) -> String {
    head("POST", target) + "Transfer-Encoding: chunked\r\n\r\n"
}

fn sized(target: &str) -> String {
    head("POST", target) + "Content-Length: 20000000\r\n\r\n"
}

/// One chunk.
fn chunk(len: usize) -> String {
    format!("{len:x}\r\n{}\r\n", "x".repeat(len))
}

fn get(target: &str) -> String {
    head("GET", target) + "\r\n"
}

fn expecting(target: &str) -> String {
    head("POST", target) + "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx"
}

/// Every stream.
pub(crate) fn all() -> Vec<Stream> {
    let mut streams = sections();
    streams.extend(bodies().into_iter().map(|stream| stream.aiming(Aim::Body)));
    streams.extend(echoes().into_iter().map(|stream| stream.aiming(Aim::Echo)));
    streams.extend(pipelines());
    streams.extend(others());
    streams
}

/// Lines and sections that do not end.
fn sections() -> Vec<Stream> {
    let (many, begun) = (head("GET", "/"), chunked("/collect") + "0\r\n");
    vec![
        Stream::new("a method without end", "", "M"),
        Stream::new("a target without end", "GET /", "a"),
        Stream::new("a field name without end", &many, "n"),
        Stream::new("a field value without end", many.clone() + "x: ", "v"),
        Stream::new("a Host without end", "GET / HTTP/1.1\r\nHost: ", "h"),
        Stream::new("small fields without end", &many, "a: b\r\n"),
        Stream::new("fields of one byte without end", &many, "a:\r\n"),
        Stream::new("large fields without end", &many, format!("x: {}\r\n", "v".repeat(8000))),
        Stream::new("heads as large as may be", "", head("GET", "/") + &large_fields() + "\r\n"),
        Stream::new("heads of many fields", "", head("GET", "/") + &"a: b\r\n".repeat(90) + "\r\n"),
        Stream::new("trailers without end", &begun, "a: b\r\n"),
        Stream::new("a trailer line without end", begun + "x: ", "v"),
        Stream::new("trailers of a body that is passed on", chunked("/echo") + "0\r\n", "a: b\r\n"),
        Stream::new(
            "bodies with trailers",
            "",
            chunked("/never") + "0\r\n" + &"a: b\r\n".repeat(90) + "\r\n",
        ),
    ]
}

fn large_fields() -> String {
    (0..7).map(|number| format!("x{number}: {}\r\n", "v".repeat(8000))).collect()
}

/// Sizes of chunks, on either side of what the queue and the output join or pass on.
const CHUNKS: [usize; 5] = [1, 511, 513, 4096, 60_000];

/// Bodies of every size of chunk, to whoever reads them or does not.
fn bodies() -> Vec<Stream> {
    const READERS: [(&str, &str); 6] = [
        ("a collecting handler", "/collect"),
        ("a future that reads", "/count"),
        ("one that reads once", "/once"),
        ("one that never reads", "/never"),
        ("a job that is not run", "/job"),
        ("one that has answered", "/ignore"),
    ];
    let mut streams = Vec::new();
    for (reader, target) in READERS {
        let name = |what: &str| -> &'static str { format!("{what} to {reader}").leak() };
        streams.push(Stream::new(name("a long body"), sized(target), "x"));
        for size in CHUNKS {
            streams.push(Stream::new(name(&format!("chunks of {size}")), chunked(target), chunk(size)));
        }
        // What joins small pieces pays for a whole block here.
        let uneven = chunk(1) + &chunk(1) + &chunk(512);
        streams.push(Stream::new(name("uneven chunks"), chunked(target), uneven));
        streams.push(Stream::new(name("extensions without end"), chunked(target) + "1;", "e"));
        streams.push(Stream::new(name("many extensions"), chunked(target), "1;ext=ension\r\nx\r\n"));
        streams.push(Stream::new(name("a size without end"), chunked(target), "0"));
        streams.push(Stream::new(name("a huge size"), chunked(target) + "fffffffffffffff\r\n", "x"));
    }
    streams
}

/// Bodies that are sent back as they come.
fn echoes() -> Vec<Stream> {
    let mut streams = Vec::new();
    for taking in [Taking::All, Taking::Trickle, Taking::Nothing] {
        let name =
            |what: &str| -> &'static str { format!("{what} echoed to a peer that takes {taking:?}").leak() };
        streams.push(Stream::new(name("a long body"), sized("/echo"), "x").taking(taking));
        for size in CHUNKS {
            let stream = Stream::new(name(&format!("chunks of {size}")), chunked("/echo"), chunk(size));
            streams.push(stream.taking(taking));
        }
    }
    streams
}

/// Requests in a row.
fn pipelines() -> Vec<Stream> {
    let mut streams = Vec::new();
    for taking in [Taking::All, Taking::Trickle, Taking::Nothing] {
        for (what, request) in [
            ("small requests", get("/")),
            ("requests for large answers", get("/large")),
            ("requests for endless answers", get("/endless")),
            ("requests for answers of one-byte parts", get("/crumbs")),
            ("requests for what a job makes", get("/job")),
            ("requests that are not answered", get("/silent")),
            ("requests with interim answers", get("/hints")),
            ("requests that expect 100", expecting("/collect")),
            ("requests that expect 100 in vain", expecting("/never")),
            ("collected bodies sent back", chunked("/collect") + &chunk(2000) + "0\r\n\r\n"),
            ("bodies that nobody wants", head("POST", "/") + "Content-Length: 5\r\n\r\n01234"),
        ] {
            let name = format!("{what}, to a peer that takes {taking:?}").leak();
            streams.push(Stream::new(name, "", request).taking(taking));
        }
    }
    streams
}

/// What is no request at all, or ends in another protocol.
fn others() -> Vec<Stream> {
    let upgrade = |target| head("GET", target) + "Connection: upgrade\r\nUpgrade: other\r\n\r\n";
    vec![
        Stream::new("line ends without end", "", "\r\n"),
        Stream::new("line feeds without end", "", "\n"),
        Stream::new("zeros without end", "", "\0"),
        Stream::new("an empty line before each request", "", "\r\n".to_owned() + &get("/")),
        Stream::new("line ends behind a request", get("/"), "\r\n"),
        Stream::new("bytes behind a refusal", "BAD\r\n\r\n", "x"),
        Stream::new("bytes behind the last request", head("GET", "/") + "Connection: close\r\n\r\n", "x"),
        Stream::new("bytes behind an upgrade that reads", upgrade("/upgrade"), "x"),
        Stream::new("bytes behind an upgrade that does not read", upgrade("/upgrade-deaf"), "x"),
        Stream::new("bytes behind an upgrade that is not flushed", upgrade("/upgrade"), "x")
            .taking(Taking::Nothing),
        Stream::new("bytes behind a tunnel", "CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n\r\n", "x"),
        Stream::new(
            "bytes behind a tunnel that was refused",
            "CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n\r\n",
            "x",
        ),
    ]
}
