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

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const HOUR: Duration = Duration::from_hours(1);

    fn settings() -> Arc<Settings> {
        // The hash was made by another implementation: crypt(3) of Debian.
        let ann = ("ann".to_owned(), "$2b$08$abcdefghijklmnopqrstuubAvJmxpQuyV3jn7x.SUSPxe.DearCPe".to_owned());
        let bob = ("bob".to_owned(), bcrypt::hash("bob's", 4).unwrap());
        Arc::new(Settings { users: Users::new(vec![ann, bob]).unwrap(), ..Settings::default() })
    }

    fn asking(text: &str) -> HeaderMap {
        let token = BASE64_STANDARD.encode(text);
        HeaderMap::from_iter([(header::AUTHORIZATION, format!("bAsIc {token}").parse().unwrap())])
    }

    fn peer(last: u8) -> IpAddr {
        [192, 0, 2, last].into()
    }

    fn within<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
    }

    #[test]
    fn only_a_user_with_his_own_password_is_let_in() {
        let (settings, checks) = (settings(), Checks::new(9, Duration::ZERO));
        within(async {
            for text in ["ann:correct horse", "bob:bob's", "ann:correct horse"] {
                assert!(checks.admit(&settings, &asking(text), peer(1)).await.is_ok(), "{text}");
            }
            for text in ["ann:bob's", "bob:correct horse", "ann:", "eve:bob's", ":", "ann", "", "ann:correct horse ", "Ann:correct horse"] {
                let refused = checks.admit(&settings, &asking(text), peer(1)).await.unwrap_err();
                assert_eq!(refused.status(), StatusCode::UNAUTHORIZED, "{text}");
                assert!(refused.headers()[header::WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic "), "{text}");
            }
            for text in ["Basic", "Basic %%%", "Bearer YW5uOng=", "Basic /////w=="] {
                let headers = HeaderMap::from_iter([(header::AUTHORIZATION, text.parse().unwrap())]);
                assert!(checks.admit(&settings, &headers, peer(1)).await.is_err(), "{text}");
            }
            assert!(checks.admit(&settings, &HeaderMap::new(), peer(1)).await.is_err());
        });
        assert!(checks.of.lock().unwrap().is_empty(), "all turns are given back");
    }

    #[test]
    fn guesses_wait_and_whoever_passed_before_does_not() {
        let (settings, checks) = (settings(), Checks::new(2, HOUR));
        within(async {
            assert!(checks.admit(&settings, &asking("bob:bob's"), peer(1)).await.is_ok());
            assert!(checks.admit(&settings, &asking("bob:x"), peer(2)).await.is_err());
            let (x, y) = (asking("bob:x"), asking("bob:y"));
            let mut waiting = [pin!(checks.admit(&settings, &x, peer(2))), pin!(checks.admit(&settings, &y, peer(2)))];
            let mut asleep = Context::from_waker(Waker::noop());
            assert!(waiting.iter_mut().all(|guess| guess.as_mut().poll(&mut asleep).is_pending()), "no guess for an hour");
            let third = checks.admit(&settings, &x, peer(2)).await.unwrap_err();
            assert_eq!(third.status(), StatusCode::TOO_MANY_REQUESTS);
            assert!(checks.admit(&settings, &asking("bob:bob's"), peer(1)).await.is_ok());
            assert!(matches!(pin!(checks.admit(&settings, &x, peer(3))).as_mut().poll(&mut asleep), Poll::Pending), "another waits too");
        });
        assert!(checks.of.lock().unwrap().is_empty(), "who hangs up gives his turn back");
    }

    #[test]
    fn a_guess_whose_client_hung_up_costs_the_same_pause() {
        let (settings, checks) = (settings(), Checks::new(2, HOUR));
        within(async {
            let guess = asking("ann:x");
            {
                let mut guess = pin!(checks.admit(&settings, &guess, peer(2)));
                let mut asleep = Context::from_waker(Waker::noop());
                assert!(guess.as_mut().poll(&mut asleep).is_pending(), "it is being checked");
            }
            while !checks.of.lock().unwrap().is_empty() {
                tokio::task::yield_now().await; // until the check is done
            }
            tokio::task::yield_now().await;
            assert_eq!(checks.one.available_permits(), 0);
        });
    }

    #[test]
    fn an_unknown_user_costs_as_much_time_as_a_known_one() {
        let users = settings();
        let hash = &users.users.stand_in;
        assert_eq!(hash.parse::<bcrypt::HashParts>().unwrap().get_cost(), 8);
        assert!(!bcrypt::verify("", hash).unwrap());
    }
}
