"""A backend service of our own: SMART backend-services.html, with a signed assertion.

Written from the specification and without any of the server's code, to be a second opinion.
"""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FHIR_JSON = "application/fhir+json"

Key = RSAKey | ECKey


def new_key(alg: str, kid: str) -> Key:
    """Return a new private key for RS384 or ES384."""
    said: Any = {"kid": kid, "use": "sig", "alg": alg}
    if alg == "RS384":
        return RSAKey.generate_key(2048, said, private=True)
    return ECKey.generate_key("P-384", said, private=True)


def key_set(*keys: Key) -> dict[str, Any]:
    """Return the public halves, as they are registered."""
    return {"keys": [key.as_dict(private=False) for key in keys]}


@dataclass
class Backend:
    """One service at one server.  ``base_url`` is the FHIR address."""

    base_url: str
    client_id: str
    key: Key
    alg: str

    def token_endpoint(self) -> str:
        """Return the address that discovery tells."""
        found = httpx.get(f"{self.base_url}/.well-known/smart-configuration").json()
        endpoint: str = found["token_endpoint"]
        return endpoint

    def assertion(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Return a signed assertion; ``header`` and ``claims`` replace what would be right."""
        said = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.token_endpoint(),
            "exp": int(time.time()) + 240,
            "jti": uuid4().hex,
        } | claims
        head = {"alg": self.alg, "kid": self.key.kid, "typ": "JWT"} | (header or {})
        return jwt.encode(head, said, self.key, algorithms=[self.alg])

    def ask(self, scope: str, assertion: str | None = None) -> httpx.Response:
        """Ask for a token."""
        return httpx.post(
            self.token_endpoint(),
            data={
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion_type": BEARER,
                "client_assertion": assertion or self.assertion(),
            },
        )

    def token(self, scope: str) -> str:
        """Return an access token."""
        answer = self.ask(scope)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["access_token"]
        return token

    def create(self, token: str, resource: dict[str, Any]) -> httpx.Response:
        """Create a resource."""
        return self.call(token, resource["resourceType"], "POST", resource)

    def read(self, token: str, path: str) -> httpx.Response:
        """Read or search."""
        return self.call(token, path)

    def call(
        self, token: str, path: str, method: str = "GET", body: dict[str, Any] | None = None
    ) -> httpx.Response:
        """Call the FHIR API."""
        headers = {"Content-Type": FHIR_JSON} | (
            {"Authorization": f"Bearer {token}"} if token else {}
        )
        return httpx.request(method, f"{self.base_url}/{path}", json=body, headers=headers)
