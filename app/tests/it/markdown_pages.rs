//! What authors write, on pages.

use crate::harness::{TestApp, TestDatabase};

async fn write(database: &TestDatabase, content: &str) {
    sqlx::query("INSERT INTO posts (author_id, title, content) VALUES (1, 'Markdown', $1)")
        .bind(content)
        .execute(&database.pool)
        .await
        .unwrap();
}

/// A post is Markdown on its page, and plain text in lists.
#[tokio::test]
async fn markdown_on_its_page_and_plain_text_in_lists() {
    let database = TestDatabase::tiny().await;
    let content =
        "Some **bold** claim, with `code`.\n\n# A heading\n\n```sql\nSELECT 1 < 2\n```\n\n| a |\n|--:|\n| 1 |";
    write(&database, content).await;
    let app = TestApp::start(&database, &[]).await;
    let page = app.get("/posts/4").await.body;
    assert!(page.contains("<p>Some <strong>bold</strong> claim, with <code>code</code>.</p>"), "{page}");
    assert!(page.contains("<h2>A heading</h2>"));
    assert!(page.contains("<pre><code class=\"language-sql\">SELECT 1 &lt; 2\n</code></pre>"));
    assert!(page.contains("<td class=\"right\">1</td>"));
    assert_eq!(page.matches("<h1").count(), 1);
    let list = app.get("/").await.body;
    assert!(list.contains(">Some bold claim, with code.</p>"), "{list}");
}

/// Whatever an author tries, the page loads nothing from elsewhere and runs nothing.
#[tokio::test]
async fn nothing_runs_and_nothing_is_loaded() {
    let database = TestDatabase::tiny().await;
    let content = "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> ![pixel](https://evil.example/p.gif)\n\n\
                   [x](javascript:alert(1)) <a href=\"https://evil.example\" onclick=\"alert(1)\">y</a>";
    write(&database, content).await;
    let app = TestApp::start(&database, &[]).await;
    for path in ["/posts/4", "/"] {
        let body = app.get(path).await.body;
        for bad in ["<script", "<img", "href=\"javascript", "<a href=\"https://evil.example\" on"] {
            assert!(!body.contains(bad), "{path} has `{bad}`: {body}");
        }
    }
    let page = app.get("/posts/4").await.body;
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    let link = "<a href=\"https://evil.example/p.gif\" rel=\"nofollow noopener ugc\">pixel</a>";
    assert!(page.contains(link), "{page}");
}
