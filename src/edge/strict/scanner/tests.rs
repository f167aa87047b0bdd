use proptest::prelude::*;

use super::*;

const LIMIT: usize = 1024;

fn scan(bytes: &[u8]) -> Found {
    Scanner::new(LIMIT).scan(bytes)
}

/// All that goes on of these bytes when they come in pieces of these sizes, and the fault.
fn in_pieces(bytes: &[u8], sizes: &[usize]) -> (Vec<u8>, usize, Option<GateFault>) {
    let mut scanner = Scanner::new(LIMIT);
    let (mut on, mut heads, mut held, mut rest) = (Vec::new(), 0, Vec::new(), bytes);
    let mut sizes = sizes.iter().copied().cycle();
    loop {
        let (piece, after) = rest.split_at(sizes.next().unwrap_or(1).min(rest.len()));
        rest = after;
        held.extend_from_slice(piece);
        let found = scanner.scan(&held);
        on.extend_from_slice(&held[..found.good]);
        heads += found.heads;
        held.drain(..found.good);
        match found.rest {
            Rest::Nothing => assert!(held.is_empty()),
            Rest::Incomplete => {}
            Rest::Behind => return (on, heads, None),
            Rest::NoRequest(fault) | Rest::NoBody(fault) => return (on, heads, Some(fault)),
        }
        if rest.is_empty() {
            return (on, heads, None);
        }
    }
}

#[test]
fn each_request_of_a_connection_is_read_and_nothing_behind_the_last() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\nGET /x HTTP/1.1\r\nHost: a\r\n\r\n30";
    let chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n";
    let close = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for (name, stream, good, heads, rest) in [
        ("nothing", String::new(), "", 0, Rest::Nothing),
        ("one", get.to_owned(), get, 1, Rest::Nothing),
        ("three", [get, post, chunked].concat(), "*", 3, Rest::Nothing),
        ("half", [get, "GET / HT"].concat(), get, 1, Rest::Incomplete),
        ("half a body", post.replace("\r\n30", ""), "*", 1, Rest::Nothing),
        ("behind the last", [close, get].concat(), close, 1, Rest::Behind),
        ("rubbish behind the last", [close, "\0\0"].concat(), close, 1, Rest::Behind),
        ("a body too long", [post, "xx / HTTP/1.1\r\n\r\n"].concat(), post, 1, Rest::NoRequest(GateFault::Method)),
        ("an empty line between", [get, "\r\n", get].concat(), get, 1, Rest::NoRequest(GateFault::LineEnd)),
        ("TE.CL", [chunked, "7\r\n\r\n"].concat(), chunked, 1, Rest::NoRequest(GateFault::Line)),
    ] {
        let good = if good == "*" { stream.as_str() } else { good };
        assert_eq!(scan(stream.as_bytes()), Found { good: good.len(), heads, rest }, "{name}");
    }
    let broken = chunked.replace("0\r\n\r\n", "0\r\nX: 1\r\n\r\n");
    let good = broken.len() - "X: 1\r\n\r\n".len();
    assert_eq!(scan(broken.as_bytes()), Found { good, heads: 1, rest: Rest::NoBody(GateFault::Trailer) });
}

#[test]
fn a_limit_holds_for_each_head_and_not_for_bodies() {
    let long = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{}", 9 * LIMIT, "x".repeat(9 * LIMIT));
    let two = [long.as_str(), long.as_str()].concat();
    assert_eq!(scan(two.as_bytes()), Found { good: two.len(), heads: 2, rest: Rest::Nothing });
}

/// Pieces of which streams are made, good and bad.
const PIECES: [&str; 26] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "Expect: 100-continue\r\n",
    "\r\n",
    "\n",
    "\r",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "5;x=y\r\nhello\r\n",
    "X: 1\r\n",
    " ",
    ":",
    "\0",
    "\t",
    "hello",
    "\u{e9}",
    "HTTP/1.1",
    "00000000005",
];

proptest! {
    #[test]
    fn the_pieces_in_which_a_stream_comes_make_no_difference(
        parts in prop::collection::vec(0..PIECES.len(), 1..12),
        sizes in prop::collection::vec(1_usize..40, 1..6),
    ) {
        let stream: Vec<u8> = parts.iter().flat_map(|&part| PIECES[part].bytes()).collect();
        let ((some, heads, fault), (all, as_many, as_faulty)) =
            (in_pieces(&stream, &sizes), in_pieces(&stream, &[stream.len()]));
        // Which of two faults is told first may depend on what has come; that there is one does not.
        prop_assert_eq!((some, heads, fault.is_some()), (all, as_many, as_faulty.is_some()));
    }

    #[test]
    fn no_bytes_can_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let found = scan(&bytes);
        prop_assert!(found.good <= bytes.len());
        prop_assert!(found.heads == 0, "random bytes are no request");
    }
}
