//! A router in front of handlers: what a path, a method and a `Content-Type` lead to, and what is said where they lead nowhere.

use anabranch_core::Lane;
use anabranch_core::app::{
    BodyParser, Endpoint, Missed, OptionsRequests, Outcome, ParseError, Request, Response, RouteError,
    Router, RouterBuilder, percent_decoded,
};
use anabranch_core::testing::Answer;
use http::{HeaderName, HeaderValue, Method};

use crate::kit::{answers, get, one_answer, post, rig};

fn routes() -> RouterBuilder {
    Router::builder()
        .get("/", |_, _| "root")
        .get("/users/{id}", |request, _| parameters(request, &["id"]))
        .get("/users/me", |_, _| "me")
        .get("/users/{user}/posts/{post}", |request, _| parameters(request, &["user", "post"]))
        .get("/files/{*path}", |request, _| parameters(request, &["path"]))
        .post("/users/{name}", |request, _| parameters(request, &["name", "id"]))
        .route(Method::DELETE, "/users/me", Endpoint::new(|_, _| "gone"))
        .post("/typed", |_, _| "any type")
        .route(Method::PUT, "/typed", Endpoint::new(|_, _| "json").consumes("application/json"))
        .route(Method::PUT, "/typed", Endpoint::new(|_, _| "text").consumes("text/plain"))
        .route(
            Method::GET,
            "/lane/{id}",
            Endpoint::on_lane(Lane("slow"), |request: &mut Request| parameters(request, &["id"])),
        )
}

/// The route's pattern, and the parameters of these names.
fn parameters(request: &Request, names: &[&str]) -> String {
    let value = |name: &&str| format!(" {name}={}", request.parameter(name).unwrap_or("?"));
    request.route().unwrap().to_owned() + &names.iter().map(value).collect::<String>()
}

fn ask(request: impl AsRef<[u8]>) -> Answer {
    ask_of(routes(), request)
}

fn ask_of(routes: RouterBuilder, request: impl AsRef<[u8]>) -> Answer {
    let mut rig = rig(routes.build().unwrap());
    rig.read(request);
    rig.run_jobs();
    one_answer(&rig.written())
}

fn with_type(method: &str, fields: &str) -> String {
    format!("{method} /typed HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{fields}\r\n")
}

#[test]
fn path_leads_to_its_handler_with_its_parameters() {
    for (target, text) in [
        ("/", "root"),
        ("/users/7", "/users/{id} id=7"),
        ("/users/7?id=8", "/users/{id} id=7"),
        ("/users/me", "me"),
        ("/users/a%2Fb", "/users/{id} id=a%2Fb"),
        ("/users/me/posts/9", "/users/{user}/posts/{post} user=me post=9"),
        ("/files/a/b/", "/files/{*path} path=a/b/"),
        ("http://elsewhere", "root"),
        ("http://elsewhere/users/7", "/users/{id} id=7"),
    ] {
        let answer = ask(get(target));
        assert_eq!((answer.status, answer.text()), (200, text), "{target}");
    }
    assert_eq!(ask(post("/users/7", "")).text(), "/users/{name} name=7 id=?");
}

#[test]
fn path_that_no_pattern_matches_is_not_found() {
    for target in ["/nothing", "/users", "/users/", "/users/7/", "/Users/7", "/%75sers/7", "//", "/files/"] {
        let answer = ask(get(target));
        assert_eq!((answer.status, answer.text()), (404, "404: nothing here\n"), "{target}");
    }
    assert_eq!(ask("OPTIONS /nothing HTTP/1.1\r\nHost: a\r\n\r\n").status, 404);
}

#[test]
fn parameter_is_decoded_on_request() {
    let routes = Router::builder().get("/{name}", |request, _| {
        match request.parameter("name").and_then(percent_decoded) {
            Some(name) => Response::ok(name.into_owned()),
            None => http::StatusCode::BAD_REQUEST.into(),
        }
    });
    assert_eq!(ask_of(routes, get("/a%20%2F%C3%BC")).text(), "a /ü");
}

#[test]
fn method_without_a_route_is_told_which_have_one() {
    for (method, target, allow) in [
        ("POST", "/", "GET, HEAD, OPTIONS"),
        ("get", "/", "GET, HEAD, OPTIONS"),
        ("PUT", "/users/7", "GET, HEAD, OPTIONS, POST"),
        // The path decides first: `POST /users/{name}` is not looked for behind `/users/me`.
        ("POST", "/users/me", "DELETE, GET, HEAD, OPTIONS"),
        ("HEAD", "/typed", "OPTIONS, POST, PUT"),
    ] {
        let mut rig = rig(routes().build().unwrap());
        rig.read(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let asked = if method == "HEAD" { "HEAD" } else { "GET" };
        let answers = answers(&rig.written(), &[asked]);
        assert_eq!((answers[0].status, answers[0].field("allow")), (405, Some(allow)), "{method} {target}");
    }
}

#[test]
fn body_is_not_waited_for_where_there_is_no_route() {
    for (head, status) in [
        ("POST / HTTP/1.1\r\n", 405),
        ("POST /nothing HTTP/1.1\r\n", 404),
        ("PUT /typed HTTP/1.1\r\nContent-Type: image/png\r\n", 415),
    ] {
        for framing in ["Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"] {
            for expect in ["", "Expect: 100-continue\r\n"] {
                let answer = ask(format!("{head}Host: a\r\n{framing}{expect}\r\n"));
                assert_eq!(answer.status, status, "{head}");
            }
        }
    }
}

#[test]
fn head_is_served_where_get_is() {
    let mut rig = rig(routes().build().unwrap());
    rig.read("HEAD /users/7 HTTP/1.1\r\nHost: a\r\n\r\n");
    let answers = answers(&rig.written(), &["HEAD"]);
    assert_eq!((answers[0].status, answers[0].field("content-length")), (200, Some("16")));

    let own =
        Router::builder().get("/", |_, _| "get").route(Method::HEAD, "/", Endpoint::new(|_, _| "of head"));
    let mut rig = crate::kit::rig(own.build().unwrap());
    rig.read("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(crate::kit::answers(&rig.written(), &["HEAD"])[0].field("content-length"), Some("7"));
}

#[test]
fn options_are_answered_unless_they_are_refused_or_routed() {
    let request = "OPTIONS /users/7 HTTP/1.1\r\nHost: a\r\n\r\n";
    let answer = ask(request);
    assert_eq!((answer.status, answer.field("allow")), (204, Some("GET, HEAD, OPTIONS, POST")));

    let answer = ask_of(routes().options(OptionsRequests::Refused), request);
    assert_eq!((answer.status, answer.field("allow")), (405, Some("GET, HEAD, POST")));

    let own = routes().route(Method::OPTIONS, "/users/{id}", Endpoint::new(|_, _| "options"));
    assert_eq!(ask_of(own, request).text(), "options");
}

#[test]
fn content_type_leads_to_the_endpoint_that_takes_it() {
    for (fields, text) in [
        ("Content-Type: application/json\r\n", "json"),
        ("Content-Type: APPLICATION/Json ; charset=utf-8\r\n", "json"),
        ("content-type:text/plain;charset=latin1\r\nContent-Encoding: identity\r\n", "text"),
    ] {
        let answer = ask(with_type("PUT", fields));
        assert_eq!((answer.status, answer.text()), (200, text), "{fields}");
    }
    assert_eq!(ask(with_type("POST", "Content-Type: image/png\r\n")).text(), "any type");
}

#[test]
fn content_type_that_nobody_takes_is_told_which_are_taken() {
    for fields in [
        "",
        "Content-Type: image/png\r\n",
        "Content-Type:\r\n",
        "Content-Type: application/json+x\r\n",
        "Content-Type: application/json, text/plain\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
    ] {
        let answer = ask(with_type("PUT", fields));
        assert_eq!(
            (answer.status, answer.field("accept")),
            (415, Some("application/json, text/plain")),
            "{fields}"
        );
        assert_eq!(answer.field("accept-encoding"), None);
    }
    let answer = ask(with_type("PUT", "Content-Type: text/plain\r\nContent-Encoding: gzip\r\n"));
    assert_eq!((answer.status, answer.field("accept-encoding")), (415, Some("identity")));
}

#[test]
fn body_of_no_stated_type_is_taken_for_a_stream_of_bytes() {
    let bytes = Endpoint::new(|_, _| "bytes").consumes("application/octet-stream");
    let answer = ask_of(Router::builder().route(Method::PUT, "/typed", bytes), with_type("PUT", ""));
    assert_eq!(answer.text(), "bytes");
}

#[test]
fn handler_of_a_lane_runs_as_its_job() {
    let mut rig = rig(routes().build().unwrap());
    rig.read(get("/lane/7"));
    assert_eq!(rig.written(), b"");
    let job = rig.jobs().take().unwrap();
    assert_eq!(job.lane(), Lane("slow"));
    job.run();
    rig.run();
    assert_eq!(one_answer(&rig.written()).text(), "/lane/{id} id=7");

    rig.read(get("/lane/8"));
    rig.lose_jobs();
    assert_eq!(one_answer(&rig.written()).status, 500);
}

#[test]
fn lanes_of_all_routes_are_known_once_each() {
    let lengths =
        || Endpoint::parsed_on_lane(Lane("lengths"), 9, Length::default, |_, length| length.to_string());
    let more = routes()
        .route(Method::PUT, "/lane/{id}", lengths().consumes("text/plain"))
        .route(Method::PUT, "/lane/{id}", lengths().consumes("text/html"))
        .route(Method::POST, "/elsewhere", Endpoint::on_lane(Lane("slow"), |_: &mut Request| "slow"));
    assert_eq!(more.build().unwrap().lanes(), [Lane("lengths"), Lane("slow")]);
    assert_eq!(Router::builder().get("/", |_, _| "here").build().unwrap().lanes(), []);
}

#[derive(Default)]
struct Length(usize);

impl BodyParser for Length {
    type Output = usize;

    fn feed(&mut self, chunk: &[u8]) -> Result<(), ParseError> {
        self.0 += chunk.len();
        Ok(())
    }

    fn finish(self) -> Result<usize, ParseError> {
        Ok(self.0)
    }
}

#[test]
fn answer_without_a_route_is_shaped_but_its_status_is_the_routers() {
    let shaped = || {
        routes().missed(|missed| {
            assert_ne!(missed.status(), 200);
            let text = if *missed == Missed::NotFound { "{}" } else { "[]" };
            Response::typed("application/json", text)
                .with_field(HeaderName::from_static("allow"), HeaderValue::from_static("WRONG"))
        })
    };
    let answer = ask_of(shaped(), get("/nothing"));
    assert_eq!((answer.status, answer.text()), (404, "{}"));
    let answer = ask_of(shaped(), post("/", ""));
    assert_eq!((answer.status, answer.text()), (405, "[]"));
    assert_eq!(answer.fields.iter().filter(|(name, _)| name == "allow").count(), 1);
    assert_eq!(answer.field("allow"), Some("GET, HEAD, OPTIONS"));
}

#[test]
fn routes_in_each_others_way_are_named_with_the_reason() {
    let endpoint = || Endpoint::new(|_, _| Outcome::from("never"));
    let error = |builder: RouterBuilder| builder.build().unwrap_err().to_string();
    assert_eq!(
        error(routes().get("/users/{name}", |_, _| "")),
        "GET /users/{name} conflicts with GET /users/{id}: both match the same method and paths, whatever their \
         parameters are called"
    );
    assert_eq!(
        error(routes().get("/files/{*rest}", |_, _| "")),
        "GET /files/{*rest} conflicts with GET /files/{*path}: both match the same method and paths, whatever their \
         parameters are called"
    );
    assert_eq!(
        error(routes().route(Method::PUT, "/typed", endpoint().consumes("Text/Plain"))),
        "PUT /typed (Text/Plain) conflicts with PUT /typed (text/plain): both take the same media type at the same \
         method and paths"
    );
    for (first, second) in
        [(endpoint().consumes("a/b"), endpoint()), (endpoint(), endpoint().consumes("a/b"))]
    {
        let both = Router::builder().route(Method::PUT, "/", first).route(Method::PUT, "/", second);
        assert!(matches!(both.build(), Err(RouteError::Conflict { .. })));
    }
    assert_eq!(error(Router::builder().get("/a/{*b}/c", |_, _| "")), "GET /a/{*b}/c: {*name} stands last");
    assert_eq!(
        error(Router::builder().route(Method::PUT, "/", endpoint().consumes("json"))),
        "PUT / (json): a media type is TYPE/SUBTYPE, without parameters"
    );
    let connect = error(Router::builder().route(Method::CONNECT, "/", endpoint()));
    assert_eq!(connect, "CONNECT /: CONNECT has no path to be routed by; it comes to Service::connect");
}

#[test]
fn routes_that_share_a_path_in_different_ways_stand_beside_each_other() {
    assert!(routes().get("/users/{id}/{*rest}", |_, _| "").get("/{*all}", |_, _| "").build().is_ok());
}
