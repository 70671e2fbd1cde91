//! Who may look: basic authentication (RFC 7617) against bcrypt hashes.
//!
//! bcrypt is slow so that a stolen hash is hard to guess. Here the same slowness is a client's lever on the sensor's processor, so:
//! a password that passed is remembered, as a keyed hash, and costs nothing the next time; one check runs at a time; after a wrong
//! password the next one waits; and one client has few checks waiting. So wrong passwords take a small share of one core, and
//! whoever passed before does not notice them.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::{Semaphore, oneshot};

use super::tls;
use super::web::Settings;

/// The highest cost of a hash. Stops: a hash that takes minutes to check. Each step doubles the time; 10 takes about 50 ms.
const COSTLIEST: u32 = 18;

/// Users and their passwords' hashes.
#[derive(Default)]
pub(super) struct Users {
    users: Vec<User>,
    /// Checked in place of the hash of a user that does not exist, so that the time does not tell.
    stand_in: String,
    /// The key of the remembered hashes.
    secret: [u8; 32],
}

struct User {
    name: String,
    hash: String,
    /// The password that passed last.
    passed: Mutex<Option<[u8; 32]>>,
}

impl Users {
    /// Users, each with a bcrypt hash.
    ///
    /// # Errors
    /// When a hash is none.
    pub(super) fn new(list: Vec<(String, String)>) -> Result<Self, String> {
        let mut most = 4;
        for (name, hash) in &list {
            let cost = hash.parse::<bcrypt::HashParts>().ok().map(|parts| parts.get_cost());
            let cost = cost
                .ok_or_else(|| format!("`basic_auth_users`: what stands for `{name}` is no bcrypt hash; make one with htpasswd -nBC 10"))?;
            if cost > COSTLIEST {
                return Err(format!("`basic_auth_users`: the hash of `{name}` has the cost {cost}, at most {COSTLIEST} is supported"));
            }
            most = most.max(cost);
        }
        let users = list.into_iter().map(|(name, hash)| User { name, hash, passed: Mutex::default() }).collect();
        Ok(Self { users, stand_in: format!("$2b${most:02}${:.<53}", ""), secret: tls::random()? })
    }

    /// Whether there are any.
    pub(super) fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.users.iter().find(|user| user.name == name)
    }

    fn digest(&self, password: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.secret).chain_update(password).finalize().into()
    }

    /// Whether these passed before.
    fn remembers(&self, given: &Given) -> bool {
        let passed = self.user(&given.name).and_then(|user| *user.passed.lock().unwrap_or_else(PoisonError::into_inner));
        passed.is_some_and(|passed| passed.ct_eq(&self.digest(&given.password)).into())
    }

    /// Whether these pass: slow.
    fn check(&self, given: &Given) -> bool {
        let user = self.user(&given.name);
        let hash = user.map_or(&self.stand_in, |user| &user.hash);
        let right = bcrypt::verify(&given.password, hash).unwrap_or(false);
        match user {
            Some(user) if right => {
                *user.passed.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.digest(&given.password));
                true
            }
            _ => false,
        }
    }
}

/// What a request says of who sends it.
struct Given {
    name: String,
    password: String,
}

impl Given {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, token) = value.split_once(' ')?;
        let text = BASE64_STANDARD.decode(token.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(text).ok()?;
        let (name, password) = text.split_once(':')?;
        Some(Self { name: name.to_owned(), password: password.to_owned() })
    }
}

/// The one place where passwords are checked.
pub(super) struct Checks {
    one: Arc<Semaphore>,
    /// Whose checks run or wait: no more than the server has connections.
    of: Arc<Mutex<Vec<IpAddr>>>,
    /// Of one peer at once. Stops: one client keeping all others from their first check.
    per_peer: usize,
    /// After a wrong password. Stops: guesses, and the processor's time that they cost.
    pause: Duration,
}

/// One of a peer's checks, given back when dropped.
struct Turn(Arc<Mutex<Vec<IpAddr>>>, IpAddr);

impl Drop for Turn {
    fn drop(&mut self) {
        let mut of = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = of.iter().position(|other| *other == self.1) {
            of.swap_remove(index);
        }
    }
}

impl Checks {
    pub(super) fn new(per_peer: usize, pause: Duration) -> Self {
        Self { one: Arc::new(Semaphore::new(1)), of: Arc::default(), per_peer, pause }
    }

    /// Lets a request in, or gives the refusal.
    pub(super) async fn admit(&self, settings: &Arc<Settings>, headers: &HeaderMap, peer: IpAddr) -> Result<(), Response> {
        let users = &settings.users;
        if users.is_empty() {
            return Ok(());
        }
        let given = Given::of(headers).ok_or_else(unknown)?;
        if users.remembers(&given) {
            return Ok(());
        }
        let turn = self.turn(peer).ok_or_else(|| {
            let words = "Too many passwords of yours are being checked.\n";
            (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")], words).into_response()
        })?;
        let Ok(permit) = Arc::clone(&self.one).acquire_owned().await else { return Err(unknown()) };
        if users.remembers(&given) {
            return Ok(());
        }
        let (settings, pause, (tell, told)) = (Arc::clone(settings), self.pause, oneshot::channel());
        // A task of its own: a client that hangs up must not be spared the pause.
        tokio::spawn(async move {
            let right = tokio::task::spawn_blocking(move || settings.users.check(&given)).await.unwrap_or(false);
            drop(turn);
            let _ = tell.send(right);
            if !right {
                tokio::time::sleep(pause).await;
            }
            drop(permit);
        });
        if told.await.unwrap_or(false) { Ok(()) } else { Err(unknown()) }
    }

    fn turn(&self, peer: IpAddr) -> Option<Turn> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = of.iter().filter(|other| **other == peer).count();
        if waiting >= self.per_peer {
            return None;
        }
        of.push(peer);
        drop(of);
        Some(Turn(Arc::clone(&self.of), peer))
    }
}

fn unknown() -> Response {
    let challenge = r#"Basic realm="whither", charset="UTF-8""#;
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)], "A user and a password are wanted here.\n").into_response()
}
