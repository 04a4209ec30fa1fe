//! The edge around a few handlers that misbehave in one way each.

use axum::Extension;
use axum::extract::Request as AxumRequest;
use axum::routing::get;
use http_body_util::BodyExt;

use super::*;
use crate::config::HandicapConfig;

fn edge(requests_max: usize) -> Edge {
    let panics = || async {
        if true {
            panic!("as intended")
        }
    };
    let router = Router::new()
        .route("/", get(|Extension(PeerAddress(peer)): Extension<PeerAddress>| async move { peer.to_string() }))
        .route("/panic", get(panics))
        .route(
            "/panic-later",
            get(move || async move {
                tokio::task::yield_now().await;
                panics().await
            }),
        )
        .route("/slow", get(|| tokio::time::sleep(Duration::from_secs(60))))
        .route("/name", get(|| async { crate::telemetry::request_id().unwrap().to_string() }))
        .route(
            "/later",
            get(|| async {
                tokio::task::yield_now().await;
                crate::telemetry::request_id().unwrap().to_string()
            }),
        )
        .route(
            "/body",
            get(|request: AxumRequest| async move { request.into_body().collect().await.is_ok().to_string() }),
        );
    let metrics = Arc::new(Metrics::new("app-7", requests_max));
    Edge {
        at_once: None,
        straight: None,
        router,
        addresses: Addresses::new().unwrap(),
        admission: Arc::clone(&metrics.admission),
        metrics,
        trusted_proxies: Vec::new(),
        served_by: HeaderValue::from_static("app-7"),
        request_timeout: Duration::from_millis(20),
        draining: Arc::default(),
        handicap: Arc::new(Handicap::new(&HandicapConfig { delay: Duration::ZERO, cpu: Duration::ZERO }).unwrap()),
    }
}

async fn answer(edge: &Edge, path: &str, body: impl Into<Body>) -> (Response, String) {
    let request = Request::get(path).body(body.into()).unwrap();
    let response = edge.answer(request, "192.0.2.7:4242".parse().unwrap(), ()).await.unwrap();
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    (Response::from_parts(parts, Body::empty()), text)
}

#[tokio::test]
async fn a_panic_is_one_500_that_names_its_request() {
    let edge = edge(10);
    for path in ["/panic", "/panic-later"] {
        let (response, text) = answer(&edge, path, Body::empty()).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-served-by"], "app-7");
        assert!(text.contains(response.headers()["x-request-id"].to_str().unwrap()), "{text}");
        assert!(!text.contains("as intended"));
    }
    assert_eq!(edge.metrics.panics.get(), 2);
    assert_eq!(edge.admission.in_flight(), 0);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_a_503() {
    let edge = edge(10);
    let (response, _) = answer(&edge, "/slow", Body::empty()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert_eq!((edge.metrics.timed_out.get(), edge.admission.in_flight()), (1, 0));
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_back() {
    let edge = edge(10);
    let leaving = tokio::time::timeout(Duration::from_millis(5), answer(&edge, "/slow", Body::empty()));
    assert!(leaving.await.is_err());
    assert_eq!((edge.metrics.abandoned.get(), edge.admission.in_flight()), (1, 0));
}

#[tokio::test]
async fn a_full_server_says_so_at_once() {
    let (response, text) = answer(&edge(0), "/", Body::empty()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
    assert!(text.contains("busy"));
}

#[tokio::test]
async fn handlers_know_who_asks_and_what_the_request_is_called() {
    let edge = edge(10);
    assert_eq!(answer(&edge, "/", Body::empty()).await.1, "192.0.2.7:4242");
    for path in ["/name", "/later"] {
        let (response, text) = answer(&edge, path, Body::empty()).await;
        assert_eq!(response.headers()["x-request-id"], text);
    }
}

#[tokio::test]
async fn a_body_is_bounded_whoever_reads_it() {
    let edge = edge(10);
    assert_eq!(answer(&edge, "/body", "x".repeat(64 * 1024)).await.1, "true");
    // Its length is known, so that nobody reads it.
    let (response, _) = answer(&edge, "/body", "x".repeat(64 * 1024 + 1)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    // Its length is not known, and the handler that met its end knows nothing of limits.
    let unknown = Body::new(http_body_util::combinators::UnsyncBoxBody::new(
        Body::from("x".repeat(70_000)).map_frame(|frame| frame),
    ));
    let (response, _) = answer(&edge, "/body", unknown).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(response.headers()["connection"], "close");
    assert_eq!(edge.metrics.bodies_refused.get(), 2);
}

#[tokio::test]
async fn the_last_answers_say_that_they_are() {
    let edge = edge(10);
    assert!(!answer(&edge, "/", Body::empty()).await.0.headers().contains_key(CONNECTION));
    edge.draining.store(true, Ordering::Relaxed);
    assert_eq!(answer(&edge, "/", Body::empty()).await.0.headers()[CONNECTION], "close");
}

#[tokio::test]
async fn what_can_be_answered_at_once_does_not_reach_the_router() {
    let answer_root = |uri: &Uri, _: &axum::http::HeaderMap| match uri.path() {
        "/" => Some("at once".into_response()),
        "/panic" => panic!("as intended"),
        _ => None,
    };
    let edge = Edge { at_once: Some(Box::new(answer_root)), ..edge(10) };
    let (response, text) = answer(&edge, "/", Body::empty()).await;
    assert_eq!((response.headers()["x-served-by"].as_bytes(), text.as_str()), (&b"app-7"[..], "at once"));
    assert!(response.headers().contains_key(X_REQUEST_ID));
    // What it does not know, and what comes with a body, it leaves to the router.
    assert_eq!(answer(&edge, "/body", Body::empty()).await.1, "true");
    assert_eq!(answer(&edge, "/", "body").await.1, "192.0.2.7:4242");
    let (response, _) = answer(&edge, "/panic", Body::empty()).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!((edge.metrics.panics.get(), edge.admission.in_flight()), (1, 0));
    let post = Request::post("/").body(Body::empty()).unwrap();
    let response = edge.answer(post, "192.0.2.7:4242".parse().unwrap(), ()).await.unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn what_knows_its_handler_does_not_reach_the_router() {
    let straight = |uri: &Uri, _: &axum::http::HeaderMap| -> Option<Handling> {
        match uri.path() {
            "/" => Some(Box::pin(async { Ok("straight".into_response()) })),
            "/later" => Some(Box::pin(async {
                tokio::task::yield_now().await;
                Ok(crate::telemetry::request_id().unwrap().to_string().into_response())
            })),
            "/never" => Some(Box::pin(std::future::pending())),
            "/panic" => panic!("as intended"),
            "/panic-later" => Some(Box::pin(async { panic!("as intended") })),
            _ => None,
        }
    };
    let edge = Edge { straight: Some(Box::new(straight)), ..edge(10) };
    assert_eq!(answer(&edge, "/", Body::empty()).await.1, "straight");
    let (response, text) = answer(&edge, "/later", Body::empty()).await;
    assert_eq!(response.headers()[X_REQUEST_ID], text);
    // What it does not know, and what comes with a body, it leaves to the router.
    assert_eq!(answer(&edge, "/body", Body::empty()).await.1, "true");
    assert_eq!(answer(&edge, "/", "body").await.1, "192.0.2.7:4242");
    assert_eq!(answer(&edge, "/never", Body::empty()).await.0.status(), StatusCode::SERVICE_UNAVAILABLE);
    for path in ["/panic", "/panic-later"] {
        assert_eq!(answer(&edge, path, Body::empty()).await.0.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
    }
    assert_eq!((edge.metrics.panics.get(), edge.admission.in_flight()), (2, 0));
}
