"""What every page may load, and what apps may look like."""

from fastapi import Response

from server.auth.pages.page_error import PageError
from server.auth.pages.serve import Page
from server.auth.pages.views import STYLE
from server.auth.pages.visit import Visit
from server.fhir import json as fhir_json

STYLE_PATH = "/auth/static/smart-style.json"

# SMART App Launch 2.2.0, scopes-and-launch-context.html#styling: the light theme of the pages.
SMART_STYLE = {
    "color_background": "#ffffff",
    "color_error": "#a3122c",
    "color_highlight": "#0b5c8a",
    "color_modal_backdrop": "#1c2530",
    "color_success": "#1d6b3a",
    "color_text": "#1c2530",
    "dim_border_radius": "8px",
    "dim_font_size": "16px",
    "dim_spacing_size": "16px",
    "font_family_body": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
    "font_family_heading": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif",
}

_FILES = {
    "style.css": (STYLE, "text/css; charset=utf-8"),
    "smart-style.json": (fhir_json.dumps(SMART_STYLE), "application/json"),
}
_HEADERS = {
    "Cache-Control": "public, max-age=86400",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [Page("/auth/static/{name}", static, public=True, stateless=True)]


async def static(visit: Visit) -> Response:
    """Return a file that ships with the pages.  Apps of any origin may read the style."""
    found = _FILES.get(visit.request.path_params["name"])
    if found is None:
        raise PageError(404, "This is not here", "There is no such file.")
    body, media_type = found
    headers = {"Access-Control-Allow-Origin": "*"} if media_type == "application/json" else {}
    return Response(body, 200, {**_HEADERS, **headers}, media_type)
