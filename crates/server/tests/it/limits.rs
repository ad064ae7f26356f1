//! Hostile and clumsy peers: too much, too slow, or contradictory.

use std::io::Write;
use std::net::TcpStream;

use crate::server::{Home, Server, one_answer, rest};

fn serve(limits: &str) -> (Home, Server) {
    let home = Home::new();
    let file = home.file("c.toml", &format!("[limits]\n{limits}\n"));
    let server = home.serve(&["--config", &file]);
    (home, server)
}

#[test]
fn a_request_with_two_lengths_is_refused_in_whatever_order_they_come() {
    let server = Home::new().serve(&[]);
    let lengths = ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"];
    for lengths in [lengths, [lengths[1], lengths[0]]] {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{}\r\n0\r\n\r\n", lengths.concat());
        let answer = server.send(request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.contains("Content-Length and Transfer-Encoding"), "{answer}");
    }
}

#[test]
fn a_second_request_with_two_lengths_on_a_connection_is_refused_too() {
    let server = Home::new().serve(&[]);
    let mut stream = server.connect();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 200"));
    stream
        .write_all(
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        )
        .unwrap();
    let answer = rest(&mut stream);
    assert!(answer.contains("Content-Length and Transfer-Encoding"), "{answer}");
}

#[test]
fn a_chunked_body_alone_is_read_and_so_is_the_next_request() {
    let server = Home::new().serve(&[]);
    let mut stream = server.connect();
    for _ in 0..2 {
        stream
            .write_all(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                  Transfer-Encoding: chunked\r\n\r\n18\r\nAction=GetCallerIdentity\r\n13\r\n&Version=2011-06-15\r\n0\r\n\r\n",
            )
            .unwrap();
        let answer = one_answer(&mut stream);
        assert!(answer.contains("<Code>MissingAuthenticationToken</Code>"), "{answer}");
    }
}

/// The head of a request that is refused before its body is read, since it has no signature.
fn unsigned(length: &str) -> String {
    format!("POST /identitypools/us-east-1:0/configuration HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n")
}

/// A chunked request on a connection that was kept open, and its answer.
fn ask_chunked(stream: &mut TcpStream, rest_of_last: &str) -> String {
    let request = format!("{rest_of_last}{}2\r\n{{}}\r\n0\r\n\r\n", unsigned("Transfer-Encoding: chunked"));
    stream.write_all(request.as_bytes()).unwrap();
    one_answer(stream)
}

#[test]
fn a_chunked_request_is_accepted_after_the_unread_body_of_a_refused_one() {
    let server = Home::new().serve(&[]);
    for (in_time, rest) in [("", "0123456789"), ("01234", "56789"), ("0123456789", "")] {
        let mut stream = server.connect();
        let refused = format!("{}{in_time}", unsigned("Content-Length: 10"));
        stream.write_all(refused.as_bytes()).unwrap();
        let answer = one_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("Connection: close"), "{answer}");
        let answer = ask_chunked(&mut stream, rest);
        assert!(answer.starts_with("HTTP/1.1 403"), "{in_time} {rest}: {answer}");
    }
}

#[test]
fn a_refused_live_channel_leaves_its_connection_open() {
    let server = Home::new().serve(&[]);
    let mut stream = server.connect();
    for _ in 0..2 {
        let path = "/identitypools/us-east-1:0/identities/us-east-1:1/datasets/d/changes";
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).unwrap();
        let answer = one_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("Connection: close"), "{answer}");
    }
}

#[test]
fn an_unread_body_does_not_vouch_for_the_next_request() {
    let server = Home::new().serve(&[]);
    let clean = unsigned("Transfer-Encoding: chunked");
    let mut stream = server.connect();
    stream.write_all(unsigned(&format!("Content-Length: {}", clean.len())).as_bytes()).unwrap();
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 403"));
    let two_lengths = unsigned("Content-Length: 5\r\nTransfer-Encoding: chunked");
    stream.write_all(format!("{clean}{two_lengths}0\r\n\r\n").as_bytes()).unwrap();
    let answer = one_answer(&mut stream);
    assert!(answer.contains("Content-Length and Transfer-Encoding"), "{answer}");
}

#[test]
fn the_body_of_a_pipelined_request_does_not_vouch_for_the_next_request_whatever_answers_it() {
    let server = Home::new().serve(&[]);
    let clean = unsigned("Transfer-Encoding: chunked");
    let length = format!("Content-Length: {}\r\n\r\n", clean.len());
    let preflight = "OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: b\r\nAccess-Control-Request-Method: POST\r\n";
    let sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n";
    for request in ["GET /metrics HTTP/1.1\r\nHost: a\r\n", preflight, sized] {
        let mut stream = server.connect();
        let ahead = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
        stream.write_all(format!("{ahead}{request}{length}").as_bytes()).unwrap();
        assert!(one_answer(&mut stream).starts_with("HTTP/1.1 200"));
        let two_lengths = unsigned("Content-Length: 5\r\nTransfer-Encoding: chunked");
        // A server that reads the body answers only now. One that does not may have closed the connection.
        let _ = stream.write_all(clean.as_bytes());
        let answer = one_answer(&mut stream);
        assert!(answer.contains("Connection: close"), "{request}: {answer}");
        let _ = stream.write_all(format!("{two_lengths}0\r\n\r\n").as_bytes());
        assert_eq!(rest(&mut stream), "", "{request}");
    }
}

#[test]
fn the_rest_of_a_line_behind_a_pipelined_body_is_not_vouched_for() {
    let server = Home::new().serve(&[]);
    let mut stream = server.connect();
    let line = "POST /identitypools/us-east-1:0/configuration HTTP/1.1";
    let ahead = "GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n";
    let form = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\na=b";
    let pipelined = format!("{ahead}{form}{line}\r\nHost: a\r\nContent-Length: 5\r\nX: ");
    stream.write_all(pipelined.as_bytes()).unwrap();
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 200"));
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 404"));
    let _ = stream.write_all(format!("{line}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").as_bytes());
    assert_eq!(rest(&mut stream), "");
}

#[test]
fn a_connection_ends_after_an_unread_body_whose_end_is_unknown() {
    let server = Home::new().serve(&[]);
    let chunked = unsigned("Transfer-Encoding: chunked");
    let pipelined = format!("GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n{}", unsigned("Content-Length: 10"));
    for (before, refused, rest_of_body) in
        [(0, chunked, "5\r\n01234\r\n0\r\n\r\n"), (1, pipelined, "0123456789")]
    {
        let mut stream = server.connect();
        stream.write_all(refused.as_bytes()).unwrap();
        for _ in 0..before {
            assert!(one_answer(&mut stream).starts_with("HTTP/1.1 200"));
        }
        let answer = one_answer(&mut stream);
        assert!(answer.starts_with("HTTP/1.1 403") && answer.contains("Connection: close"), "{answer}");
        stream.write_all(rest_of_body.as_bytes()).unwrap();
        assert_eq!(rest(&mut stream), "");
    }
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let (_home, server) = serve("header_bytes_max = 8192");
    let request = |bytes: usize| {
        format!(
            "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-A: {}\r\n\r\n",
            "a".repeat(bytes)
        )
    };
    assert!(server.send(request(7000).as_bytes()).starts_with("HTTP/1.1 200"));
    assert!(server.send(request(9000).as_bytes()).starts_with("HTTP/1.1 431"));
}

#[test]
fn a_body_that_announces_too_much_is_refused_before_it_is_sent() {
    let server = Home::new().serve(&[]);
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 99999999\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[test]
fn a_head_that_comes_too_slowly_ends_the_connection() {
    let (_home, server) = serve("header_seconds_max = 1");
    let mut stream = server.connect();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHo").unwrap();
    let answer = rest(&mut stream);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn a_body_that_comes_too_slowly_is_told_so() {
    let (_home, server) = serve("request_seconds_max = 1");
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 100\r\n\r\nAction=";
    stream.write_all(head.as_bytes()).unwrap();
    let answer = rest(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[test]
fn connections_beyond_the_limit_may_only_probe() {
    let (_home, server) = serve(
        "connections_max = 2\nconnections_per_source_max = 2\nbody_bytes_per_second_min = 1\nrequest_seconds_max = 600",
    );
    let held = [busy(&server), busy(&server)];
    assert!(ask(&mut server.connect(), "GET /health/ready").starts_with("HTTP/1.1 200"));
    let refused = ask(&mut server.connect(), "POST /");
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("ServiceUnavailable"), "{refused}");
    for mut stream in held {
        stream.write_all(&[b'a'; 100]).unwrap();
        assert!(one_answer(&mut stream).starts_with("HTTP/1.1 4"));
    }
}

/// A connection whose request the server is reading.
fn busy(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n\
                Content-Length: 100\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    assert!(one_answer(&mut stream).starts_with("HTTP/1.1 100"));
    stream
}

fn ask(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").as_bytes()).unwrap();
    one_answer(stream)
}

#[test]
fn an_idle_connection_makes_room_for_a_new_one() {
    let (_home, server) = serve("connections_max = 1");
    let mut idle = server.connect();
    assert!(ask(&mut idle, "GET /health/live").starts_with("HTTP/1.1 200"));
    // The client may have the answer before the server knows that it is written.
    let answer = (0..100)
        .map(|_| ask(&mut server.connect(), "POST /"))
        .find(|answer| !answer.starts_with("HTTP/1.1 503"));
    assert!(answer.is_some_and(|answer| answer.starts_with("HTTP/1.1 4")));
    assert_eq!(rest(&mut idle), "");
}

#[test]
fn what_is_not_http_gets_a_bare_4xx() {
    let server = Home::new().serve(&[]);
    for nonsense in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"HELLO\r\n\r\n",
    ] {
        let answer = server.send(nonsense);
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(server.get("/health/live").starts_with("HTTP/1.1 200"));
}
