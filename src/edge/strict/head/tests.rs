use super::*;

const LIMIT: usize = 16 * 1024;

fn judge(head: &[u8]) -> Result<Option<(usize, Framing)>, GateFault> {
    Head::default().read(head, LIMIT)
}

/// What a head with these lines is found to be.
fn lines(line: &str, fields: &[&str]) -> Result<Framing, GateFault> {
    let head = format!("{line}\r\n{}\r\n", fields.iter().map(|field| format!("{field}\r\n")).collect::<String>());
    judge(head.as_bytes()).map(|whole| {
        let (length, framing) = whole.expect("a whole head");
        assert_eq!(length, head.len(), "{head:?}");
        framing
    })
}

fn counted(length: u64) -> Result<Framing, GateFault> {
    Ok(Framing { body: Length::Counted(length), last: false })
}

#[test]
fn request_lines() {
    use GateFault::{Line, LineEnd, Method, Target, Version};
    let last = Ok(Framing { body: Length::Counted(0), last: true });
    for (line, wanted) in [
        ("GET / HTTP/1.1", counted(0)),
        ("HEAD /a/b%20c?d=e&f[g]=h|i HTTP/1.1", counted(0)),
        ("OPTIONS /a HTTP/1.1", counted(0)),
        ("POST /a HTTP/1.1", counted(0)),
        ("PUT /a HTTP/1.1", counted(0)),
        ("PATCH /a HTTP/1.1", counted(0)),
        ("DELETE /a HTTP/1.1", counted(0)),
        ("GET / HTTP/1.0", last),
        // The path is not the gate's matter.
        ("GET //a/../b;c\\d HTTP/1.1", counted(0)),
        ("TRACE / HTTP/1.1", Err(Method)),
        ("CONNECT a:443 HTTP/1.1", Err(Method)),
        ("PROPFIND / HTTP/1.1", Err(Method)),
        ("PRI * HTTP/2.0", Err(Method)),
        ("get / HTTP/1.1", Err(Method)),
        ("Get / HTTP/1.1", Err(Method)),
        ("GETT / HTTP/1.1", Err(Method)),
        ("GE(T / HTTP/1.1", Err(Line)),
        ("G\u{e9}T / HTTP/1.1", Err(Line)),
        (" GET / HTTP/1.1", Err(Line)),
        ("GET\t/ HTTP/1.1", Err(Line)),
        ("GET  / HTTP/1.1", Err(Target)),
        ("GET /  HTTP/1.1", Err(Line)),
        ("GET / HTTP/1.1 ", Err(Line)),
        ("GET /a b HTTP/1.1", Err(Line)),
        ("GET /a HTTP/1.1 HTTP/1.1", Err(Line)),
        ("GET", Err(Line)),
        ("GET /", Err(Line)),
        ("GET HTTP/1.1", Err(Line)),
        ("GET  HTTP/1.1", Err(Target)),
        ("GET http://a/ HTTP/1.1", Err(Target)),
        ("GET HTTP://a/ HTTP/1.1", Err(Target)),
        ("GET a:80 HTTP/1.1", Err(Target)),
        ("GET * HTTP/1.1", Err(Target)),
        ("OPTIONS * HTTP/1.1", Err(Target)),
        ("GET ?a HTTP/1.1", Err(Target)),
        ("GET /a#b HTTP/1.1", Err(Target)),
        ("GET /a?b#c HTTP/1.1", Err(Target)),
        ("GET /?`{}` HTTP/1.1", counted(0)),
        ("GET /` HTTP/1.1", Err(Target)),
        ("GET /\"a\" HTTP/1.1", Err(Target)),
        ("GET /<a> HTTP/1.1", Err(Target)),
        ("GET /\u{e9} HTTP/1.1", Err(Target)),
        ("GET /\0 HTTP/1.1", Err(Target)),
        ("GET /\x1b HTTP/1.1", Err(Target)),
        ("GET /\x7f HTTP/1.1", Err(Target)),
        ("GET /\ta HTTP/1.1", Err(Target)),
        ("GET /\ra HTTP/1.1", Err(LineEnd)),
        ("GET / HTTP/1.2", Err(Version)),
        ("GET / HTTP/2.0", Err(Version)),
        ("GET / HTTP/0.9", Err(Version)),
        ("GET / HTTP/1.10", Err(Version)),
        ("GET / HTTP/11", Err(Version)),
        ("GET / http/1.1", Err(Line)),
        ("GET / HTTPS/1.1", Err(Line)),
        ("GET / RTSP/1.0", Err(Line)),
        ("", Err(LineEnd)),
    ] {
        assert_eq!(lines(line, &["Host: a"]), wanted, "{line:?}");
    }
}

#[test]
fn fields_and_what_they_say_together() {
    use GateFault::{Body, Encoding, Expect, Host, Length as Ambiguous, LineEnd, Name, Value};
    let post = "POST /a HTTP/1.1";
    let chunked = Ok(Framing { body: Length::Chunked, last: false });
    let last = Ok(Framing { body: Length::Counted(0), last: true });
    for (line, fields, wanted) in [
        (post, vec!["Host: a"], counted(0)),
        (post, vec!["hOST:a:8080"], counted(0)),
        (post, vec!["Host:   [::1]:8080  "], counted(0)),
        (post, vec![], Err(Host)),
        (post, vec!["Host: a", "Host: b"], Err(Host)),
        (post, vec!["Host: a", "HOST: a"], Err(Host)),
        (post, vec!["Host:"], Err(Host)),
        (post, vec!["Host: "], Err(Host)),
        (post, vec!["Host: a/b"], Err(Host)),
        (post, vec!["Host: u@a"], Err(Host)),
        (post, vec!["Host: a, b"], Err(Host)),
        (post, vec!["Host:\ta"], Err(Host)),
        (post, vec!["Host: \u{e9}"], Err(Host)),
        ("GET / HTTP/1.0", vec![], Err(Host)),
        (post, vec!["Host: a", "Content-Length: 12"], counted(12)),
        (post, vec!["Host: a", "Content-Length:  12  "], counted(12)),
        (post, vec!["Host: a", "Content-Length: 0"], counted(0)),
        (post, vec!["Host: a", "content-length: 9999999999999999999"], counted(9_999_999_999_999_999_999)),
        (post, vec!["Host: a", "Content-Length: 18446744073709551616"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2", "Content-Length: 2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2", "Content-Length: 3"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2, 2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2 2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 02"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 00"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: +2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: -2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 0x2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2.0"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: 2;"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length:"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length:\t2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Content-Length: \u{a0}2"], Err(Ambiguous)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked"], chunked),
        (post, vec!["Host: a", "transfer-encoding:Chunked "], chunked),
        (post, vec!["Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: identity"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: gzip, chunked"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked, chunked"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked, identity"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: identity"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: xchunked"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked;q=1"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: \"chunked\""], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding:\tchunked"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked\t"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked\u{a0}"], Err(Encoding)),
        (post, vec!["Host: a", "Transfer-Encoding: \x0bchunked"], Err(Value)),
        (post, vec!["Host: a", "Transfer-Encoding:"], Err(Encoding)),
        ("POST / HTTP/1.0", vec!["Host: a", "Transfer-Encoding: chunked"], Err(Encoding)),
        (post, vec!["Host: a", "Content-Length: 5", "Transfer-Encoding: chunked"], Err(Ambiguous)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked", "Content-Length: 5"], Err(Ambiguous)),
        (post, vec!["Host: a", "Transfer-Encoding: chunked", "Content-Length: 0"], Err(Ambiguous)),
        ("GET / HTTP/1.1", vec!["Host: a", "Content-Length: 0"], counted(0)),
        ("GET / HTTP/1.1", vec!["Host: a", "Content-Length: 1"], Err(Body)),
        ("HEAD / HTTP/1.1", vec!["Host: a", "Content-Length: 1"], Err(Body)),
        ("OPTIONS / HTTP/1.1", vec!["Host: a", "Transfer-Encoding: chunked"], Err(Body)),
        ("DELETE / HTTP/1.1", vec!["Host: a", "Content-Length: 1"], counted(1)),
        (post, vec!["Host: a", "Expect: 100-continue", "Content-Length: 1"], counted(1)),
        (post, vec!["Host: a", "Expect: 100-Continue"], counted(0)),
        (post, vec!["Host: a", "Expect: y 100-continue"], Err(Expect)),
        (post, vec!["Host: a", "Expect: 100-continue", "Expect: 100-continue"], Err(Expect)),
        (post, vec!["Host: a", "Expect:"], Err(Expect)),
        (post, vec!["Host: a", "Connection: close"], last),
        (post, vec!["Host: a", "Connection: x ,\tClose"], last),
        (post, vec!["Host: a", "Connection: close", "Connection: keep-alive"], last),
        (post, vec!["Host: a", "Connection: closed"], counted(0)),
        ("GET / HTTP/1.0", vec!["Host: a"], last),
        ("GET / HTTP/1.0", vec!["Host: a", "Connection: Keep-Alive"], counted(0)),
        ("GET / HTTP/1.0", vec!["Host: a", "Connection: keep-alive, close"], last),
        // An upgrade is only asked for; nobody answers it.
        (post, vec!["Host: a", "Connection: Upgrade", "Upgrade: websocket"], counted(0)),
        (post, vec!["Host: a", "X.!#$%&'*+-^_`|~9: x"], counted(0)),
        (post, vec!["Host: a", "X:"], counted(0)),
        (post, vec!["Host: a", "X: a\tb", "Cookie: name=caf\u{e9}"], counted(0)),
        (post, vec!["Host: a", "X_Y: a"], counted(0)),
        (post, vec!["Host: a", "__proto__: a"], Err(Name)),
        (post, vec!["Host: a", "__PROTO__: a"], Err(Name)),
        (post, vec!["Host: a", ": a"], Err(Name)),
        (post, vec!["Host: a", "X"], Err(Name)),
        (post, vec!["Host: a", "X : a"], Err(Name)),
        (post, vec!["Host: a", "X\t: a"], Err(Name)),
        (post, vec!["Host: a", "X\0: a"], Err(Name)),
        (post, vec!["Host: a", "X\r: a"], Err(LineEnd)),
        (post, vec!["Host: a", "\u{e9}: a"], Err(Name)),
        (post, vec!["Host: a", "X(): a"], Err(Name)),
        (post, vec!["Host: a", " X: a"], Err(Name)),
        (post, vec!["Host: a", "X: a", " folded"], Err(Name)),
        (post, vec!["Host: a", "X: a", "\tfolded"], Err(Name)),
        (post, vec![" Host: a"], Err(Name)),
        (post, vec!["Host: a", "X: \0"], Err(Value)),
        (post, vec!["Host: a", "X: a\x01b"], Err(Value)),
        (post, vec!["Host: a", "X: a\x7f"], Err(Value)),
        (post, vec!["Host: a", "X: a\x0cb"], Err(Value)),
        (post, vec!["Host: a", "X: a\rb"], Err(LineEnd)),
        (post, vec!["Host: a", "X: a\r"], Err(LineEnd)),
        (post, vec!["Host: a", "X: a\nb: c"], Err(LineEnd)),
        (post, vec!["Host: a", "\r"], Err(Name)),
    ] {
        assert_eq!(lines(line, &fields), wanted, "{line} {fields:?}");
    }
}

#[test]
fn line_ends_and_lengths() {
    use GateFault::{Headers, Line, LineEnd, TooLong};
    for (head, wanted) in [
        (&b"GET / HTTP/1.1\nHost: a\n\n"[..], LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n", LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\n", LineEnd),
        (b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LineEnd),
        (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", LineEnd),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\rX", LineEnd),
        // Refused before a line is whole: more bytes cannot mend it.
        (b"\r", LineEnd),
        (b"\x16\x03\x01\x02\x00", Line),
        (b"\0", Line),
        (b" ", Line),
        (b"GET /\r/", LineEnd),
        (b"GET / HTTP/1.1\r\nX: a\rb", LineEnd),
    ] {
        assert_eq!(judge(head), Err(wanted), "{:?}", String::from_utf8_lossy(head));
    }
    let many = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: a\r\n".repeat(count));
    assert!(judge(many(99).as_bytes()).unwrap().is_some());
    assert_eq!(judge(many(100).as_bytes()), Err(Headers));
    let long = |length: usize| format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(length - 32));
    assert_eq!(long(LIMIT).len(), LIMIT);
    assert!(judge(long(LIMIT).as_bytes()).unwrap().is_some());
    assert_eq!(judge(long(LIMIT + 1).as_bytes()), Err(TooLong));
    assert_eq!(judge(&long(2 * LIMIT).as_bytes()[..LIMIT]), Err(TooLong), "without an end in sight");
}

#[test]
fn the_pieces_in_which_a_head_comes_make_no_difference() {
    let head = b"POST /a HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nContent-Length: 7\r\nConnection: close\r\n\r\nBODY";
    for step in [1, 2, 3, 7] {
        let mut reader = Head::default();
        let found = (1..=head.len())
            .step_by(step)
            .chain([head.len()])
            .find_map(|end| reader.read(&head[..end], LIMIT).unwrap_or_else(|fault| panic!("{end}: {fault}")));
        let wanted = (head.len() - 4, Framing { body: Length::Counted(7), last: true });
        assert_eq!(found, Some(wanted), "{step}");
    }
}

/// The engine would answer by itself, without a word and without a record.
#[test]
fn the_engine_can_read_every_target_that_is_let_in() {
    for byte in 0..=u8::MAX {
        for target in [[b'/', byte].as_slice(), &[b'/', b'?', byte]] {
            let head = [b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
            if judge(&head).is_ok() {
                let uri = http::Uri::try_from(target).unwrap_or_else(|fault| panic!("{target:?}: {fault}"));
                assert_eq!(uri.to_string().as_bytes(), target, "and reads all of it");
            }
        }
    }
}
