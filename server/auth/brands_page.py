"""``/brands``: the brands, for everybody and from every origin.  SMART brands.html."""

from fastapi import APIRouter, Request, Response

from server.auth.brands import Brands

_HEADERS = {
    "Access-Control-Allow-Origin": "*",  # #managing-cross-origin-resource-sharing-cors
    "Access-Control-Expose-Headers": "ETag",
    "Cache-Control": "public, max-age=300",
    "X-Content-Type-Options": "nosniff",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD",
    "Access-Control-Allow-Headers": "Accept, If-None-Match",
    "Access-Control-Max-Age": "86400",
}


def brands_router(brands: Brands) -> APIRouter:
    """Return the route."""
    made = APIRouter(tags=["brands"])

    @made.head("/brands", include_in_schema=False)
    @made.get("/brands", summary="The user-access brands")
    async def get(request: Request) -> Response:
        headers = {**_HEADERS, "ETag": brands.etag}
        if _known(request.headers.get("if-none-match", ""), brands.etag):
            return Response(status_code=304, headers=headers)
        return Response(brands.body, media_type="application/fhir+json", headers=headers)

    @made.options("/brands", include_in_schema=False)
    async def preflight() -> Response:
        return Response(status_code=204, headers={**_HEADERS, **_PREFLIGHT})

    return made


def _known(asked: str, etag: str) -> bool:
    """Compare weakly (RFC 9110 13.1.2)."""
    plain = etag.removeprefix("W/")
    return any(one.strip().removeprefix("W/") in (plain, "*") for one in asked.split(","))
