//! Sessions in the memory of one server. The tests of the whole app run the same rules through Redis.

use super::*;

fn sessions(idle: Duration, absolute: Duration) -> Sessions {
    let cookies = Cookies { is_secure: false, route: None, lifetime: absolute };
    Sessions::new(Store::memory(), &Key::new(b"secret"), Lifetimes { idle, absolute }, cookies)
}

fn ada() -> User {
    User { id: 1, username: "Ada".to_owned() }
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn an_id_is_its_token_and_nothing_else_is_one() {
    let id = SessionId::random();
    assert!(SessionId::parse(&id.token()) == Some(id));
    let upper = id.token().to_uppercase().replace(|digit: char| digit.is_ascii_digit(), "A");
    for token in ["", "0", &upper, &"+".repeat(32), &format!("{} ", &id.token()[..31]), &"0".repeat(33)] {
        assert!(SessionId::parse(token).is_none(), "{token:?}");
    }
}

#[tokio::test]
async fn logging_in_gives_a_new_id_and_keeps_the_data() {
    let sessions = sessions(LONG, LONG);
    let visitor = sessions.begin(|_| ()).await.unwrap();
    let visitor = sessions.change(&visitor, |data| data.add_to_reading_list(7)).await.unwrap().unwrap();
    let user = sessions.log_in(Some(&visitor), ada()).await.unwrap();
    assert!(user.id() != visitor.id());
    assert_eq!((user.data().reading_list.as_slice(), user.user()), ([7].as_slice(), Some(&ada())));
    assert!(sessions.find(visitor.id()).await.unwrap().is_none(), "the id from before must be worth nothing");
    // Another user at the same browser does not see the list of the first.
    let grace = User { id: 2, username: "grace".to_owned() };
    assert!(sessions.log_in(Some(&user), grace).await.unwrap().data().reading_list.is_empty());
}

#[tokio::test]
async fn changes_of_many_requests_at_once_are_all_kept() {
    let sessions = sessions(LONG, LONG);
    let session = sessions.begin(|_| ()).await.unwrap();
    // All of them hold the session as it was at the beginning.
    for post_id in 1..=5 {
        sessions.change(&session, |data| data.add_to_reading_list(post_id)).await.unwrap().unwrap();
    }
    let found = sessions.find(session.id()).await.unwrap().unwrap();
    assert_eq!(found.data().reading_list, [5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn a_session_that_was_ended_is_not_brought_back_by_a_slower_request() {
    let sessions = sessions(LONG, LONG);
    let session = sessions.begin(|_| ()).await.unwrap();
    sessions.end(session.id()).await.unwrap();
    assert!(sessions.change(&session, |data| data.visits += 1).await.unwrap().is_none());
    assert!(sessions.find(session.id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_slides_while_it_is() {
    let sessions = sessions(Duration::from_millis(300), LONG);
    let session = sessions.begin(|_| ()).await.unwrap();
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert!(sessions.find(session.id()).await.unwrap().is_some());
    }
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(sessions.find(session.id()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_session_ends_in_any_case() {
    let sessions = sessions(LONG, Duration::from_millis(300));
    let session = sessions.begin(|_| ()).await.unwrap();
    assert!(sessions.change(&session, |data| data.visits += 1).await.unwrap().is_some());
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert!(sessions.find(session.id()).await.unwrap().is_none());
}

#[test]
fn a_reading_list_is_bounded() {
    let mut data = SessionData::new(0);
    (0..100).for_each(|post_id| data.add_to_reading_list(post_id));
    data.add_to_reading_list(60);
    assert_eq!((data.reading_list.len(), data.reading_list[0], data.reading_list[49]), (READING_LIST_MAX, 60, 50));
}
