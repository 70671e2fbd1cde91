//! The pages over TLS and with passwords, as clients see them: curl, and a client that says nothing.
//!
//! The real program on loopback, with certificates that openssl makes. Waits are reads of what it says, never sleeps.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test talks to the program it started and should stop at the first surprise"
)]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// By another implementation, crypt(3) of Debian: "correct horse".
const HASH: &str = "$2b$08$abcdefghijklmnopqrstuubAvJmxpQuyV3jn7x.SUSPxe.DearCPe";

struct Sensor {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
    folder: tempfile::TempDir,
}

impl Sensor {
    /// Serves a capture with this web configuration, in whose folder are the certificates `cert.pem` and `ca.pem`, with keys.
    fn start(config: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if Command::new("curl").arg("--version").output().is_err() || Command::new("openssl").arg("version").output().is_err() {
            let _ = std::io::stderr()
                .write_all(b"\n*** SKIPPED: TLS and passwords: there is no curl, or no openssl (`make deps` installs them) ***\n");
            return None;
        }
        certificate(folder.path(), "cert", &["-addext", "subjectAltName=IP:127.0.0.1"]);
        certificate(folder.path(), "ca", &[]);
        let file = folder.path().join("web.yml");
        std::fs::write(&file, config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["read", "--serve", "--listen", "127.0.0.1:0", "--web.config.file"])
            .args([file.as_path(), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/hello.pcap"))])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let (_, rest) = line.split_once("look at https://").unwrap_or_else(|| panic!("{line}"));
        let address = rest.split('/').next().unwrap().to_owned();
        Some(Self { child, said, address, folder })
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// What curl gets of a page: the status, or 0 where there was no connection, and everything that it prints.
    fn curl(&self, arguments: &[&str], page: &str) -> (u16, String) {
        let run = Command::new("curl")
            .current_dir(self.folder.path())
            .args(["-s", "-S", "-i", "--cacert", "cert.pem", "-w", "\n%{http_code}"])
            .args(arguments)
            .arg(format!("https://{}{page}", self.address))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        (String::from_utf8_lossy(&run.stdout).lines().last().unwrap().parse().unwrap(), text)
    }

    /// Replaces a file in the configuration's folder, by renaming as certbot does.
    fn replace(&self, name: &str, by: &str) {
        std::fs::copy(self.folder.path().join(by), self.folder.path().join("new")).unwrap();
        std::fs::rename(self.folder.path().join("new"), self.folder.path().join(name)).unwrap();
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate that signs itself, `NAME.pem`, and its key, `NAME.key`.
fn certificate(folder: &Path, name: &str, more: &[&str]) {
    let (key, out, subject) = (format!("{name}.key"), format!("{name}.pem"), format!("/CN={name}"));
    openssl(
        folder,
        &[
            &["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-keyout"][..],
            &[&*key, "-out", &*out, "-subj", &*subject],
            more,
        ]
        .concat(),
    );
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let run = Command::new("openssl").current_dir(folder).args(arguments).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

const PLAIN: &str = "tls_server_config: {cert_file: cert.pem, key_file: cert.key}\n";

#[test]
fn curl_gets_metrics_over_tls_with_the_password_and_compressed() {
    let Some(sensor) = Sensor::start(&format!("{PLAIN}basic_auth_users: {{ann: {HASH}}}\n")) else { return };
    let (status, text) = sensor.curl(&["-u", "ann:correct horse"], "/metrics");
    assert!(status == 200 && text.contains("\nwhither_build_info{"), "{text}");
    let (status, text) = sensor.curl(&["-u", "ann:correct horse", "--compressed"], "/metrics");
    assert!(status == 200 && text.to_lowercase().contains("content-encoding: gzip") && text.contains("\nwhither_build_info{"), "{text}");
    for page in ["/", "/metrics", "/api/v1/devices", "/-/healthy", "/none"] {
        assert_eq!(sensor.curl(&[], page).0, 401, "{page}");
    }
    assert_eq!(sensor.curl(&["-u", "ann:wrong"], "/metrics").0, 401);
}

#[test]
fn plain_http_on_a_tls_port_is_told_so() {
    let Some(sensor) = Sensor::start(PLAIN) else { return };
    let mut stream = TcpStream::connect(&sensor.address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 ") && answer.contains("https://") && !answer.contains("whither_"), "{answer}");
}

#[test]
fn versions_and_suites_are_those_that_were_asked_for() {
    let new = "tls_server_config: {cert_file: cert.pem, key_file: cert.key, min_version: TLS13}";
    let Some(sensor) = Sensor::start(new) else { return };
    assert_eq!(sensor.curl(&[], "/-/healthy").0, 200);
    assert_eq!(sensor.curl(&["--tls-max", "1.2"], "/-/healthy").0, 0);
    let old = "tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.key\n  max_version: TLS12\n  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]\n  curve_preferences: [CurveP256]\n";
    let Some(sensor) = Sensor::start(old) else { return };
    assert_eq!(sensor.curl(&["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES256-GCM-SHA384", "--curves", "P-256"], "/-/healthy").0, 200);
    assert_eq!(sensor.curl(&["--tls-max", "1.2", "--ciphers", "ECDHE-ECDSA-AES128-GCM-SHA256"], "/-/healthy").0, 0);
    assert_eq!(sensor.curl(&["--curves", "X25519"], "/-/healthy").0, 0);
    assert_eq!(sensor.curl(&["--tlsv1.3"], "/-/healthy").0, 0);
}

#[test]
fn clients_show_a_certificate_of_the_authority_where_it_is_wanted() {
    let config = "tls_server_config: {cert_file: cert.pem, key_file: cert.key, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}";
    let Some(sensor) = Sensor::start(config) else { return };
    let folder = sensor.folder.path();
    openssl(
        folder,
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-keyout",
            "me.key",
            "-out",
            "me.csr",
            "-subj",
            "/CN=me",
        ],
    );
    std::fs::write(folder.join("ext"), "extendedKeyUsage=clientAuth\nsubjectAltName=DNS:me").unwrap();
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            "me.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            "me.pem",
            "-extfile",
            "ext",
        ],
    );
    assert_eq!(sensor.curl(&["--cert", "me.pem", "--key", "me.key"], "/metrics").0, 200);
    assert_eq!(sensor.curl(&[], "/metrics").0, 0);
    assert_eq!(sensor.curl(&["--cert", "cert.pem", "--key", "cert.key"], "/metrics").0, 0, "of nobody's authority");
}

#[test]
fn a_renewed_certificate_is_taken_and_half_a_renewal_changes_nothing() {
    let Some(mut sensor) = Sensor::start(PLAIN) else { return };
    certificate(sensor.folder.path(), "next", &["-addext", "subjectAltName=IP:127.0.0.1"]);
    std::fs::copy(sensor.folder.path().join("cert.pem"), sensor.folder.path().join("first.pem")).unwrap();
    let with = |sensor: &Sensor, authority| sensor.curl(&["--cacert", authority], "/-/healthy").0;
    assert_eq!([with(&sensor, "first.pem"), with(&sensor, "next.pem")], [200, 0]);
    sensor.replace("cert.pem", "next.pem");
    assert_eq!([with(&sensor, "first.pem"), with(&sensor, "next.pem")], [200, 0], "its key is not there yet");
    let line = sensor.line();
    assert!(line.contains("the server's certificate and key") && line.contains("in use stays"), "{line}");
    sensor.replace("cert.key", "next.key");
    assert_eq!([with(&sensor, "first.pem"), with(&sensor, "next.pem")], [0, 200]);
    assert!(sensor.line().contains("was read again"));
}

#[test]
fn half_open_handshakes_keep_nobody_else_out_and_lose_their_places() {
    let Some(sensor) = Sensor::start(PLAIN) else { return };
    let mut half_open: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&sensor.address).unwrap();
            let _ = stream.write_all(&[22, 3, 1, 2, 0, 1]); // refused, most of them
            stream
        })
        .collect();
    assert_eq!(sensor.curl(&["--interface", "127.0.0.2"], "/metrics").0, 200);
    // All are ended from the other side, the first ones when their time is over.
    for stream in &mut half_open {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP"), "nothing in clear on a TLS port");
    }
    assert_eq!(sensor.curl(&[], "/metrics").0, 200, "the places are free again");
}

#[test]
fn a_web_configuration_that_cannot_be_used_ends_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("web.yml");
    for (text, word) in [
        ("tls_server_config: {cert_file: none.pem, key_file: none.key}", "cannot read the cert_file"),
        ("basic_auth_user: {}", "did you mean `basic_auth_users`?"),
    ] {
        std::fs::write(&file, text).unwrap();
        let run = Command::new(env!("CARGO_BIN_EXE_whither"))
            .args(["read", "--serve", "--listen", "127.0.0.1:0", "--web.config.file"])
            .args([file.as_path(), Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pcaps/hello.pcap"))])
            .output()
            .unwrap();
        let said = String::from_utf8(run.stderr).unwrap();
        assert!(run.status.code() == Some(1) && said.lines().count() == 1 && said.contains(word), "{said}");
    }
}
