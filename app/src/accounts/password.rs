//! Hashing and checking passwords with argon2id. It knows nothing of users, sessions or pages.
//!
//! One hash takes 19 MiB and tens of milliseconds of a core, on purpose: that is what a thief of the database pays per guess. So the
//! hashes of this server take turns at its cores. A request that is abandoned does not stop its hash, which is why the turn
//! belongs to the hash and not to the request: otherwise a client that hangs up at once could fill the memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::available_parallelism;
use std::time::Duration;

use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, KeyId, Params, ParamsBuilder, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Config;
use crate::input::{PASSWORD_BYTES_MAX, Password};
use crate::keys::Key;

/// OWASP's minimum for argon2id, together with the memory that is the default of the configuration.
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a request waits for its turn before it is told to come back later.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// The dearest stored parameters that are tried. A row that asks for more was not written by us, and would stall the server.
const MEMORY_KIB_MAX: u32 = 131_072;
const PASSES_MAX: u32 = 10;
const LANES_MAX: u32 = 4;

/// Why a password was neither hashed nor checked.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many others wait for the same cores.
    #[error("no turn for hashing a password within {} s", TURN_TIMEOUT.as_secs())]
    Busy,
    /// A mistake of ours.
    #[error("cannot hash a password: {0}")]
    Failed(String),
}

/// What checking a password found out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Checked {
    /// It is another password, or nobody has it.
    Wrong,
    /// It is the password.
    Right {
        /// Whether its hash should be made anew, because hashes are made with other parameters today.
        is_outdated: bool,
    },
}

/// Hashes and checks passwords. A clone shares the turns.
#[derive(Clone)]
pub struct Passwords {
    shared: Arc<Shared>,
    turns: Arc<Semaphore>,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    in_work: AtomicUsize,
    refused: AtomicU64,
}

/// A password is in work as long as this lives, also when nobody waits for it any more.
struct InWork(Arc<Counts>);

impl Drop for InWork {
    fn drop(&mut self) {
        self.0.in_work.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Shared {
    /// Added to each password. It is not in the database, so that a copy of the database alone is of no use.
    pepper: Key,
    params: Params,
    /// The hash of a password that nobody has, to be checked when there is no user, so that this takes as long.
    decoy: String,
}

impl Passwords {
    /// Prepares what the configuration says, and makes the decoy.
    pub fn from_config(config: &Config) -> anyhow::Result<Self> {
        Self::new(config.password_memory_kib, &Key::new(config.secret.as_bytes()))
    }

    fn new(memory_kib: u32, secret: &Key) -> anyhow::Result<Self> {
        let pepper = secret.derive("password pepper");
        let key_id = KeyId::new(&pepper.derive("key id").as_bytes()[..KeyId::MAX_LEN]);
        let key_id = key_id.map_err(|error| anyhow::anyhow!("cannot name the pepper: {error}"))?;
        let mut builder = ParamsBuilder::new();
        builder.m_cost(memory_kib).t_cost(PASSES).p_cost(LANES).keyid(key_id);
        let params = builder.build().map_err(|error| anyhow::anyhow!("cannot hash with {memory_kib} KiB: {error}"))?;
        let mut shared = Shared { pepper, params, decoy: String::new() };
        let nobody_has: [u8; 32] = rand::random();
        shared.decoy = shared.hash(&nobody_has)?;
        let cores = available_parallelism().map_or(1, usize::from);
        Ok(Self { shared: Arc::new(shared), turns: Arc::new(Semaphore::new(cores)), counts: Arc::default() })
    }

    /// How many passwords wait for their turn or have it.
    pub fn in_work(&self) -> usize {
        self.counts.in_work.load(Ordering::Relaxed)
    }

    /// How many passwords had no turn in time.
    pub fn refused(&self) -> u64 {
        self.counts.refused.load(Ordering::Relaxed)
    }

    /// Hashes a new password.
    pub async fn hash(&self, password: Password) -> Result<String, PasswordError> {
        self.in_turn(move |shared| shared.hash(password.as_bytes())).await?
    }

    /// Hashes a password that is somebody's already, even if it would be refused today.
    pub async fn hash_known(&self, password: &str) -> Result<String, PasswordError> {
        let password = password.to_owned();
        self.in_turn(move |shared| shared.hash(password.as_bytes())).await?
    }

    /// Checks a password against the hash of a user, or against the decoy if there is no user: both take the same work.
    pub async fn check(&self, password: &str, stored: Option<&str>) -> Result<Checked, PasswordError> {
        // What is too long was never anybody's password. It is cut for the work, and wrong whatever the work says.
        let is_possible = password.len() <= PASSWORD_BYTES_MAX;
        let tried: Vec<u8> = password.bytes().take(PASSWORD_BYTES_MAX).collect();
        let stored = stored.filter(|_| is_possible).map(str::to_owned);
        self.in_turn(move |shared| match stored.as_deref().and_then(|stored| shared.usable(stored)) {
            Some((stored, params)) => shared.check(&tried, &stored, &params),
            None => {
                if let Some((decoy, params)) = shared.usable(&shared.decoy) {
                    let _ = shared.check(&tried, &decoy, &params);
                }
                Checked::Wrong
            }
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared) -> T + Send + 'static,
    ) -> Result<T, PasswordError> {
        self.counts.in_work.fetch_add(1, Ordering::Relaxed);
        let in_work = InWork(Arc::clone(&self.counts));
        let turn = tokio::time::timeout(TURN_TIMEOUT, Arc::clone(&self.turns).acquire_owned()).await;
        let turn = turn.map_err(|_| {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            PasswordError::Busy
        })?;
        let turn = turn.map_err(|error| PasswordError::Failed(error.to_string()))?;
        let shared = Arc::clone(&self.shared);
        let hashing = tokio::task::spawn_blocking(move || {
            let _turn: (OwnedSemaphorePermit, InWork) = (turn, in_work);
            work(&shared)
        });
        hashing.await.map_err(|error| PasswordError::Failed(error.to_string()))
    }
}

impl Shared {
    fn hash(&self, password: &[u8]) -> Result<String, PasswordError> {
        let salt: [u8; 16] = rand::random();
        let hash = self.argon2(&self.params).and_then(|argon2| argon2.hash_password_with_salt(password, &salt));
        Ok(hash.map_err(|error| PasswordError::Failed(error.to_string()))?.to_string())
    }

    /// A stored hash that may be tried, with its parameters.
    fn usable(&self, stored: &str) -> Option<(PasswordHash, Params)> {
        // The hash of nothing: nobody can log in as this user.
        let stored = PasswordHash::new(stored).ok()?;
        let params = Params::try_from(&stored).ok()?;
        let is_affordable =
            params.m_cost() <= MEMORY_KIB_MAX && params.t_cost() <= PASSES_MAX && params.p_cost() <= LANES_MAX;
        let is_current_kind = stored.algorithm == Algorithm::Argon2id.ident();
        if !is_affordable || !is_current_kind {
            tracing::warn!(
                algorithm = stored.algorithm.as_str(),
                memory_kib = params.m_cost(),
                passes = params.t_cost(),
                lanes = params.p_cost(),
                "a stored password hash asks for more than is allowed, and was not tried"
            );
            return None;
        }
        if !params.keyid().is_empty() && params.keyid() != self.params.keyid() {
            tracing::warn!("a stored password hash was made with another `APP_SECRET`, and cannot be checked");
            return None;
        }
        Some((stored, params))
    }

    fn check(&self, password: &[u8], stored: &PasswordHash, params: &Params) -> Checked {
        let matches = self.argon2(params).is_ok_and(|argon2| argon2.verify_password(password, stored).is_ok());
        let same = |ours: u32, theirs: u32| ours == theirs;
        let is_current = same(self.params.m_cost(), params.m_cost())
            && same(self.params.t_cost(), params.t_cost())
            && same(self.params.p_cost(), params.p_cost())
            && self.params.keyid() == params.keyid();
        if matches { Checked::Right { is_outdated: !is_current } } else { Checked::Wrong }
    }

    /// Parameters without a key id are of a hash without pepper: one that came from another place. It is good for one log-in.
    fn argon2(&self, params: &Params) -> argon2::password_hash::Result<Argon2<'_>> {
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        if params.keyid().is_empty() {
            return Ok(Argon2::new(algorithm, version, params.clone()));
        }
        Ok(Argon2::new_with_secret(self.pepper.as_bytes(), algorithm, version, params.clone())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP_KIB: u32 = 64;

    fn passwords(secret: &str) -> Passwords {
        Passwords::new(CHEAP_KIB, &Key::new(secret.as_bytes())).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_right_and_another_is_wrong() {
        let passwords = passwords("one");
        let hash = passwords.hash(password("correct horse")).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1,keyid="), "{hash}");
        let right = Checked::Right { is_outdated: false };
        assert_eq!(passwords.check("correct horse", Some(&hash)).await.unwrap(), right);
        assert_eq!(passwords.check("correct horsf", Some(&hash)).await.unwrap(), Checked::Wrong);
        assert_ne!(hash, passwords.hash(password("correct horse")).await.unwrap(), "the salt must differ");
    }

    #[tokio::test]
    async fn nobody_and_nothing_are_wrong() {
        let passwords = passwords("one");
        for stored in [None, Some("!"), Some(""), Some("$argon2id$v=19$m=64,t=2,p=1"), Some("$1$abc$def")] {
            assert_eq!(passwords.check("correct horse", stored).await.unwrap(), Checked::Wrong, "{stored:?}");
        }
        let hash = passwords.hash(password(&"xy".repeat(512))).await.unwrap();
        let longer = "xy".repeat(600);
        assert_eq!(passwords.check(&longer, Some(&hash)).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_copy_of_the_database_is_of_no_use_without_the_secret() {
        let hash = passwords("one").hash(password("correct horse")).await.unwrap();
        assert_eq!(passwords("two").check("correct horse", Some(&hash)).await.unwrap(), Checked::Wrong);
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_right_and_outdated() {
        let older = Passwords::new(32, &Key::new(b"one")).unwrap();
        let hash = older.hash(password("correct horse")).await.unwrap();
        let outdated = Checked::Right { is_outdated: true };
        assert_eq!(passwords("one").check("correct horse", Some(&hash)).await.unwrap(), outdated);
        // From another place, without pepper.
        let params = Params::new(32, 1, 1, None).unwrap();
        let foreign = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let hash = foreign.hash_password_with_salt(b"correct horse", b"some salt").unwrap().to_string();
        assert_eq!(passwords("one").check("correct horse", Some(&hash)).await.unwrap(), outdated);
    }

    #[tokio::test]
    async fn parameters_above_the_ceiling_are_not_tried() {
        let salt_and_hash = "c29tZSBzYWx0$MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTI";
        for parameters in ["m=4000000,t=2,p=1", "m=64,t=4000000,p=1", "m=64,t=2,p=5"] {
            let stored = format!("$argon2id$v=19${parameters}${salt_and_hash}");
            let checking = passwords("one").check("correct horse", Some(&stored)).await;
            assert_eq!(checking.unwrap(), Checked::Wrong);
        }
    }

    #[tokio::test]
    async fn who_gets_no_turn_is_told_so() {
        let passwords = passwords("one");
        let cores = u32::try_from(passwords.turns.available_permits()).unwrap();
        let _others = Arc::clone(&passwords.turns).acquire_many_owned(cores).await.unwrap();
        assert!(matches!(passwords.check("correct horse", None).await, Err(PasswordError::Busy)));
    }
}
