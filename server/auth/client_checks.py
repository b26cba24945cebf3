"""What a registered client may be: addresses, names, scopes.  RFC 7591, RFC 8252, SMART 2.2."""

import re
from urllib.parse import SplitResult, urlsplit

from server.access import scopes
from server.auth.client_keys import check_keys
from server.auth.records import Client
from server.auth.unfit import Unfit

GRANTS = ("authorization_code", "refresh_token", "client_credentials")
MOST_ADDRESSES = 50
MAX_ADDRESS = 2000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
_RESERVED = frozenset(("token", "open", "pages", "tellonce"))
_LOOPBACK = frozenset(("localhost", "127.0.0.1", "::1"))
_HOST = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]")
# Schemes that a browser or a system runs or opens by itself; they have no dot, as no app's may.
_SCHEME = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")


def check_client(client: Client) -> Client:
    """Return ``client`` when it can be kept as it is; raise Unfit."""
    if not _ID.fullmatch(client.id):
        raise Unfit("a client's id is 1 to 128 of A-Z a-z 0-9 . _ ~ -, a letter or digit first")
    if client.id in _RESERVED:
        raise Unfit(f"{client.id} is what the server calls callers of its own")
    if not client.name.strip() or len(client.name) > 128 or not client.name.isprintable():
        raise Unfit("a client has a name of at most 128 printable characters")
    for address in client.redirect_uris:
        check_redirect(address)
    for link in (client.launch_uri, client.logo_uri, client.jwks_uri):
        if link is not None:
            check_web(link)
    for origin in client.origins:
        check_origin(origin)
    if len(client.redirect_uris) > MOST_ADDRESSES or len(client.origins) > MOST_ADDRESSES:
        raise Unfit(f"a client has at most {MOST_ADDRESSES} addresses of a kind")
    _check_grants(client)
    _check_authentication(client)
    check_scope(client.scope)
    return client


def check_redirect(address: str) -> None:
    """Refuse what must not be redirected to.

    Compared byte by byte later (RFC 9700 2.1), so nothing in it may be open to interpretation:
    https, http on this machine (RFC 8252 7.3), or an app's own scheme (7.1).
    """
    parts = _parts(address)
    if parts.scheme in ("http", "https"):
        check_web(address)
    elif not _SCHEME.fullmatch(parts.scheme):
        raise Unfit(
            f"{address}: a redirect goes to https, to http on this machine, or to an app's own "
            "scheme, which is a domain backwards (org.example.app:/callback)"
        )


def check_web(address: str) -> None:
    """Refuse what is not an absolute https address, or http on this machine."""
    parts = _parts(address)
    try:
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise Unfit(f"{address}: {error}") from error
    if not host or parts.username is not None or parts.password is not None:
        raise Unfit(f"{address} is not an absolute web address without a user")
    if not _HOST.fullmatch(f"[{host}]" if ":" in host else host):
        # Also: it stands in the policy of pages, where ";" and "," begin something new.
        raise Unfit(f"{address} names no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOOPBACK):
        raise Unfit(f"{address} is not https (http goes on this machine only)")


def check_origin(origin: str) -> None:
    """Refuse what is not ``scheme://host[:port]``, as browsers send it."""
    check_web(origin)
    parts = urlsplit(origin)
    if origin != f"{parts.scheme}://{parts.netloc}".lower():
        raise Unfit(f"{origin} is not an origin, such as https://app.example")


def check_scope(scope: str) -> None:
    """Refuse scopes that are not understood: silence now would be a puzzle at the first login."""
    if dropped := scopes.parse(scope).dropped:
        raise Unfit(f"not understood as scopes: {' '.join(dropped)}")


def origins_of(client: Client) -> frozenset[str]:
    """Return the origins from which the client's pages call the API, as browsers name them."""
    if client.origins:
        return frozenset(client.origins)
    found = set()
    for address in client.redirect_uris:
        parts = urlsplit(address)
        if parts.scheme in ("http", "https"):
            found.add(f"{parts.scheme}://{parts.netloc}".lower())
    return frozenset(found)


def _parts(address: str) -> SplitResult:
    if len(address) > MAX_ADDRESS or not address.isascii() or not address.isprintable():
        raise Unfit(f"an address has at most {MAX_ADDRESS} ASCII characters")
    if any(bad in address for bad in ("#", "*", " ", "\\", "<", ">", '"')):
        raise Unfit(f"{address}: an address has no fragment, no wildcard and no spaces")
    try:
        return urlsplit(address)
    except ValueError as error:
        raise Unfit(f"{address}: {error}") from error


def _check_grants(client: Client) -> None:
    unknown = set(client.grants) - set(GRANTS)
    if unknown or not client.grants:
        raise Unfit(f"a grant is one of {', '.join(GRANTS)}")
    if "authorization_code" in client.grants and not client.redirect_uris:
        raise Unfit("a client that people log in to needs a redirect address")
    if "client_credentials" in client.grants and client.auth != "private_key_jwt":
        raise Unfit(  # backend-services.html#step-2
            "client_credentials is for clients that sign (--jwks)"
        )


def _check_authentication(client: Client) -> None:
    if client.auth.startswith("client_secret") != (client.secret is not None):
        raise Unfit("a client has a secret when it authenticates by one")
    keys = (client.jwks is not None) + (client.jwks_uri is not None)
    if keys != (client.auth == "private_key_jwt"):
        raise Unfit("a client that signs has a key set or its address, others have neither")
    if client.jwks is not None:
        check_keys(client.jwks)
