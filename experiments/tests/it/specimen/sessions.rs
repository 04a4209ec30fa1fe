//! Where sessions are kept decides whether they survive the balancer, and a server.

use std::time::Duration;

use experiments::stack::{Balancing, SessionStore};

use super::site::{Setup, Site, Visitor};
use super::size;

/// How many of the looks at a reading list found what was put there.
#[derive(Debug, Default)]
struct Looks {
    right: usize,
    lost: usize,
}

impl Looks {
    fn lost_share(&self) -> f64 {
        self.lost as f64 / (self.right + self.lost) as f64
    }
}

/// Whether visitors have an account and log in to it.
#[derive(Clone, Copy, PartialEq)]
enum Visitors {
    LoggedIn,
    Anonymous,
}

/// Visitors with a post of their own on their reading list.
async fn visitors(site: &Site, kind: Visitors) -> Vec<(Visitor, String)> {
    let mut visitors = Vec::new();
    for number in 1..=size(12, 200) {
        let (mut visitor, post) = (Visitor::new(site), (1 + number % 150).to_string());
        if kind == Visitors::LoggedIn {
            let (username, email) = (format!("visitor-{number}"), format!("visitor-{number}@example.org"));
            let fields = [("username", &*username), ("email", &*email), ("password", "correct horse battery staple")];
            let page = visitor.post("/register", &fields).await;
            assert_eq!(page.status, 303, "{}", page.body);
        }
        let page = visitor.post("/reading-list", &[("post_id", &post)]).await;
        assert_eq!(page.status, 303, "{}", page.body);
        assert!(visitor.cookie("session").is_some());
        assert_eq!(visitor.cookie("srv").is_some(), kind == Visitors::LoggedIn, "it is set at log-in only");
        visitors.push((visitor, format!("/posts/{post}\"")));
    }
    visitors
}

async fn look(visitors: &mut [(Visitor, String)]) -> Looks {
    let mut looks = Looks::default();
    for (visitor, link) in visitors {
        for _ in 0..4 {
            let page = visitor.get("/reading-list").await;
            assert_eq!(page.status, 200, "{}", page.body);
            *(if page.body.contains(&*link) { &mut looks.right } else { &mut looks.lost }) += 1;
        }
    }
    looks
}

/// What is lost while both servers are there, and what after the first was killed.
async fn lost(sessions: SessionStore, balancing: Balancing, kind: Visitors) -> (f64, f64, f64) {
    // Hashing passwords at its full price would be most of this test.
    let environment = vec![("APP_PASSWORD_MEMORY_KIB".to_owned(), "8".to_owned())];
    let mut site = Site::start(&Setup { sessions, balancing, environment, ..Setup::default() }).await;
    let mut visitors = visitors(&site, kind).await;
    let of_first = visitors.iter().filter(|(visitor, _)| visitor.cookie("srv") == Some("a")).count();
    let healthy = look(&mut visitors).await.lost_share();
    site.stack.apps.remove(0).process().crash();
    // The balancer finds out by itself.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let after = look(&mut visitors).await.lost_share();
    (healthy, after, of_first as f64 / visitors.len() as f64)
}

/// In the memory of a server and asked in turn, half is lost; kept with their server, visitors lose nothing until it dies, and then
/// everything; in Redis nothing is ever lost. Who has not logged in is kept nowhere, so that only Redis helps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_server_remembers_dies_with_it() {
    let spread = [(Balancing::RoundRobin, Visitors::LoggedIn), (Balancing::Sticky, Visitors::Anonymous)];
    for (balancing, kind) in spread {
        let (healthy, _, _) = lost(SessionStore::Memory, balancing, kind).await;
        assert!((0.3..0.7).contains(&healthy), "in turn, {healthy:.2} was lost");
    }

    let (healthy, after, of_first) = lost(SessionStore::Memory, Balancing::Sticky, Visitors::LoggedIn).await;
    assert_eq!(healthy, 0.0, "with its server, a visitor loses nothing");
    assert!((0.2..0.8).contains(&of_first), "{of_first:.2} of the visitors were with the first server");
    assert!(
        (after - of_first).abs() < 1e-9,
        "{after:.2} was lost with a server that had {of_first:.2} of the visitors"
    );

    for (balancing, kind) in [(Balancing::Sticky, Visitors::LoggedIn), (Balancing::RoundRobin, Visitors::Anonymous)] {
        let (healthy, after, _) = lost(SessionStore::Redis, balancing, kind).await;
        assert_eq!((healthy, after), (0.0, 0.0), "{balancing:?}");
    }
}
