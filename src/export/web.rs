//! The web configuration file: TLS, users and headers for the pages, in the format of the Prometheus exporters
//! (<https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md>).
//!
//! Road taken: the file is looked at for each connection, as those exporters do, and read again when it or a file that it names
//! has changed, so that a renewed certificate needs no signal. One that cannot be used leaves the former in use and is told of
//! once. A setting that is not kept here is refused with a word: a file that promises more than the server does is worse than none.
//!
//! Road not taken: reading the document into structs. Its errors would quote the file, which holds keys and hashes; these name
//! the setting and never its value.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use serde_json::{Map, Value};

use super::auth::Users;
use super::{printable, tls};

/// The most bytes of a file that is read here. Stops: a name that is mistyped into a disk image.
const LARGEST: u64 = 1 << 20;

/// How pages are served.
#[derive(Default)]
pub(super) struct Settings {
    /// TLS, or plain HTTP.
    pub(super) tls: Option<Arc<ServerConfig>>,
    /// Who may look: everybody, when there are none.
    pub(super) users: Users,
    /// Put on every answer, in place of one of the same name.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

/// The web configuration file, kept current; or none, which means plain HTTP for everybody.
#[derive(Default)]
pub struct Web {
    path: Option<PathBuf>,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    settings: Arc<Settings>,
    /// What was read last, whether or not it could be used.
    files: Files,
}

impl std::fmt::Debug for Web {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the settings: there are secrets in them.
        f.debug_struct("Web").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Web {
    /// Reads a web configuration file.
    ///
    /// # Errors
    /// What is wrong with it or with a file that it names; for an unknown key the nearest there is.
    pub fn load(path: &Path) -> Result<Self, String> {
        let mut files = Files::default();
        let settings = Arc::new(read(path, &mut files)?);
        Ok(Self { path: Some(path.to_owned()), held: Mutex::new(Held { settings, files }) })
    }

    /// How the pages' addresses begin: `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.settings.tls.is_some() { "https" } else { "http" }
    }

    /// The web configuration file and those that it names: what is read again when it changes.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).files.0.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The settings as the files have them now, or had them when they could last be used.
    pub(super) fn current(&self) -> Arc<Settings> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = self.path.as_deref().filter(|_| held.files.changed()) {
            held.files = Files::default();
            match read(path, &mut held.files) {
                Ok(settings) => {
                    eprintln!("whither: the web configuration {} was read again", path.display());
                    held.settings = Arc::new(settings);
                }
                Err(error) => eprintln!("whither: {error}; the web configuration in use stays"),
            }
        }
        Arc::clone(&held.settings)
    }
}

/// Files that were read, and what they looked like just before: so what changes while they are read is found the next time.
#[derive(Default)]
pub(super) struct Files(Vec<(PathBuf, Look)>);

/// What tells that a file is not the one it was: device, inode, size, and when its bytes and its inode changed; none: no file.
type Look = Option<(u64, u64, u64, [i64; 4])>;

impl Files {
    /// A file's bytes, of which `what` is told in errors.
    pub(super) fn read(&mut self, what: &str, path: &Path) -> Result<Vec<u8>, String> {
        self.0.push((path.to_owned(), look(path)));
        let mut bytes = Vec::new();
        let read = OpenOptions::new().read(true).open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Ok(length) if length as u64 > LARGEST => Err(format!("{what} {} is too large to be one", path.display())),
            Ok(_) => Ok(bytes),
            Err(error) => Err(format!("cannot read {what} {}: {error}", path.display())),
        }
    }

    fn changed(&self) -> bool {
        self.0.iter().any(|(path, seen)| look(path) != *seen)
    }
}

fn look(path: &Path) -> Look {
    let of = std::fs::metadata(path).ok()?;
    Some((of.dev(), of.ino(), of.size(), [of.mtime(), of.mtime_nsec(), of.ctime(), of.ctime_nsec()]))
}

fn read(path: &Path, files: &mut Files) -> Result<Settings, String> {
    let bytes = files.read("the web configuration", path)?;
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => parse(text, path.parent().unwrap_or(Path::new("")), files),
        Err(_) => Err("not UTF-8".to_owned()),
    };
    parsed.map_err(|error| printable(&format!("the web configuration {}: {error}", path.display())).into_owned())
}

/// The settings of a document; paths in it begin at `folder`.
fn parse(text: &str, folder: &Path, files: &mut Files) -> Result<Settings, String> {
    // Without the lines around an error: they may hold secrets.
    let options = serde_saphyr::options! { with_snippet: false };
    let document: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let line = error.location().map_or_else(String::new, |at| format!(", line {}", at.line()));
        format!("not YAML{line}")
    })?;
    let whole = Section::of("", Some(&document), &["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit"])?;
    let mut settings = Settings::default();
    let tls = Section::of("tls_server_config", whole.get("tls_server_config"), tls::KEYS)?;
    settings.tls = tls::config(&tls, folder, files)?;
    settings.headers = headers(whole.get("http_server_config"))?;
    settings.users = users(whole.get("basic_auth_users"))?;
    let rate = Section::of("rate_limit", whole.get("rate_limit"), &["interval", "burst"])?;
    let none = |value: &Value| matches!(value, Value::String(text) if text.trim_end_matches(char::is_alphabetic) == "0") || *value == 0;
    if rate.get("interval").is_some_and(|value| !none(value)) {
        return Err("`rate_limit` is not supported: whither makes one page at a time, and serves 8 connections of one client".to_owned());
    }
    Ok(settings)
}

fn users(section: Option<&Value>) -> Result<Users, String> {
    let section = Section::open("basic_auth_users", section)?;
    let mut list = Vec::new();
    for (name, hash) in section.map.into_iter().flatten() {
        let hash = hash.as_str().ok_or_else(|| format!("`basic_auth_users`: what stands for `{name}` is no text"))?;
        list.push((name.clone(), hash.to_owned()));
    }
    Users::new(list)
}

/// The headers that may be set, and what to: anything where nothing is said.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-XSS-Protection", &[]),
    ("Strict-Transport-Security", &[]),
];

fn headers(section: Option<&Value>) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let http = Section::of("http_server_config", section, &["http2", "headers"])?;
    if http.flag("http2")? == Some(true) {
        return Err("`http_server_config.http2`: true is not supported: the pages are served over HTTP/1.1; leave it out".to_owned());
    }
    let names = HEADERS.map(|(name, _)| name);
    let section = Section::of("http_server_config.headers", http.get("headers"), &names)?;
    let mut headers = Vec::new();
    for (name, allowed) in HEADERS {
        let Some(text) = section.text(name)?.filter(|text| !text.is_empty()) else { continue };
        let value = HeaderValue::from_str(text).ok().filter(|_| allowed.is_empty() || allowed.contains(&text));
        let (Some(value), Ok(name)) = (value, HeaderName::from_bytes(name.as_bytes())) else {
            let want = if allowed.is_empty() { "what a header may hold".to_owned() } else { allowed.join(" or ") };
            return Err(format!("`http_server_config.headers.{name}` must be {want}"));
        };
        headers.push((name, value));
    }
    Ok(headers)
}

/// A mapping of the document, all of whose keys are known.
pub(super) struct Section<'a> {
    name: &'static str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Section<'a> {
    /// A mapping, whatever its keys; empty where there is nothing.
    fn open(name: &'static str, value: Option<&'a Value>) -> Result<Self, String> {
        match value {
            None | Some(Value::Null) => Ok(Self { name, map: None }),
            Some(Value::Object(map)) => Ok(Self { name, map: Some(map) }),
            Some(_) if name.is_empty() => Err("not a mapping of settings".to_owned()),
            Some(_) => Err(format!("`{name}` is not a mapping of settings")),
        }
    }

    fn of(name: &'static str, value: Option<&'a Value>, keys: &[&str]) -> Result<Self, String> {
        let section = Self::open(name, value)?;
        for key in section.map.into_iter().flat_map(Map::keys) {
            if !keys.contains(&key.as_str()) {
                let near = keys.iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)));
                let place = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
                return Err(format!("there is no setting `{key}`{place}; did you mean `{}`?", near.unwrap_or(&"")));
            }
        }
        Ok(section)
    }

    fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.and_then(|map| map.get(key)).filter(|value| !value.is_null())
    }

    /// Whether nothing is set.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_none_or(Map::is_empty)
    }

    /// A setting that is text.
    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| format!("`{}.{key}` is no text", self.name))).transpose()
    }

    /// A setting that is true or false.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, String> {
        self.get(key).map(|value| value.as_bool().ok_or_else(|| format!("`{}.{key}` must be true or false", self.name))).transpose()
    }

    /// A setting that is a list of texts; empty where there is none.
    pub(super) fn list(&self, key: &str) -> Result<Vec<&'a str>, String> {
        let wrong = || format!("`{}.{key}` is not a list of texts", self.name);
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        value.as_array().ok_or_else(wrong)?.iter().map(|item| item.as_str().ok_or_else(wrong)).collect()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test writes the files that it reads")]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        parse(text, Path::new("/none"), &mut Files::default()).err().unwrap_or_default()
    }

    #[test]
    fn what_is_wrong_in_it_does_not_reach_the_terminal_as_it_is() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, b"\"bas\\e[31mic\": 1\n").unwrap();
        let error = Web::load(file.path()).unwrap_err();
        assert!(error.contains("there is no setting `bas\\u{1b}[31mic`"), "{error}");
    }

    #[test]
    fn what_is_unknown_or_not_kept_is_refused_by_name_and_without_its_value() {
        for (text, word) in [
            ("tls_server_confg: {}", "there is no setting `tls_server_confg`; did you mean `tls_server_config`?"),
            ("tls_server_config: {cert_fil: s3cret}", "there is no setting `cert_fil` in `tls_server_config`; did you mean `cert_file`?"),
            ("http_server_config: {headers: {X-Frame: deny}}", "did you mean `X-Frame-Options`?"),
            (
                "http_server_config: {headers: {X-Frame-Options: s3cret}}",
                "`http_server_config.headers.X-Frame-Options` must be deny or sameorigin",
            ),
            ("http_server_config: {http2: true}", "HTTP/1.1"),
            ("http_server_config: {http2: s3cret}", "must be true or false"),
            ("rate_limit: {interval: 1s, burst: 2}", "`rate_limit` is not supported"),
            ("basic_auth_users: {ann: s3cret}", "`ann` is no bcrypt hash"),
            ("basic_auth_users: {ann: [s3cret]}", "`ann` is no text"),
            ("basic_auth_users: {ann: $2b$19$abcdefghijklmnopqrstuubAvJmxpQuyV3jn7x.SUSPxe.DearCPe}", "the cost 19, at most 18"),
            ("basic_auth_users: s3cret", "`basic_auth_users` is not a mapping"),
            ("basic_auth_users:\n  ann: s3cret\n  ann: s3cret\n", "not YAML, line 3"),
            ("a: b: s3cret", "not YAML, line 1"),
            ("- s3cret", "not a mapping"),
            ("tls_server_config: {cert_file: c.pem}", "cannot read the cert_file /none/c.pem"),
            ("tls_server_config: {min_version: TLS12}", "neither `cert_file` nor `cert`"),
            ("tls_server_config: {cert: s3cret}", "neither `key_file` nor `key`"),
            ("tls_server_config: {cert: s3cret, key: s3cret}", "the server's certificate is not PEM"),
            ("tls_server_config: {cert: s3cret, cert_file: x}", "both `cert` and `cert_file`"),
            ("tls_server_config: {cert: 12, key: s3cret}", "`tls_server_config.cert` is no text"),
        ] {
            let told = told(text);
            assert!(told.contains(word) && !told.contains("s3cret"), "{text}: {told}");
        }
    }

    #[test]
    fn what_says_nothing_is_plain_http_for_everybody() {
        for text in
            ["{}", "basic_auth_users:\nhttp_server_config:\n  http2: false\nrate_limit: {interval: 0s}", "tls_server_config: {}", ""]
        {
            let settings = parse(text, Path::new(""), &mut Files::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(settings.tls.is_none() && settings.users.is_empty() && settings.headers.is_empty(), "{text}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("web.yml");
        let replace = |text: &str| {
            std::fs::write(folder.path().join("new"), text).unwrap();
            std::fs::rename(folder.path().join("new"), &path).unwrap();
        };
        replace("http_server_config: {headers: {X-Frame-Options: deny}}");
        let web = Web::load(&path).unwrap();
        let value = || web.current().headers.first().map(|(_, value)| value.to_str().unwrap().to_owned());
        assert_eq!(value().as_deref(), Some("deny"));
        replace("http_server_config: {headers: {X-Frame-Options: sameorigin}}");
        assert_eq!(value().as_deref(), Some("sameorigin"));
        replace("http_server_config: {headers: {X-Frame-Option: deny}}");
        assert_eq!(value().as_deref(), Some("sameorigin"));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(value().as_deref(), Some("sameorigin"));
        replace("{}");
        assert_eq!(value(), None);
        assert!(Web::load(&folder.path().join("none.yml")).unwrap_err().starts_with("cannot read the web configuration"));
    }
}
