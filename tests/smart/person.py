"""Somebody at a browser without scripts: follows links, fills forms in, says yes or no."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
from lxml import html

from tests.smart.registered import PASSWORD

MOST_STEPS = 12

Form = html.FormElement
Consent = Callable[[Form], str | None]
"""Changes the consent form; returns the name=value of the button to press (None: the first)."""


def allow(form: Form) -> str | None:
    """Leave every box as it is, and allow."""
    return None


class Person:
    """One browser with its cookies.  ``name`` logs in with the password of all test users."""

    def __init__(self, root: str, name: str) -> None:
        self.http = httpx.Client(base_url=root, timeout=30)
        self.name = name

    def __enter__(self) -> "Person":
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def authorize(
        self, url: str, redirect_uri: str, *, consent: Consent = allow, patient: str | None = None
    ) -> dict[str, str]:
        """Open an authorization address; return what the app is told at its redirect address."""
        answer = self.http.get(url)
        for _ in range(MOST_STEPS):
            if answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.partition("?")[0] == redirect_uri.partition("?")[0]:
                    return dict(parse_qsl(urlsplit(to).query))
                answer = self.http.get(to)
            else:
                assert answer.status_code == 200, f"{answer.status_code}: {text_of(answer)}"
                answer = self.answer(answer, consent, patient)
        raise AssertionError(f"it never ended: {text_of(answer)}")

    def answer(self, page: httpx.Response, consent: Consent, patient: str | None) -> httpx.Response:
        """Fill the page's form in and send it."""
        form = main_form(page)
        if "password" in form.fields:
            form.fields["name"], form.fields["password"] = self.name, PASSWORD
            return self.send(page, form)
        if patient is not None and "patient" in form.fields:
            form.fields["patient"] = patient
            return self.send(page, form)
        return self.send(page, form, consent(form))

    def send(self, page: httpx.Response, form: Form, button: str | None = None) -> httpx.Response:
        """Send a form as a browser does, with one of its buttons."""
        pressed = next(iter(form.xpath(".//button[@name]")), None) if button is None else None
        if pressed is not None:
            button = f"{pressed.get('name')}={pressed.get('value', '')}"
        pairs = form.form_values() + ([tuple(button.split("=", 1))] if button else [])
        to = urljoin(str(page.url), form.action or str(page.url))
        if form.method == "GET":
            return self.http.get(to, params=pairs)
        fields: dict[str, list[str]] = {}
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return self.http.post(to, data=fields)


def main_form(page: httpx.Response) -> Form:
    """Return the form of the page's content (the header has one to log out)."""
    document = html.fromstring(page.text)
    forms = document.xpath("//main//form")
    assert forms, f"no form: {text_of(page)}"
    return forms[0]


def text_of(page: httpx.Response) -> str:
    """Return what is read on a page."""
    if "html" not in page.headers.get("content-type", ""):
        return page.text[:500]
    return " ".join(html.fromstring(page.text).text_content().split())
