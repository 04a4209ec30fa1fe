//! Any input is refused with a problem, or stored as it is; never a 5xx. And no answer is one that the document does not promise.

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::document::Document;
use super::{Client, check_problem, json_of};
use crate::harness::{Page, TestApp, TestDatabase};

/// Texts that somebody might send.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "\\PC{0,60}",
        "[a-z]{1,12}",
        proptest::sample::select(
            &[
                "",
                " ",
                "\0",
                "a\0b",
                "'; DROP TABLE posts; --",
                "' OR 1 = 1 --",
                "<script>alert(1)</script>",
                "{{ 7 * 7 }}",
                "\u{202e}\u{feff}",
                "\u{1b}[31m",
                "ﷺ",
                "-1",
                "1e999",
                "99999999999999999999",
                "null",
                "a\r\nb\rc",
            ][..]
        )
        .prop_map(str::to_owned),
        (1_usize..4000).prop_map(|count| "x".repeat(count)),
    ]
}

/// Values of JSON, deep and wide, with numbers that fit nothing.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 48, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::hash_map(text(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A body in which each field is right, wrong or missing, now and then with one too many.
fn body(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let field =
        prop_oneof![3 => text().prop_map(|text| Some(Value::from(text))), 1 => value().prop_map(Some), 1 => Just(None)];
    let known = proptest::collection::vec(field, fields.len());
    let object = (known, proptest::option::weighted(0.1, (text(), value()))).prop_map(|(values, extra)| {
        let known = fields.iter().map(|name| (*name).to_owned()).zip(values);
        let known = known.filter_map(|(name, value)| Some((name, value?)));
        Value::Object(known.chain(extra).collect())
    });
    prop_oneof![9 => object, 1 => value()]
}

/// A body with tags, which are a list.
fn post_body() -> impl Strategy<Value = Value> {
    let tags = prop_oneof![
        3 => proptest::collection::vec("[a-z ]{1,8}", 0..5).prop_map(Value::from),
        1 => proptest::collection::vec(text(), 0..12).prop_map(Value::from),
        1 => value(),
    ];
    (body(&["title", "content"]), proptest::option::of(tags)).prop_map(|(mut body, tags)| {
        if let (Some(body), Some(tags)) = (body.as_object_mut(), tags) {
            body.insert("tags".to_owned(), tags);
        }
        body
    })
}

/// A path segment, a parameter or a header, as bytes that HTTP can carry.
fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

struct Fuzz {
    runtime: Runtime,
    app: TestApp,
    token: Option<String>,
    document: Document,
    _database: TestDatabase,
}

impl Fuzz {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (database, app, document, token) = runtime.block_on(async {
            let database = TestDatabase::tiny().await;
            let app = TestApp::start(&database, &[("APP_RATE_LIMITS", "off")]).await;
            let document = Document::fetch(&app).await;
            let token = Client::registered(&app, "eva").await.token;
            (database, app, document, token)
        });
        Self { runtime, app, token, document, _database: database }
    }

    /// Sends something, and checks what holds for every answer.
    fn send(&self, method: &str, template: &str, id: &str, headers: &[(&str, &str)], body: String) -> Page {
        let client = Client { app: &self.app, token: self.token.clone() };
        let path = format!("/api{}", template.replace("{id}", id));
        let page = self.runtime.block_on(client.send_with(method, &path, headers, body));
        assert!(page.status < 500, "{method} {path}: {} {}", page.status, page.body);
        if page.status >= 400 {
            check_problem(&page);
        }
        self.document.check(method, template.split('?').next().unwrap(), &page);
        page
    }

    fn send_json(&self, method: &str, template: &str, body: &Value) -> Page {
        self.send(method, template, "1", &[("content-type", "application/json")], body.to_string())
    }

    fn get(&self, path: &str) -> Value {
        json_of(&self.runtime.block_on(self.app.get(path)))
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// What is kept of a text: line ends of one kind, and no space around it.
fn kept(body: &Value, field: &str) -> String {
    body[field].as_str().unwrap().replace("\r\n", "\n").replace('\r', "\n").trim().to_owned()
}

#[test]
fn any_post_is_refused_or_stored() {
    let fuzz = Fuzz::start();
    proptest!(config(150), |(body in post_body())| {
        let page = fuzz.send_json("POST", "/posts", &body);
        prop_assert!(matches!(page.status, 201 | 422), "{}", page.body);
        if page.status == 201 {
            let stored = fuzz.get(page.header("location"));
            prop_assert_eq!(stored["title"].as_str().unwrap(), body["title"].as_str().unwrap().trim());
            prop_assert_eq!(stored["content"].as_str().unwrap(), kept(&body, "content"));
            let id = stored["id"].to_string();
            let shown = fuzz.runtime.block_on(fuzz.app.get(&format!("/posts/{id}")));
            prop_assert!(shown.status == 200 && !shown.body.contains("<script"), "{}", shown.body);
            let page = fuzz.send("PUT", "/posts/{id}", &id, &[("content-type", "application/json")], body.to_string());
            prop_assert_eq!(page.status, 200);
        }
    });
}

#[test]
fn any_comment_is_refused_or_stored() {
    let fuzz = Fuzz::start();
    proptest!(config(100), |(body in body(&["content"]))| {
        let page = fuzz.send_json("POST", "/posts/{id}/comments", &body);
        prop_assert!(matches!(page.status, 200 | 201 | 422), "{}", page.body);
        if page.status == 201 {
            let newest = fuzz.get("/api/posts/1/comments?limit=1");
            prop_assert_eq!(newest["comments"][0]["content"].as_str().unwrap(), kept(&body, "content"));
        }
    });
}

#[test]
fn any_account_and_credentials_are_refused_or_right() {
    let fuzz = Fuzz::start();
    proptest!(config(100), |(user in body(&["username", "email", "password"]), bio in body(&["bio"]))| {
        // What comes before anybody is known may be 4 KiB.
        let page = fuzz.send_json("POST", "/users", &user);
        prop_assert!(matches!(page.status, 201 | 413 | 422), "{}", page.body);
        let page = fuzz.send_json("PUT", "/users/me", &bio);
        prop_assert!(matches!(page.status, 200 | 422), "{}", page.body);
        if page.status == 200 {
            let account = json_of(&page);
            prop_assert_eq!(account["bio"].as_str().unwrap(), kept(&bio, "bio"));
        }
        let mut credentials = user.clone();
        if let Some(credentials) = credentials.as_object_mut() {
            credentials.remove("email");
        }
        let page = fuzz.send_json("POST", "/sessions", &credentials);
        prop_assert!(matches!(page.status, 401 | 413 | 422), "{}", page.body);
    });
}

#[test]
fn any_address_and_header_is_refused_or_answered() {
    let fuzz = Fuzz::start();
    let operations = fuzz.document.operations();
    let operations: Vec<(String, String)> =
        operations.into_iter().map(|(method, path)| (method.to_uppercase(), path.to_owned())).collect();
    // Logging out would end the session in which all this happens.
    let operations: Vec<_> = operations
        .into_iter()
        .filter(|(method, path)| (method.as_str(), path.as_str()) != ("DELETE", "/sessions"))
        .collect();
    let names = proptest::sample::select(&["before", "after", "limit", "author", "tag", "x"][..]);
    let parameters = proptest::collection::vec((names, text()), 0..3);
    let header = || "[ -~]{0,30}";
    let strategy = (proptest::sample::select(operations), text(), parameters, header(), header(), "\\PC{0,40}");
    proptest!(config(200), |((operation, id, parameters, key, kind, body) in strategy)| {
        let (method, path) = operation;
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let id = encoded(&id);
        // A segment that is empty or made of dots is another path.
        prop_assume!(!id.is_empty() && !id.bytes().all(|byte| byte == b'.'));
        let headers = [("idempotency-key", key.as_str()), ("content-type", kind.as_str()), ("if-none-match", key.as_str())];
        fuzz.send(&method, &format!("{path}?{}", query.join("&")), &id, &headers, body);
    });
}

/// Bodies that are meant to break a parser.
#[test]
fn hostile_json_is_refused() {
    let fuzz = Fuzz::start();
    let deep = [("[", "]"), ("{\"content\":", "}"), ("[{\"a\":", "}]")];
    let mut bodies: Vec<String> =
        deep.iter().map(|(open, close)| format!("{}1{}", open.repeat(4000), close.repeat(4000))).collect();
    bodies.extend(deep.iter().map(|(open, _)| open.repeat(4000)));
    bodies.push(format!("{{\"content\": {}}}", "9".repeat(20_000)));
    bodies.push(format!("{{\"content\": 1e{}}}", "9".repeat(2000)));
    bodies.push(format!("{{{}\"content\": \"x\"}}", "\"content\": \"x\",".repeat(1000)));
    bodies.push(json!({ "content": "x", "\u{0}": 1 }).to_string());
    for body in bodies {
        let page = fuzz.send("POST", "/posts/{id}/comments", "1", &[("content-type", "application/json")], body);
        assert!(matches!(page.status, 400 | 422), "{}", page.body);
    }
}
