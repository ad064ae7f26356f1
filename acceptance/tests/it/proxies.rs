//! The source of a request behind a proxy: the header of a trusted proxy counts, the header of any other
//! client does not.

use carryall_acceptance::{Api, Connection, Request, Server, Store};
use serde_json::json;

use crate::admission::{place, places, source};

/// 127.0.0.1 is a proxy; a source may create two identities at once, and one more each second.
const BEHIND_A_PROXY: &str = "[proxies]\ntrusted = [\"127.0.0.1/32\"]\n[limits]\nconnections_max = 32\n\
                              new_identities_per_source_per_second_max = 1\n\
                              new_identities_per_source_burst_max = 2\n";
/// The number of calls after which a source counts as unlimited.
const CALLS_MAX: usize = 50;

/// The number of identities that a source can create before it is refused; `header` is the one that names the
/// client.
fn creates(api: Api, pool: &str, from: u8, header: Option<(&str, &str)>) -> usize {
    let request = Request::new("POST", "/")
        .header("X-Amz-Target", "AWSCognitoIdentityService.GetId")
        .header("Content-Type", "application/x-amz-json-1.1")
        .body(json!({ "IdentityPoolId": pool }).to_string());
    let request = header.into_iter().fold(request, |request, (name, value)| request.header(name, value));
    let mut connection = Connection::open_from(source(from), api.address).unwrap();
    let refused = (0..CALLS_MAX).find(|_| {
        let answer = connection.exchange(&request).unwrap();
        let error = answer.error();
        assert!(answer.status == 200 || error == "TooManyRequestsException", "{}", answer.text());
        answer.status != 200
    });
    assert!(refused.is_some(), "{header:?} from {from} is not bounded");
    refused.unwrap_or_default()
}

#[test]
fn a_source_is_what_a_trusted_proxy_says() {
    let server = Server::start_configured(Store::Memory, Some(BEHIND_A_PROXY));
    let api = server.api();
    let pool = api.new_pool(&server.root());
    let xff = "X-Forwarded-For";
    for (what, from, header, is_new) in [
        ("a client", 1, Some((xff, "203.0.113.1")), true),
        ("the same", 1, Some((xff, "203.0.113.1")), false),
        ("the same, which claims to be a proxy", 1, Some((xff, "198.51.100.9, 203.0.113.1")), false),
        ("the same behind two proxies", 1, Some((xff, "203.0.113.1, 127.0.0.1")), false),
        ("the same in the standard header", 1, Some(("Forwarded", "for=203.0.113.1;proto=https")), false),
        ("another client", 1, Some((xff, "203.0.113.2")), true),
        ("IPv6", 1, Some(("Forwarded", "for=\"[2001:db8:0:1::1]:4711\"")), true),
        ("the same /64", 1, Some((xff, "2001:db8:0:1:ffff::2")), false),
        ("another /64", 1, Some((xff, "2001:db8:0:2::1")), true),
        ("the proxy itself", 1, None, true),
        ("a client that names another", 2, Some((xff, "203.0.113.77")), true),
        ("the same, naming yet another", 2, Some((xff, "203.0.113.78")), false),
        ("the same in the standard header", 2, Some(("Forwarded", "for=203.0.113.79")), false),
        ("the same, naming nobody", 2, None, false),
    ] {
        let created = creates(api, &pool, from, header);
        // Within a second, at most one more than none.
        assert_eq!(created >= 2, is_new, "{what}: {created} identities were created");
    }
}

#[test]
fn a_trusted_proxy_may_have_every_connection() {
    let live = "[live]\nsubscribers_per_identity_max = 64\n";
    let server = Server::start_configured(Store::Memory, Some(&format!("{live}{BEHIND_A_PROXY}")));
    let api = server.api();
    let guest = api.new_user(&server.root());
    let of_proxy = places(api, &guest, 1, 20);
    let of_client = places(api, &guest, 2, 8);
    assert!(place(api, &guest, 2).is_none(), "there is a ninth connection from one client");
    drop((of_proxy, of_client));
}
