//! Accounts: making one, and proving to be its owner. Pages and the JSON API do both through here, with the same limits, the same
//! work and the same sentences. It knows nothing of sessions, HTML or JSON.

mod password;

use std::net::IpAddr;

pub use password::{Checked, PasswordError, Passwords};

use crate::cache::Tag;
use crate::db::{self, AddUserError};
use crate::error::AppError;
use crate::input::{Problems, Registration};
use crate::limits::{Rule, Subject};
use crate::session::User;
use crate::state::AppState;

/// What is said when logging in fails, whatever the reason: whether there is such an account is nobody's business.
pub const WRONG_CREDENTIALS: &str = "The user name or the password is wrong.";

/// The longest name or address that could be somebody's, in bytes.
const NAME_BYTES_MAX: usize = 1024;

/// Makes an account. The inner error is for the person who asked, with the field that is wrong.
pub async fn register(
    state: &AppState,
    client: IpAddr,
    registration: Registration,
) -> Result<Result<User, Problems>, AppError> {
    state.limits.check(&[(Rule::Register, Subject::Address(client))]).await?;
    let Registration { username, email, password } = registration;
    let password_hash = state.passwords.hash(password).await?;
    match db::add_user(&state.pool, username.as_str(), email.as_str(), &password_hash).await {
        Ok(id) => {
            // That there was no such author may be remembered.
            state.cache.invalidate(&[Tag::Author(id)]).await;
            Ok(Ok(User { id, username: username.into_string() }))
        }
        Err(AddUserError::UsernameTaken) => {
            Ok(Err(Problems::one("username", "Somebody has this user name. Please choose another.")))
        }
        Err(AddUserError::EmailTaken) => {
            Ok(Err(Problems::one("email", "There is an account with this e-mail address. You can log in to it.")))
        }
        Err(AddUserError::Database(error)) => Err(error.into()),
    }
}

/// Finds the user with this name or e-mail address and this password. The inner error is for the person who asked, and is the same, after
/// the same time, whether there is no such user or another password.
pub async fn log_in(
    state: &AppState,
    client: IpAddr,
    name_or_email: &str,
    password: &str,
) -> Result<Result<User, Problems>, AppError> {
    let name = name_or_email.trim();
    let rules = [(Rule::LogInFromAddress, Subject::Address(client)), (Rule::LogInToAccount, Subject::Account(name))];
    state.limits.check(&rules).await?;
    // A NUL cannot be asked for: PostgreSQL refuses it in any text.
    let is_possible = name.len() <= NAME_BYTES_MAX && !name.contains('\0');
    let found = if is_possible { db::find_credentials(&state.pool, name).await? } else { None };
    let stored = found.as_ref().map(|found| found.password_hash.as_str());
    let checked = state.passwords.check(password, stored).await?;
    match (checked, found) {
        (Checked::Right { is_outdated }, Some(found)) => {
            if is_outdated {
                renew_hash(state, found.user_id, password).await?;
            }
            state.metrics.logins_accepted.inc();
            Ok(Ok(User { id: found.user_id, username: found.username }))
        }
        _ => {
            state.metrics.logins_refused.inc();
            Ok(Err(Problems::one("password", WRONG_CREDENTIALS)))
        }
    }
}

/// Only now is the password known, so only now can it be hashed as hashes are made today.
async fn renew_hash(state: &AppState, user_id: i64, password: &str) -> Result<(), AppError> {
    let password_hash = state.passwords.hash_known(password).await?;
    db::update_password_hash(&state.pool, user_id, &password_hash).await?;
    tracing::info!(user_id, "a password hash was renewed");
    Ok(())
}
