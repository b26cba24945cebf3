"""What the server says of its authorization: to SMART apps, and to OpenID Connect clients.

SMART conformance.html#using-well-known, #metadata; OpenID Connect Discovery 1.0, 3; RFC 8414.
"""

from typing import Any

from server.auth.keys import ALGORITHM
from server.auth.oauth.assertion import ALGORITHMS
from server.auth.oauth.client_auth import METHODS
from server.auth.oauth.terms import Terms
from server.fhir import json as fhir_json

SCOPES = (
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "launch/encounter",
    "offline_access",
    "online_access",
    "patient/*.cruds",
    "patient/*.rs",
    "patient/*.read",
    "patient/*.*",
    "user/*.cruds",
    "user/*.rs",
    "user/*.read",
    "user/*.*",
    "system/*.cruds",
    "system/*.rs",
    "introspect",
)
CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)


def smart_configuration(terms: Terms) -> bytes:
    """Return the document at ``[base]/.well-known/smart-configuration``, JSON."""
    capabilities = [*CAPABILITIES, *(["context-style"] if terms.style_url else [])]
    made = {
        **_endpoints(terms),
        "management_endpoint": terms.at("apps"),
        "capabilities": capabilities,
        "associated_endpoints": [{"url": terms.base_url, "capabilities": capabilities}],
    }
    if terms.brand_bundle is not None:
        made["user_access_brand_bundle"] = terms.brand_bundle
    if terms.brand_identifier is not None:
        made["user_access_brand_identifier"] = terms.brand_identifier
    return fhir_json.dumps(made)


def openid_configuration(terms: Terms) -> bytes:
    """Return the document at ``[issuer]/.well-known/openid-configuration``, JSON."""
    return fhir_json.dumps(
        {
            **_endpoints(terms),
            "response_modes_supported": ["query"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "claims_supported": [
                "iss",
                "sub",
                "aud",
                "exp",
                "iat",
                "auth_time",
                "nonce",
                "at_hash",
                "fhirUser",
                "profile",
            ],
            "prompt_values_supported": ["none", "login", "consent", "select_account"],
            "claims_parameter_supported": False,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
    )


def _endpoints(terms: Terms) -> dict[str, Any]:
    made: dict[str, Any] = {
        "issuer": terms.issuer,
        "jwks_uri": terms.at("jwks"),
        "authorization_endpoint": terms.at("authorize"),
        "token_endpoint": terms.token_endpoint,
        "introspection_endpoint": terms.at("introspect"),
        "revocation_endpoint": terms.at("revoke"),
        # RFC 8414 names the refresh grant too; SMART's two options come first.
        "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
        "token_endpoint_auth_methods_supported": METHODS,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "scopes_supported": list(SCOPES),
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    }
    if terms.registration != "off":
        made["registration_endpoint"] = terms.at("register")
    return made
