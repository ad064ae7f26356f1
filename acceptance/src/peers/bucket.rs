//! An S3 bucket at any peer that has S3: created, and read by key or by presigned URL.

use super::aws::{Service, done};
use crate::api::{Api, encoded};
use crate::http::{Request, Response};

/// A bucket, by its name.
#[derive(Clone, Copy, Debug)]
pub struct Bucket<'a> {
    /// S3 at the peer.
    pub s3: Service<'a>,
    /// The bucket's name.
    pub name: &'a str,
}

impl Bucket<'_> {
    /// Creates the bucket.
    pub fn create(&self) {
        done(&self.s3.rest("PUT", &format!("/{}", self.name), None));
    }

    /// The keys of all objects, in order.
    pub fn keys(&self) -> Vec<String> {
        let listing = done(&self.s3.rest("GET", &format!("/{}?list-type=2", self.name), None));
        listing
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| Some(rest.split_once("</Key>")?.0.to_owned()))
            .collect()
    }

    /// The bytes of an object.
    pub fn object(&self, key: &str) -> Vec<u8> {
        let response = self.s3.rest("GET", &self.target(key), None);
        done(&response);
        response.body
    }

    /// Puts an object.
    pub fn put(&self, key: &str, body: &[u8]) {
        done(&self.s3.send(Request::new("PUT", self.target(key)).body(body)));
    }

    /// The peer's answer to a presigned URL, whatever address is in the URL.
    pub fn fetch(&self, url: &str) -> Response {
        let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("not an http URL: {url}"));
        let (host, target) = rest.split_once('/').unwrap_or((rest, ""));
        let request = Request::new("GET", format!("/{target}")).header("Host", host);
        Api::at(self.s3.peer).send(&request)
    }

    fn target(&self, key: &str) -> String {
        let segments: Vec<String> = key.split('/').map(encoded).collect();
        format!("/{}/{}", self.name, segments.join("/"))
    }
}
