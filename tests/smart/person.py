"""Somebody at a browser without scripts: follows links, fills forms in, says yes or no."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
from lxml import html

from tests.smart.registered import PASSWORD

MOST_STEPS = 20

Form = html.FormElement
Consent = Callable[[Form], str | None]
"""Changes the consent form; returns the name=value of the button to press (None: the first)."""


def allow(form: Form) -> str | None:
    """Leave every box as it is, and allow."""
    assert form.xpath(".//button[@value='allow']"), form.text_content()
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
        self, url: str, redirect_uri: str, *, consent: Consent = allow, choose: str = ""
    ) -> dict[str, str]:
        """Open an authorization address; return what the app is told at its redirect address.

        ``choose``: the ids of patients and visits to choose where that is asked, with spaces.
        """
        wanted = choose.split()
        answer = self.http.get(url)
        for _ in range(MOST_STEPS):
            if answer.is_redirect:
                to = urljoin(str(answer.url), answer.headers["location"])
                if to.partition("?")[0] == redirect_uri.partition("?")[0]:
                    return dict(parse_qsl(urlsplit(to).query))
                answer = self.http.get(to)
            else:
                assert answer.status_code == 200, f"{answer.status_code}: {text_of(answer)}"
                answer = self.answer(answer, consent, wanted)
        raise AssertionError(f"it never ended: {text_of(answer)}")

    def answer(self, page: httpx.Response, consent: Consent, choose: list[str]) -> httpx.Response:
        """Fill the page's form in and send it."""
        content = main_of(page)
        for button in content.xpath(".//button[@name='patient' or @name='encounter']"):
            if button.get("value") in choose:
                choose.remove(button.get("value"))
                form = next(button.iterancestors("form"))
                return self.send(page, form, f"{button.get('name')}={button.get('value')}")
        form = next(content.iter("form"))
        if "password" in form.fields:
            form.fields["name"], form.fields["password"] = self.name, PASSWORD
        elif form.get("role") == "search":
            form.fields["name"] = choose[0]
        else:
            return self.send(page, form, consent(form))
        return self.send(page, form)

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


def main_of(page: httpx.Response) -> html.HtmlElement:
    """Return a page's content, without the header (which has a form to log out)."""
    content = html.fromstring(page.text).xpath("//main")[0]
    assert content.xpath(".//form"), f"no form: {text_of(page)}"
    return content


def text_of(page: httpx.Response) -> str:
    """Return what is read on a page."""
    if "html" not in page.headers.get("content-type", ""):
        return page.text[:500]
    return " ".join(html.fromstring(page.text).text_content().split())
