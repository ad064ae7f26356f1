//! MiniStack as Lambda, STS, IAM, Kinesis and S3. It runs real handlers in separate processes. In its
//! checking mode it verifies signatures, presigned URLs and the policies of users and roles.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::aws::{self, Service, done, element, member};
use super::bucket::Bucket;
use super::process::Process;
use super::stream::Stream;
use crate::caller::Caller;
use crate::http::Response;

/// The number of attempts to start: a free port may be taken by the time that MiniStack listens.
const STARTS_MAX: usize = 3;
/// The role of functions; where policies are checked, there must be one.
const FUNCTIONS_ROLE: &str = "functions";
/// Reads a program on standard input and writes an archive in Lambda's format, whose only module is
/// `function`.
const PACK: &str = "
import io, sys, zipfile
archive = io.BytesIO()
with zipfile.ZipFile(archive, 'w') as packed:
    packed.writestr('function.py', sys.stdin.read())
sys.stdout.buffer.write(archive.getvalue())
";

/// A running MiniStack.
#[derive(Debug)]
pub struct MiniStack {
    process: Process,
    root: Caller,
}

impl MiniStack {
    /// The account of MiniStack's resources.
    pub const ACCOUNT: &str = "000000000000";

    /// Starts a MiniStack for one test that allows everything to everybody.
    pub fn start() -> Self {
        Self::start_with("false")
    }

    /// Starts a MiniStack for one test that verifies signatures and policies.
    pub fn start_checking() -> Self {
        Self::start_with("true")
    }

    /// The MiniStack that the tests of one run share; it allows everything to everybody.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<MiniStack> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The checking MiniStack that the tests of one run share.
    pub fn shared_checking() -> &'static Self {
        static SHARED: OnceLock<MiniStack> = OnceLock::new();
        SHARED.get_or_init(Self::start_checking)
    }

    fn start_with(checking: &str) -> Self {
        let root = Caller::developer("AKIAMINISTACKROOT000", "ministack/root/secret");
        let mut troubles = Vec::new();
        for _ in 0..STARTS_MAX {
            let port = free_port().to_string();
            let variables = [
                ("BIND_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", &port),
                ("SERVICES", "lambda,iam,sts,kinesis,s3"),
                ("AUTH", checking),
                ("AWS_ACCESS_KEY_ID", &root.access_key_id),
                ("AWS_SECRET_ACCESS_KEY", &root.secret_access_key),
                ("IOT_MTLS_ENABLED", "0"),
                ("SFTP_ENABLED", "0"),
            ];
            match Process::python(&python(), &["ministack"], &variables) {
                Ok(process) => return Self::prepared(process, root),
                Err(trouble) => troubles.push(trouble),
            }
        }
        panic!("MiniStack does not start: {}", troubles.join("\n"));
    }

    fn prepared(process: Process, root: Caller) -> Self {
        let ministack = Self { process, root };
        let lambda = json!({ "Service": "lambda.amazonaws.com" });
        ministack.create_role(FUNCTIONS_ROLE, &lambda, &["logs:*"]);
        ministack
    }

    /// The address of MiniStack.
    pub fn address(&self) -> SocketAddr {
        self.process.address()
    }

    /// The base URL of MiniStack.
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// A key that may do everything.
    pub fn root(&self) -> &Caller {
        &self.root
    }

    /// One of MiniStack's services, called by its root.
    pub fn service<'a>(&'a self, name: &'a str) -> Service<'a> {
        Service { peer: self.address(), caller: &self.root, name }
    }

    /// A stream, which need not exist yet. It is active as soon as it is created.
    pub fn stream<'a>(&'a self, name: &'a str) -> Stream<'a> {
        Stream { kinesis: self.service("kinesis"), name }
    }

    /// A bucket, which need not exist yet. The checking mode verifies presigned URLs.
    pub fn bucket<'a>(&'a self, name: &'a str) -> Bucket<'a> {
        Bucket { s3: self.service("s3"), name }
    }

    /// Deploys a function from the text of a Python module with `handler(event, context)`, and returns its ARN.
    pub fn deploy(&self, name: &str, module: &str, timeout_seconds: u32) -> String {
        let input = json!({
            "FunctionName": name,
            "Runtime": "python3.12",
            "Role": format!("arn:aws:iam::{}:role/{FUNCTIONS_ROLE}", Self::ACCOUNT),
            "Handler": "function.handler",
            "Timeout": timeout_seconds,
            "Code": { "ZipFile": STANDARD.encode(packed(module)) },
        });
        let answer = self.service("lambda").rest("POST", "/2015-03-31/functions", Some(&input));
        member(&answer, "FunctionArn")
    }

    /// Sets the time limit of a function.
    pub fn set_timeout_seconds(&self, name: &str, timeout_seconds: u32) {
        let target = format!("/2015-03-31/functions/{name}/configuration");
        let input = json!({ "Timeout": timeout_seconds });
        done(&self.service("lambda").rest("PUT", &target, Some(&input)));
    }

    /// Answers every invocation of the function with 429, until [`Self::let_through`].
    pub fn throttle(&self, name: &str) {
        let target = format!("/2017-10-31/functions/{name}/concurrency");
        let input = json!({ "ReservedConcurrentExecutions": 0 });
        done(&self.service("lambda").rest("PUT", &target, Some(&input)));
    }

    /// Ends [`Self::throttle`].
    pub fn let_through(&self, name: &str) {
        let target = format!("/2017-10-31/functions/{name}/concurrency");
        done(&self.service("lambda").rest("DELETE", &target, None));
    }

    /// Deletes a function.
    pub fn delete_function(&self, name: &str) {
        done(&self.service("lambda").rest("DELETE", &format!("/2015-03-31/functions/{name}"), None));
    }

    /// Invokes a function and returns any answer.
    pub fn invoke(&self, name: &str, event: &Value) -> Response {
        let target = format!("/2015-03-31/functions/{name}/invocations");
        self.service("lambda").rest("POST", &target, Some(event))
    }

    /// Creates an IAM user that may do these actions, such as `sts:AssumeRole`, and returns its key.
    pub fn create_user(&self, name: &str, actions: &[&str]) -> Caller {
        aws::create_user(&self.service("iam"), name, &aws::allowing(actions))
    }

    /// Creates a role that may do these actions and that `principal` (such as `{"AWS": "*"}`) may assume, and
    /// returns its ARN.
    pub fn create_role(&self, name: &str, principal: &Value, actions: &[&str]) -> String {
        aws::create_role(&self.service("iam"), name, principal, &aws::allowing(actions))
    }

    /// The ARN of a key's user or assumed role.
    pub fn identity_of(&self, caller: &Caller) -> String {
        let sts = Service { peer: self.address(), caller, name: "sts" };
        element(&done(&sts.query("2011-06-15", "GetCallerIdentity", &[])), "Arn")
    }
}

/// The interpreter that has MiniStack: `CARRYALL_TEST_MINISTACK`, else the one that `scripts/test` installs.
fn python() -> String {
    std::env::var("CARRYALL_TEST_MINISTACK").unwrap_or_else(|_| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        root.join(".test-env/ministack/bin/python").display().to_string()
    })
}

/// A port on which nothing listens. MiniStack cannot choose one itself.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The function's archive in Lambda's format.
fn packed(module: &str) -> Vec<u8> {
    let mut packer = Command::new(python())
        .args(["-c", PACK])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("run Python");
    packer.stdin.take().expect("piped").write_all(module.as_bytes()).expect("write to Python");
    let output = packer.wait_with_output().expect("read from Python");
    assert!(output.status.success(), "packing a function: {}", output.status);
    output.stdout
}
