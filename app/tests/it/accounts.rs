//! Registering, logging in and out, and what is told to whom.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use reqwest::Url;

use crate::browser::{Browser, PASSWORD};
use crate::harness::{TestApp, TestDatabase};

const NO_LIMITS: (&str, &str) = ("APP_RATE_LIMITS", "off");

#[tokio::test]
async fn somebody_registers_leaves_and_comes_back() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::at(&app);
    let answer = browser.register("Mirela").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account"));
    let account = browser.get("/account").await;
    assert!(account.body.contains("<h1>Mirela</h1>") && account.body.contains("Mirela@example.org"));
    assert_eq!(account.header("cache-control"), "no-store");

    let answer = browser.post("/logout", &[]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/"));
    assert_eq!(browser.cookie("session"), None);
    let answer = browser.get("/account").await;
    assert_eq!((answer.status, answer.header("location")), (303, "/login?next=/account"));

    // By the name or the address, in any case, and back to where one wanted to go.
    for name in ["mirela", " MIRELA ", "mirela@EXAMPLE.org"] {
        let mut browser = Browser::at(&app);
        let fields = [("username", name), ("password", PASSWORD), ("next", "/posts/1#comments")];
        let answer = browser.post("/login", &fields).await;
        assert_eq!((answer.status, answer.header("location")), (303, "/posts/1#comments"), "{name}");
        assert!(browser.is_logged_in_as("Mirela").await);
        assert_eq!(browser.get("/login?next=/write").await.header("location"), "/write");
    }
}

/// Everything that is wrong is told at once, next to its field and at the top, and what was typed is kept, but never the password.
#[tokio::test]
async fn a_wrong_registration_comes_back_with_its_problems() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let fields = [("username", "a <b>"), ("email", "nowhere"), ("password", "hunter2&2"), ("next", "/write")];
    let page = app.post("/register", &fields).await;
    assert_eq!(page.status, 422);
    for expected in [
        r#"role="alert""#,
        r##"<a href="#username">A user name consists of"##,
        r##"<a href="#email">An e-mail address looks like"##,
        r##"<a href="#password">A password has at least 10 characters"##,
        r#"aria-describedby="username-hint username-problem" aria-invalid="true" value="a &lt;b&gt;""#,
        r#"id="username-problem""#,
        r#"autocomplete="new-password""#,
        r#"autocomplete="email""#,
        r#"value="nowhere""#,
        r#"name="next" value="&#x2f;write""#,
        r#"<a href="&#x2f;login?next=&#x2f;write">Log in</a>"#,
    ] {
        assert!(page.body.contains(expected), "no `{expected}` in {}", page.body);
    }
    assert!(!page.body.contains("hunter2"));
    assert!(page.headers.get("set-cookie").is_none());
    // A form without fields is a form in which everything is missing.
    let page = app.post("/register", &[]).await;
    assert!(page.status == 422 && page.body.contains("Please choose a user name."));
}

#[tokio::test]
async fn a_name_and_an_address_belong_to_one_account() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    for (username, email, reason) in [
        ("ADA", "new@example.org", "Somebody has this user name."),
        ("new", "Ada@Example.org", "There is an account with this e-mail address."),
    ] {
        let fields = [("username", username), ("email", email), ("password", PASSWORD)];
        let page = app.post("/register", &fields).await;
        assert!(page.status == 422 && page.body.contains(reason), "{}", page.body);
    }
    // Two at once: one of them gets the name.
    let registering =
        |email: &'static str| app_post(&app, [("username", "twin"), ("email", email), ("password", PASSWORD)]);
    let (one, other) = tokio::join!(registering("one@example.org"), registering("other@example.org"));
    assert_eq!((one.min(other), one.max(other)), (303, 422));
}

async fn app_post(app: &TestApp, fields: [(&str, &str); 3]) -> u16 {
    app.post("/register", &fields).await.status
}

/// Whether there is such an account is nobody's business: a wrong password and a wrong name get the same answer after the same time.
#[tokio::test]
async fn a_wrong_name_looks_like_a_wrong_password() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[NO_LIMITS, ("APP_PASSWORD_MEMORY_KIB", "19456")]).await;
    Browser::registered(&app, "mirela").await;
    let mut times: [Vec<Duration>; 3] = Default::default();
    let mut answers = [const { String::new() }; 3];
    for round in 0..15 {
        // The third is an account that nobody can log in to.
        for (index, name) in ["mirela", "nobody", "grace"].into_iter().enumerate() {
            let started = Instant::now();
            let page = app.post("/login", &[("username", name), ("password", "wrong horse battery")]).await;
            if round > 0 {
                times[index].push(started.elapsed());
            }
            assert_eq!(page.status, 422);
            assert!(page.body.contains("The user name or the password is wrong."));
            let mut headers: Vec<String> = page.headers.keys().map(ToString::to_string).collect();
            headers.sort_unstable();
            answers[index] = format!("{headers:?} {}", page.body.replace(name, "NAME"));
        }
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    times.iter_mut().for_each(|times| times.sort_unstable());
    let (median, shortest) = (|times: &[Duration]| times[times.len() / 2], |times: &[Duration]| times[0]);
    for other in &times[1..] {
        // A look-up without a hash would be ten times as fast.
        assert!(shortest(other) < median(&times[0]) * 2 && shortest(&times[0]) < median(other) * 2, "{times:?}");
        assert!(median(other) > median(&times[0]) / 2 && median(&times[0]) > median(other) / 2, "{times:?}");
    }
}

#[tokio::test]
async fn nobody_logs_in_with_something_else_than_the_password() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[NO_LIMITS]).await;
    Browser::registered(&app, "mirela").await;
    let (long, cut) = (format!("{PASSWORD}{}", "x".repeat(2000)), &PASSWORD[..PASSWORD.len() - 1]);
    for (name, password) in [
        ("mirela", ""),
        ("mirela", " correct horse battery"),
        ("mirela", "Correct horse battery"),
        ("mirela", cut),
        ("mirela", "correct horse battery\0"),
        ("mirela", &long),
        ("Ada", "!"),
        ("Ada", ""),
        ("", PASSWORD),
        ("mirela\0", PASSWORD),
        ("' OR 1=1 --", PASSWORD),
        (&long, PASSWORD),
    ] {
        let mut browser = Browser::at(&app);
        let page = browser.log_in(name, password).await;
        assert_eq!(page.status, 422, "{name:?} {password:?}");
        assert!(browser.cookie("session").is_none());
    }
    let page = Browser::at(&app).log_in("mirela", &"x".repeat(5000)).await;
    assert_eq!(page.status, 413);
}

/// A hash that was made with other parameters is good for one log-in, and then it is one of today's.
#[tokio::test]
async fn an_outdated_hash_is_renewed() {
    let database = TestDatabase::tiny().await;
    let cheap = TestApp::start(&database, &[("APP_PASSWORD_MEMORY_KIB", "32")]).await;
    Browser::registered(&cheap, "mirela").await;
    let hash = async || -> String {
        let hash = "SELECT password_hash FROM users WHERE username = 'mirela'";
        sqlx::query_scalar(hash).fetch_one(&database.pool).await.unwrap()
    };
    let before = hash().await;
    assert!(before.starts_with("$argon2id$v=19$m=32,t=2,p=1,"), "{before}");
    let app = TestApp::start(&database, &[]).await;
    assert_eq!(Browser::at(&app).log_in("mirela", "wrong horse battery").await.status, 422);
    assert_eq!(hash().await, before);
    for _ in 0..2 {
        assert_eq!(Browser::at(&app).log_in("mirela", PASSWORD).await.status, 303);
        let renewed = hash().await;
        assert!(renewed.starts_with("$argon2id$v=19$m=64,t=2,p=1,"), "{renewed}");
    }
}

#[tokio::test]
async fn a_bio_is_changed_and_shown() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let mut browser = Browser::registered(&app, "mirela").await;
    let answer = browser.post("/account", &[("bio", " I <count> round trips.\r\n")]).await;
    assert_eq!((answer.status, answer.header("location")), (303, "/account"));
    assert!(browser.get("/account").await.body.contains("I &lt;count&gt; round trips.</textarea>"));
    assert!(app.get("/authors/1").await.body.contains("I &lt;count&gt; round trips."));
    let long = "x".repeat(2001);
    let page = browser.post("/account", &[("bio", &long)]).await;
    assert!(page.status == 422 && page.body.contains("at most 2,000 characters; yours has 2,001"));
    assert!(page.body.contains(&long));
    let page = browser.post("/account", &[("bio", "a\0b")]).await;
    assert!(page.status == 422 && page.body.contains("U+0000"));
    assert_eq!(app.post("/account", &[("bio", "x")]).await.header("location"), "/login?next=/account");
}

/// Wherever the log-in page is told to lead, it stays on this site: the judge is the URL parser that browsers follow.
#[test]
fn logging_in_never_leads_to_another_site() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_database, app, browser) = runtime.block_on(async {
        let database = TestDatabase::migrated().await;
        let app = TestApp::start(&database, &[NO_LIMITS]).await;
        let browser = Browser::registered(&app, "mirela").await;
        (database, app, browser)
    });
    let here = Url::parse(app.base_url()).unwrap();
    let next = prop_oneof![
        "[/\\\\.@:#?%a-z\t\r\n ]{0,12}",
        "/[/\\\\.@:a-z]{0,12}",
        Just("https://evil.example/".to_owned()),
        Just("//evil.example".to_owned()),
        Just("/\\evil.example".to_owned()),
        Just("/\t/evil.example".to_owned()),
        any::<String>(),
    ];
    proptest!(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) }, |(next in next)| {
        let fields = [("username", "mirela"), ("password", PASSWORD), ("next", next.as_str())];
        let answer = runtime.block_on(browser.clone().post("/login", &fields));
        prop_assert_eq!(answer.status, 303);
        prop_assert_eq!(here.join(answer.header("location")).unwrap().origin(), here.origin());
    });
}
