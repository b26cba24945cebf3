"""Commands run beside a server, a browser that logs in, and a service that signs."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import httpx
from joserfc import jwt
from joserfc.jwk import ECKey
from typer.testing import CliRunner

from server.commands.line import cli

PASSWORD = "blue kettle on tuesday"
KNOWN_S = 2.5  # what a command changes is in force in two seconds


def command(*words: str, data: Path, stdin: str | None = None, fails: bool = False) -> str:
    """Run ``tellonce WORDS`` in this process, beside the server; return what it said."""
    done = CliRunner().invoke(cli, [*words, "--data", str(data)], input=stdin)
    assert (done.exit_code != 0) == fails, done.output
    return done.output


def add_user(name: str, role: str, data: Path, *more: str) -> None:
    command(
        "user", "add", name, "--role", role, "--password-stdin", *more, data=data, stdin=PASSWORD
    )


@contextmanager
def browser(root: str, name: str, password: str) -> Iterator[tuple[httpx.Client, httpx.Response]]:
    """Fill in the form of login; yield the browser and what the server said."""
    with httpx.Client(base_url=root, timeout=20) as made:
        page = made.get("/auth/login")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found is not None
        form = {"csrf": found[1], "next": "/auth/", "name": name, "password": password}
        yield made, made.post("/auth/login", data=form, headers={"Origin": root})


def login(root: str, name: str, password: str) -> httpx.Response:
    """Return what the server says to a login."""
    with browser(root, name, password) as (_, answer):
        return answer


class Service:
    """A backend service: it signs with ES384 and asks for tokens.  SMART backend-services.html."""

    def __init__(self, id_: str, root: str) -> None:
        self.id, self._url = id_, f"{root}/auth/token"
        self._key = ECKey.generate_key("P-384", {"kid": "k1", "alg": "ES384"})

    def key_file(self, folder: Path) -> Path:
        """Write the public keys to a file, to be registered."""
        file = folder / f"{self.id}.jwks.json"
        public = dict(self._key.as_dict(private=False))
        file.write_text(httpx.Response(200, json={"keys": [public]}).text)
        return file

    def ask(self, scope: str) -> httpx.Response:
        """Ask for a token."""
        now = int(time.time())
        claims = {"iss": self.id, "sub": self.id, "aud": self._url, "jti": token_urlsafe(16)}
        header = {"alg": "ES384", "kid": "k1", "typ": "JWT"}
        signed = jwt.encode(
            header, {**claims, "exp": now + 240, "iat": now}, self._key, algorithms=["ES384"]
        )
        return httpx.post(
            self._url,
            data={
                "grant_type": "client_credentials",
                "scope": scope,
                "client_assertion": signed,
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            },
        )

    def headers(self, scope: str) -> dict[str, str]:
        """Return the header with a new token for ``scope``."""
        answer = self.ask(scope)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def within(seconds: float, holds: Callable[[], Any]) -> bool:
    """Tell whether something comes to hold in so many seconds."""
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.1)
    return True
