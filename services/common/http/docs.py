"""``/docs``, the interactive API page, with its scripts served locally: FastAPI's own page loads them from a CDN,
which a cluster without internet access cannot reach.
"""

from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

PAGES = frozenset({"/docs", "/redoc", "/docs/oauth2-redirect"})
"""FastAPI's own pages, which ``install`` replaces."""


def install(app: FastAPI) -> None:
    """Serve Swagger UI under ``/docs`` and its files under ``/docs/static``."""

    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=app.title,
            swagger_js_url="/docs/static/swagger-ui-bundle.js",
            swagger_css_url="/docs/static/swagger-ui.css",
            swagger_favicon_url="/docs/static/favicon.png",
        )

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.mount("/docs/static", StaticFiles(directory=str(files("fastapi_offline") / "static")))
