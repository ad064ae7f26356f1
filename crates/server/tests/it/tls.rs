//! TLS from certificate files.

use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;

use rustix::process::Signal;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use crate::server::{Home, Server, printed, refused, rest, run};

/// Writes a fresh certificate with its key, and returns it.
fn certify(home: &Home) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    home.file("key.pem", &made.signing_key.serialize_pem());
    home.file("cert.pem", &made.cert.pem());
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

fn settings(home: &Home) -> String {
    let path = |name: &str| home.path().join(name).display().to_string();
    home.file("c.toml", &format!("[tls]\ncert = '{}'\nkey = '{}'\n", path("cert.pem"), path("key.pem")))
}

/// Requests a probe over TLS, trusting `trusted` alone.
fn get(server: &Server, trusted: &CertificateDer<'static>) -> Result<String, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream: StreamOwned<ClientConnection, TcpStream> = StreamOwned::new(session, server.connect());
    stream.write_all(b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
    Ok(rest(&mut stream))
}

#[test]
fn a_hangup_brings_a_new_certificate_and_a_bad_one_changes_nothing() {
    let home = Home::new();
    let first = certify(&home);
    let file = settings(&home);
    let mut server = home.serve(&["--config", &file]);
    assert!(server.banner.contains(&format!("listening on https://{}", server.address)));
    assert!(get(&server, &first).unwrap().starts_with("HTTP/1.1 200"));
    let ready = printed(&["healthcheck", "--config", &file, "--store", &home.store()]);
    assert_eq!(ready, "ready\n");

    home.file("cert.pem", "this is no certificate");
    server.signal(Signal::HUP);
    server.wait_for_log("certificate not reloaded; the old one stays in use");
    assert!(get(&server, &first).unwrap().starts_with("HTTP/1.1 200"));

    let second = certify(&home);
    server.signal(Signal::HUP);
    server.wait_for_log("certificate reloaded");
    assert!(get(&server, &second).unwrap().starts_with("HTTP/1.1 200"));
    assert!(get(&server, &first).is_err());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_certificate_that_cannot_be_read_is_named_at_the_start() {
    let home = Home::new();
    let file = settings(&home);
    let told = refused(&run(&["serve", "--config", &file, "--store", "memory:", "--listen", "127.0.0.1:0"]));
    assert!(told.contains("cert.pem"), "{told}");
}
