"""``/docs``, the interactive API page, with its scripts served locally: FastAPI's own page loads them from a CDN,
which a cluster without internet access cannot reach.
"""

import base64
import hashlib
import re
from importlib.resources import files
from typing import Final

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

PAGES = frozenset({"/docs", "/redoc", "/docs/oauth2-redirect"})
"""FastAPI's own pages, which ``install`` replaces."""

_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


def install(app: FastAPI) -> None:
    """Serve Swagger UI under ``/docs`` and its files under ``/docs/static``."""

    async def docs() -> HTMLResponse:
        page = get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="/docs/static/favicon.png",
        )
        page.headers["Content-Security-Policy"] = _policy(bytes(page.body))
        return page

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/docs/static", StaticFiles(directory=str(files("fastapi_offline") / "static")))


def _policy(page: bytes) -> str:
    """The page may run its own scripts and the one in it, and ask this server; nothing else."""
    digests = [base64.b64encode(hashlib.sha256(script).digest()).decode() for script in _INLINE_SCRIPT.findall(page)]
    scripts = " ".join(["script-src 'self'", *(f"'sha256-{digest}'" for digest in digests)])
    return (
        f"default-src 'none'; {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
