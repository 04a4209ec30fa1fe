//! Waiting for something to become true, with a limit. Knows nothing of what is waited for.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

/// The first pause between two looks; it doubles up to [`LONGEST_PAUSE`], so that a quick start is noticed quickly and a slow
/// one costs little CPU.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// The limit passed. What was seen last says more than the limit does.
#[derive(Debug, thiserror::Error)]
#[error("{what} took longer than {} s; last status: {status}", limit.as_secs_f64())]
pub struct TimedOut {
    what: String,
    limit: Duration,
    status: String,
}

/// Calls `check` until it returns `Ok`, and returns what it gave. A `check` that hangs is cut off by the limit as well.
///
/// # Errors
/// [`TimedOut`] with the last status that `check` returned.
pub async fn wait_until<T>(
    what: &str,
    limit: Duration,
    mut check: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T, TimedOut> {
    let deadline = Instant::now() + limit;
    let mut status = "no answer".to_owned();
    let mut pause = FIRST_PAUSE;
    loop {
        match timeout_at(deadline, check()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(pending)) => status = pending,
            Err(_) => {}
        }
        if Instant::now() + pause >= deadline {
            return Err(TimedOut { what: what.to_owned(), limit, status });
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_status_is_in_the_error() {
        let mut looks = 0;
        let error = wait_until("the start", Duration::from_millis(40), async || {
            looks += 1;
            Err::<(), _>(format!("look {looks}"))
        })
        .await
        .unwrap_err()
        .to_string();
        assert_eq!(error, format!("the start took longer than 0.04 s; last status: look {looks}"));
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_cut_off() {
        let error = wait_until("the start", Duration::from_millis(20), async || {
            std::future::pending::<Result<(), String>>().await
        })
        .await
        .unwrap_err();
        assert_eq!(error.to_string(), "the start took longer than 0.02 s; last status: no answer");
    }

    #[tokio::test]
    async fn the_value_is_handed_on() {
        let mut looks = 0;
        let value = wait_until("the start", Duration::from_secs(5), async || {
            looks += 1;
            if looks < 3 { Err("not yet".to_owned()) } else { Ok(looks) }
        })
        .await
        .unwrap();
        assert_eq!(value, 3);
    }
}
