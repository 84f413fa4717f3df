"""Every response tells a browser what it is not for."""

from tests.unit.common.http.serving import installed, send


def test_every_response_has_them_and_the_page_may_run_its_own_scripts() -> None:
    app = installed(cors_origins="https://a.example")
    for method, path, status in (
        ("GET", "/live", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/static/favicon.png", 200),
        ("GET", "/nowhere", 404),
        ("DELETE", "/live", 405),
        ("POST", "/v1/answer", 400),
    ):
        answer = send(app, method, path)
        assert answer.status_code == status
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert (answer.headers.get("cache-control") == "no-store") == (not path.startswith("/docs/static"))
    page = send(app, "GET", "/docs").headers["content-security-policy"]
    assert page.startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "unsafe" not in page.partition("style-src")[0]
    assert send(app, "GET", "/live").headers["content-security-policy"] == (
        "default-src 'none'; frame-ancestors 'none'"
    )
