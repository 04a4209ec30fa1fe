//! The OpenAPI document and the routes are the same.

use std::collections::BTreeSet;

use app::routes::ADDRESSES;
use serde_json::Value;

use super::{Client, check_problem, json_of};
use crate::harness::{Page, TestApp, TestDatabase};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

/// What the document says.
pub(super) struct Document(Value);

impl Document {
    pub(super) async fn fetch(app: &TestApp) -> Self {
        let page = app.get("/api/openapi.json").await;
        assert_eq!((page.status, page.header("content-type")), (200, "application/json"));
        Self(json_of(&page))
    }

    /// Every operation: method and path.
    pub(super) fn operations(&self) -> Vec<(&str, &str)> {
        let paths = self.0["paths"].as_object().unwrap();
        let of_path = |(path, item): (&'_ String, &'_ Value)| {
            let methods = METHODS.into_iter().filter(|method| item.get(method).is_some());
            methods.map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        let operations: Vec<(&str, String)> = paths.iter().flat_map(of_path).collect();
        operations.into_iter().map(|(method, path)| (method, paths.get_key_value(&path).unwrap().0.as_str())).collect()
    }

    /// Fails unless the document promises this status for this operation, with this type.
    pub(super) fn check(&self, method: &str, path: &str, page: &Page) {
        let responses = &self.0["paths"][path][method.to_lowercase()]["responses"];
        let promised = &responses[page.status.to_string()];
        assert!(promised.is_object(), "{method} {path} promises no {}: {}", page.status, page.body);
        match promised["content"].as_object() {
            None => assert_eq!(page.body, "", "{method} {path} {} promises no body", page.status),
            Some(content) => {
                let kind = page.header("content-type");
                assert!(content.contains_key(kind), "{method} {path} {} is {kind}", page.status);
            }
        }
    }
}

#[tokio::test]
async fn every_operation_is_there_and_every_other_is_not() {
    let database = TestDatabase::tiny().await;
    let app = TestApp::start(&database, &[]).await;
    let document = Document::fetch(&app).await;
    let operations = document.operations();
    assert!(operations.len() >= 14, "{operations:?}");
    let paths: BTreeSet<&str> = operations.iter().map(|(_, path)| *path).collect();
    let client = Client::anonymous(&app);
    for path in &paths {
        let address = format!("/api{}", path.replace("{id}", "1"));
        for method in METHODS {
            let page = client.send_with(&method.to_uppercase(), &address, &[], "").await;
            if operations.contains(&(method, *path)) {
                assert!(!matches!(page.status, 404 | 405), "{method} {path}: {}", page.status);
                document.check(method, path, &page);
            } else {
                assert_eq!(page.status, 405, "{method} {path}");
                check_problem(&page);
                assert!(!page.header("allow").is_empty());
            }
        }
    }
    // The metrics know the same addresses.
    let known: BTreeSet<&str> = ADDRESSES.iter().filter_map(|address| address.strip_prefix("/api")).collect();
    let described: BTreeSet<&str> = paths.iter().copied().chain(["/openapi.json"]).collect();
    assert_eq!(known, described);
}

/// Its references lead somewhere, and everything in it is explained.
#[tokio::test]
async fn the_document_is_whole() {
    let database = TestDatabase::migrated().await;
    let app = TestApp::start(&database, &[]).await;
    let Document(document) = Document::fetch(&app).await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document.pointer(reference).is_some(), "nothing is at {reference}");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        assert!(schema["description"].is_string(), "{name} is not explained");
        for (property, schema) in schema["properties"].as_object().unwrap() {
            let is_explained = schema["description"].is_string() || schema["$ref"].is_string();
            assert!(is_explained, "{name}.{property} is not explained");
        }
    }
    insta::assert_snapshot!("openapi", serde_json::to_string_pretty(&document).unwrap());
}
