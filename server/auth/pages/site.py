"""Where the pages are: links and cookies are made from the base URL, never from the request.

A Host header is whatever the sender likes; a link made from it would send people elsewhere.
"""

from dataclasses import dataclass
from functools import cached_property
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Site:
    """``root`` is the public address of the server, without a slash at its end; also the issuer.

    >>> site = Site("https://record.example/fhir")
    >>> site.root, site.origin, site.host, site.cookie("tellonce")
    ('https://record.example', 'https://record.example', 'record.example', '__Host-tellonce')
    >>> Site("http://127.0.0.1:8080/x/fhir").path("/auth/apps")
    '/x/auth/apps'
    """

    base_url: str
    name: str = "Tellonce"

    @cached_property
    def root(self) -> str:
        """The address above the FHIR API."""
        return self.base_url.removesuffix("/").removesuffix("/fhir")

    @cached_property
    def origin(self) -> str:
        """Scheme, host and port, as browsers write them into ``Origin``."""
        parts = urlsplit(self.root)
        return f"{parts.scheme}://{parts.netloc}"

    @cached_property
    def host(self) -> str:
        """What the Host header must be."""
        return urlsplit(self.root).netloc.lower()

    @property
    def secure(self) -> bool:
        """False on plain HTTP, where browsers keep no cookie that is marked ``Secure``."""
        return self.root.startswith("https:")

    def cookie(self, name: str) -> str:
        """Return a cookie's name, with the prefix that no other host or path can set it under.

        RFC 6265bis 4.1.3.2; browsers refuse the prefix without ``Secure``.
        """
        return f"__Host-{name}" if self.secure else name

    def path(self, path: str) -> str:
        """Return a path of ours as a link below this host."""
        return urlsplit(self.root).path + path

    def address(self, path: str) -> str:
        """Return a path of ours as an absolute address."""
        return self.root + path
