//! Secrets and everything that is sealed or signed with them: developer keys, temporary credentials, identity tokens
//! and the tokens that callers bring back.

pub mod credentials;
#[cfg(test)]
mod fuzz_body;
pub mod identity_token;
pub mod seal;
