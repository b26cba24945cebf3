"""What an app asks for at the authorization endpoint: checked, in the order of RFC 6749 4.1.2.1.

Pure.  SMART app-launch.html#request-4; OpenID Connect Core 1.0, 3.1.2.1.
"""

import re
from collections.abc import Mapping

from server.access import scopes
from server.access.conditions import grantable
from server.auth.oauth.pending import PageError, Pending, Refused
from server.auth.records import Client
from server.search.catalog import Catalog

MAX_PARAMETER = 4096  # characters of one; scopes are bounded by themselves
MAX_KEPT = {"nonce": 512, "login_hint": 256}  # these are kept too, and nobody is logged in yet

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # RFC 7636, 4.2: SHA-256 in base64url
_PROMPTS = frozenset(("none", "login", "consent", "select_account"))
_NOT_SUPPORTED = {  # OpenID Connect Core 1.0, 3.1.2.6
    "request": "request_not_supported",
    "request_uri": "request_uri_not_supported",
    "registration": "registration_not_supported",
}


def redirect_uri_of(client: Client, sent: list[str]) -> str:
    """Return the one address that was sent, when it is the client's; raise PageError."""
    if len(sent) != 1 or sent[0] not in client.redirect_uris:  # exact: RFC 9700, 4.1.3
        raise PageError(
            "Unknown address",
            "The address (redirect_uri) to go back to is not registered for this app.",
        )
    return sent[0]


def single(sent: Mapping[str, list[str]]) -> dict[str, str]:
    """Return each parameter's one value; raise Refused when one was sent twice."""
    for name, values in sent.items():
        if len(values) > 1:  # RFC 6749, 3.1
            known = name if name.isidentifier() and name.isascii() else "a parameter"
            raise Refused("invalid_request", f"{known} was sent more than once")
    return {name: values[0] for name, values in sent.items()}


def validate(
    client: Client,
    redirect_uri: str,
    asked: Mapping[str, str],
    base_url: str,
    catalog: Catalog,
) -> Pending:
    """Return the request, without an id; raise Refused."""
    for name, value in asked.items():
        if name != "scope" and len(value) > MAX_KEPT.get(name, MAX_PARAMETER):
            raise Refused("invalid_request", "a parameter is too long")
    _check_shape(asked)
    if "authorization_code" not in client.grants:
        raise Refused("unauthorized_client", "this client may not ask for a code")
    if asked.get("aud", "").rstrip("/") != base_url:
        raise Refused("invalid_request", f"aud must be {base_url}, the FHIR address here")
    return Pending(
        client=client.id,
        client_name=client.name,
        redirect_uri=redirect_uri,
        state=asked["state"],
        scope=_scope(client, asked, base_url, catalog),
        challenge=_challenge(asked),
        nonce=asked.get("nonce"),
        prompt=_prompt(asked),
        max_age=_max_age(asked),
        login_hint=asked.get("login_hint"),
    )


def _check_shape(asked: Mapping[str, str]) -> None:
    for name, error in _NOT_SUPPORTED.items():
        if name in asked:
            raise Refused(error, f"the parameter {name} is not supported")
    if "state" not in asked:  # app-launch.html#request-4: required
        raise Refused("invalid_request", "state is missing")
    if "response_type" not in asked:
        raise Refused("invalid_request", "response_type is missing")
    if asked["response_type"] != "code":
        raise Refused("unsupported_response_type", "response_type must be code")
    if asked.get("response_mode", "query") != "query":
        raise Refused("invalid_request", "response_mode must be query")


def _challenge(asked: Mapping[str, str]) -> str:
    """RFC 7636 4.3; SMART #considerations-for-pkce-support: S256 always, plain never."""
    if asked.get("code_challenge_method") != "S256":
        raise Refused("invalid_request", "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        raise Refused("invalid_request", "code_challenge is missing or not one of S256")
    return asked["code_challenge"]


def _scope(client: Client, asked: Mapping[str, str], base_url: str, catalog: Catalog) -> str:
    """Return what may be granted.

    ``system/`` is for clients without a user; what the server cannot put on must not be granted.
    """
    if "scope" not in asked:
        raise Refused("invalid_scope", "scope is missing")
    allowed = scopes.intersect(scopes.parse(asked["scope"]), scopes.parse(client.scope))
    known, _ = grantable(allowed, catalog, base_url)
    fit = [one for one in known.of if isinstance(one, str) or one.level != "system"]
    if not fit:
        raise Refused("invalid_scope", "this client may have none of the scopes")
    return scopes.Scopes(tuple(fit)).text


def _prompt(asked: Mapping[str, str]) -> tuple[str, ...]:
    prompts = tuple(asked.get("prompt", "").split())
    if not _PROMPTS.issuperset(prompts) or ("none" in prompts and len(prompts) > 1):
        raise Refused("invalid_request", "prompt has a value that is not known")
    return prompts


def _max_age(asked: Mapping[str, str]) -> int | None:
    text = asked.get("max_age")
    if text is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Refused("invalid_request", "max_age is not a number of seconds")
    return int(text)
