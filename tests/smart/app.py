"""A SMART app of our own, written from the specification: the code flow with PKCE.

A second opinion on the server; it uses none of its code.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from tests.smart.person import Consent, Person, allow
from tests.smart.registered import PASSWORD as PASSWORD
from tests.system.process import Process

REDIRECT = "http://127.0.0.1:9/callback"
ORIGIN = "http://127.0.0.1:9"


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge.  RFC 7636 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@dataclass
class App:
    """An app that is registered at a server.  ``secret``: it authenticates with Basic."""

    server: Process
    client_id: str
    secret: str | None = None
    verifier: str = ""

    @property
    def root(self) -> str:
        """Return the address above the FHIR API."""
        return self.server.base_url.removesuffix("/fhir")

    def configuration(self) -> dict[str, Any]:
        """Return what discovery tells."""
        found: dict[str, Any] = httpx.get(
            f"{self.server.base_url}/.well-known/smart-configuration"
        ).json()
        return found

    def parameters(self, scope: str, **more: str) -> dict[str, str]:
        """Return the parameters of an authorization request."""
        self.verifier = secrets.token_urlsafe(48)
        return {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": REDIRECT,
            "scope": scope,
            "state": secrets.token_urlsafe(16),
            "aud": self.server.base_url,
            "code_challenge": challenge_of(self.verifier),
            "code_challenge_method": "S256",
            **more,
        }

    def ask(
        self,
        scope: str,
        person: str = "ada",
        *,
        consent: Consent = allow,
        choose: str = "",
        **more: str,
    ) -> dict[str, str]:
        """Return what the person's browser brings back."""
        asked = urlencode(self.parameters(scope, **more))
        address = f"{self.configuration()['authorization_endpoint']}?{asked}"
        with Person(self.root, person) as browser:
            return browser.authorize(address, REDIRECT, consent=consent, choose=choose)

    def post(self, **form: str) -> httpx.Response:
        """Ask the token endpoint."""
        known = {} if self.secret else {"client_id": self.client_id}
        auth = (self.client_id, self.secret) if self.secret else None
        return httpx.post(self.configuration()["token_endpoint"], data=known | form, auth=auth)

    def redeem(self, code: str) -> httpx.Response:
        """Exchange a code."""
        return self.post(
            grant_type="authorization_code",
            code=code,
            redirect_uri=REDIRECT,
            code_verifier=self.verifier,
        )

    def tokens(self, scope: str, person: str = "ada", **more: Any) -> dict[str, Any]:
        """Return the token answer after the person has allowed it."""
        told = self.ask(scope, person, **more)
        assert "code" in told, told
        answer = self.redeem(told["code"])
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def refresh(self, token: str, **more: str) -> httpx.Response:
        """Use a refresh token."""
        return self.post(grant_type="refresh_token", refresh_token=token, **more)

    def call(self, token: str, path: str, method: str = "GET", body: Any = None) -> httpx.Response:
        """Call the FHIR API."""
        return httpx.request(
            method,
            f"{self.server.base_url}/{path}".rstrip("/"),
            json=body,
            headers={"Content-Type": "application/fhir+json"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=30,
        )
