//! Programs that serve: started on the loopback, asked, and ended with their handle.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A program that runs, and where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
}

impl Server {
    /// Starts a program in a folder and reads its standard error until these words; `address` is where it was told to listen.
    pub(crate) fn start(command: &mut Command, folder: &Path, address: &str, words: &str) -> Self {
        let mut child = command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut told = String::new();
        loop {
            let Some(Ok(line)) = lines.next() else { panic!("{command:?} never says {words:?}, but:\n{told}") };
            told.push_str(&line);
            told.push('\n');
            if line.contains(words) {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop)); // the program must never wait for a reader
        // The sensor says where it listens.
        let said = told.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = if address.ends_with(":0") { said.unwrap().to_owned() } else { address.to_owned() };
        // Some tell of it a moment before they listen.
        until(|| TcpStream::connect(&address).is_ok(), || format!("nobody listens at {address}"));
        Self { child, address }
    }

    /// `whither` with these arguments, which serves.
    pub(crate) fn whither(arguments: &[&str], folder: &Path, address: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_whither"));
        Self::start(command.args(arguments).args(["--listen", address]), folder, address, "look at http://")
    }

    /// What a path answers.
    pub(crate) fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address))
    }

    /// The rows of an answer to PromQL. `more` are further fields, like `&time=`.
    pub(crate) fn query(&self, path: &str, expr: &str, more: &str) -> Vec<Value> {
        let form = format!("query={}{more}", encoded(expr));
        let head = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}", form.len());
        let answer: Value = serde_json::from_str(&self.ask(&format!("POST /api/v1/{path} HTTP/1.0\r\n{head}\r\n\r\n{form}"))).unwrap();
        assert_eq!(answer["status"], "success", "{expr}: {answer}");
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The one number that PromQL gives now, or none.
    pub(crate) fn number(&self, expr: &str) -> Option<f64> {
        self.query("query", expr, "").first().and_then(|row| row["value"][1].as_str()?.parse().ok())
    }

    fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        let _ = self.child.kill();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM);
        let _ = self.child.wait();
    }
}

/// An address on the loopback where nobody listens.
pub(crate) fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// Waits until something holds, looking every tenth of a second, at most two minutes; `told` says what there is if it never does.
pub(crate) fn until(mut holds: impl FnMut() -> bool, told: impl FnOnce() -> String) {
    for _ in 0..1_200 {
        if holds() {
            return;
        }
        poll(&mut [], PollTimeout::try_from(Duration::from_millis(100)).unwrap()).unwrap();
    }
    panic!("{}", told());
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
