//! The longest post that the blog takes has to get through the balancer, which bounds bodies too.

use super::site::{Setup, Site, Visitor};

/// The most characters of a post. Each of these has four bytes, and twelve in a form.
const CHARACTERS: usize = app::input::POST_CHARACTERS_MAX;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_post_passes_the_balancer() {
    let environment = vec![("APP_PASSWORD_MEMORY_KIB".to_owned(), "8".to_owned())];
    let site = Site::start(&Setup { environment, ..Setup::default() }).await;
    let mut visitor = Visitor::new(&site);
    let account =
        [("username", "long-winded"), ("email", "long@example.org"), ("password", "correct horse battery staple")];
    assert_eq!(visitor.post("/register", &account).await.status, 303);
    let content = "𐍈".repeat(CHARACTERS);
    let page = visitor.post("/write", &[("title", "As long as it may be"), ("content", &content)]).await;
    assert_eq!(page.status, 303, "{}", page.body);
    let location = page.header("location").to_owned();
    assert!(visitor.get(&location).await.body.contains(&content));
    // One character more is refused by the blog, in words, and not by the balancer.
    let page = visitor.post("/write", &[("title", "Longer"), ("content", &format!("{content}𐍈"))]).await;
    assert_eq!(page.status, 422);
}
