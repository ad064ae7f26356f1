//! Peers that do not read their answers: their connections are closed, and the memory of their answers is
//! available to others again.

use carryall_acceptance::peers::until;
use carryall_acceptance::{Api, Connection, Guest, Request, Response, Server, Signing, Store};

/// Memory for one large answer at a time.
const ONE_ANSWER: &str = "[limits]\nwrite_stall_seconds_max = 1\nanswers_in_flight_bytes_max = 22369622\n\
                          admission_wait_milliseconds_max = 1\n";
const ONE_CHANNEL: &str =
    "[limits]\nwrite_stall_seconds_max = 1\n[live]\nsubscribers_max = 1\nheartbeat_seconds = 1\n";

/// A guest with a dataset whose listing has 6 MB: more than the buffers of a connection take.
fn guest_with_a_large_dataset(server: &Server) -> Guest {
    let (api, guest) = (server.api(), server.api().new_user(&server.root()));
    api.put(&guest, "large", "k", &"\u{1}".repeat(1_000_000), 0);
    guest
}

fn listing(api: Api, guest: &Guest) -> Request {
    api.signed(&guest.caller, Request::new("GET", guest.records("large")))
}

fn is_refused_for_want_of_memory(answer: &Response) -> bool {
    matches!(answer.status, 429 | 503)
}

#[test]
fn an_answer_that_nobody_takes_ends_with_its_connection_and_gives_its_memory_back() {
    let server = Server::start_configured(Store::Memory, Some(ONE_ANSWER));
    let api = server.api();
    let (holder, other) = (guest_with_a_large_dataset(&server), guest_with_a_large_dataset(&server));
    assert_eq!(api.send(&listing(api, &other)).status, 200);
    // Refused connections end with their answer, so that only unread answers stay.
    let request = listing(api, &holder).header("Connection", "close").bytes(api.address);
    let mut held: Vec<Connection> = Vec::new();
    until("the answers that nobody takes leave no memory for another", || {
        // A request may find no memory itself while the answer before it is being written.
        let mut connection = Connection::open_narrow(api.address).unwrap();
        connection.send(&request).unwrap();
        held.push(connection);
        is_refused_for_want_of_memory(&api.send(&listing(api, &other))).then_some(())
    });
    // One is the connection that asks.
    until("their connections end", || (server.metric("carryall_connections", "") < 1.5).then_some(()));
    until("another large answer is served", || {
        let answer = api.send(&listing(api, &other));
        assert!(answer.status == 200 || is_refused_for_want_of_memory(&answer), "{}", answer.text());
        (answer.status == 200).then_some(())
    });
    let cut_off = held.iter_mut().filter_map(|connection| connection.answer().err()).count();
    assert!(cut_off > 0, "all answers arrived whole: nothing was held");
}

#[test]
fn a_channel_that_nobody_reads_gives_its_place_back() {
    let server = Server::start_configured(Store::Memory, Some(ONE_CHANNEL));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let asking = || {
        let request = Request::new("GET", format!("{}/changes", guest.dataset("prefs")));
        Signing::by(&guest.caller, "cognito-sync").headers(request, api.address)
    };
    let mut unread = Connection::open_narrow(api.address).unwrap();
    unread.send(&asking().bytes(api.address)).unwrap();
    let channels = || server.metric("carryall_live_channels", "");
    until("the channel is open", || (channels() > 0.5).then_some(()));
    let refused = Connection::open(api.address).unwrap().begin(&asking()).unwrap();
    assert_eq!(refused.outcome(), (503, "ServiceUnavailableException".to_owned()));
    let mut count = 0;
    until("the channel ends", || {
        api.put(&guest, "prefs", "k", "v", count);
        count += 1;
        (channels() < 0.5).then_some(())
    });
    let mut next = Connection::open(api.address).unwrap();
    assert_eq!(next.begin(&asking()).unwrap().status, 200);
}
