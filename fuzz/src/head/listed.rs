//! Every way in which we and http-net judge a request head differently on purpose, each with why and an example.

/// A difference that is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Difference {
    // We take it, http-net does not.
    TargetBytes,
    FutureAddress,
    EmptyLineCounts,
    // http-net takes it, we do not.
    EmptyLines,
    Port,
    Address,
    EmptyCoding,
    ConnectWithBody,
    Expectation,
    // Both take it, and read it differently.
    UpgradeWithBody,
    UpgradeWithExpectation,
    UpgradeToHttp2,
    QuotedComma,
    AuthorityForm,
    // Neither takes it, and it is answered differently, or sooner.
    Sooner,
    Precedence,
    MethodFillsLine,
    CodingNoToken,
}

/// A difference, why it is there, and the smallest head that shows it.
#[derive(Debug)]
pub struct Listed {
    pub difference: Difference,
    pub why: &'static str,
    pub example: &'static str,
}

const fn listed(difference: Difference, why: &'static str, example: &'static str) -> Listed {
    Listed { difference, why, example }
}

/// The whole list. An example may hold `{n}`, which stands for the letter `x` so many times.
pub const LISTED: &[Listed] = &[
    listed(
        Difference::TargetBytes,
        "browsers send | ^ { } [ ] \\ ` and a lone % as they are, and none of them frames anything; http-net holds a target \
         to RFC 3986",
        "GET /a|b HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    listed(
        Difference::FutureAddress,
        "an address of a version to come may hold any unreserved byte (RFC 3986 §3.2.2); http-net takes hexadecimal digits, \
         dots and colons",
        "GET / HTTP/1.1\r\nHost: [v1.x]\r\n\r\n",
    ),
    listed(
        Difference::EmptyLineCounts,
        "the empty line that may come first counts against http-net's limit of the request line, and not against ours",
        "\r\nGET /{8178} HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    listed(
        Difference::EmptyLines,
        "we pass over one empty line before the request line (RFC 9112 §2.2: at least one), http-net over any number",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    listed(
        Difference::Port,
        "a port is at most 65535, and CONNECT needs one that is not 0; http-net takes any digits",
        "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n",
    ),
    listed(
        Difference::Address,
        "what stands in brackets has to be an IPv6 address (RFC 3986 §3.2.2); http-net takes any of its bytes",
        "GET / HTTP/1.1\r\nHost: [1]\r\n\r\n",
    ),
    listed(
        Difference::EmptyCoding,
        "a list may have empty members (RFC 9110 §5.6.1.2), yet proxies differ on whether `chunked,` is chunked: we refuse",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n",
    ),
    listed(
        Difference::ConnectWithBody,
        "the content of a CONNECT has no meaning (RFC 9110 §9.3.6), and what follows it might be taken for the tunnel's bytes",
        "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n",
    ),
    listed(
        Difference::Expectation,
        "an expectation that cannot be met is refused with 417 (RFC 9110 §10.1.1: may); http-net leaves that to its caller",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: x\r\n\r\n",
    ),
    listed(
        Difference::UpgradeWithBody,
        "we take no offer of another protocol with a body before it; http-net leaves that to the answer",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    listed(
        Difference::UpgradeWithExpectation,
        "who expects 100 is owed it before any 101 (RFC 9110 §7.8), and without a body there is nothing to continue: no offer",
        "GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    ),
    listed(
        Difference::UpgradeToHttp2,
        "an offer of h2c alone is none to http-net; with us the application chooses, and it knows whether it speaks h2c",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
    ),
    listed(
        Difference::QuotedComma,
        "options of a connection are tokens (RFC 9110 §7.6.1), so that a comma ends one even where quotes stand around it",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: \"a, close, b\"\r\n\r\n",
    ),
    listed(
        Difference::AuthorityForm,
        "a CONNECT is for the authority that is its target; http-net gives the Host field",
        "CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n",
    ),
    listed(
        Difference::Sooner,
        "we judge the request line when it ends, http-net when the head does; http-net refuses a section that leaves no room \
         for its last line, we when that line is sent",
        "GET / HTTP/2.0\r\n",
    ),
    listed(
        Difference::Precedence,
        "of several faults we name the one that comes first, line by line; http-net reads the field lines before it looks \
         into the request line",
        "GET / HTTP/2.0\r\n: x\r\n\r\n",
    ),
    listed(
        Difference::MethodFillsLine,
        "a method longer than any is 501 (RFC 9112 §3), a target 414; http-net says 414 of the line",
        "{8200}",
    ),
    listed(
        Difference::CodingNoToken,
        "a coding that is no token is one that we do not know: 501; http-net calls it malformed: 400",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"x\", chunked\r\n\r\n",
    ),
];

impl Listed {
    /// The example's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self.example.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
            Some((before, (count, after))) => {
                // The list is constant, and its counts are numbers.
                let count = count.parse().expect("a count");
                [before, &"x".repeat(count), after].concat().into_bytes()
            }
            None => self.example.as_bytes().to_vec(),
        }
    }
}
