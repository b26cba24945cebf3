"""The authorization server: OAuth 2.0, OpenID Connect and SMART App Launch, without pages.

The composition root makes one :class:`AuthorizationServer`, includes its ``router``, and hands
``bearer`` to the FHIR API and ``discovery`` to its dispatcher.  The pages call ``begin``,
``pending``, ``conclude`` and ``deny``.
"""

from server.auth.oauth.authorize import PageError, Pending, Redirected
from server.auth.oauth.server import AuthorizationServer
from server.auth.oauth.terms import Terms

__all__ = ["AuthorizationServer", "PageError", "Pending", "Redirected", "Terms"]
