"""The parts of the authorization server, put together."""

from collections.abc import Mapping

from server.auth.bearer import Bearer
from server.auth.clients import Clients
from server.auth.discovery import openid_configuration, smart_configuration
from server.auth.keys import Keys
from server.auth.limits import Limits
from server.auth.oauth.authorize import Authorize
from server.auth.oauth.client_jwks import ClientKeys
from server.auth.oauth.endpoints import Endpoints
from server.auth.oauth.http import Origins
from server.auth.oauth.ledger import Ledger
from server.auth.oauth.protocol import Protocol
from server.auth.oauth.register import Registration
from server.auth.oauth.terms import Terms
from server.interactions.services import Services
from server.safe_client import SafeClient
from server.search.catalog import Catalog


class AuthorizationServer:
    """One server's: ``services.audit`` is told of every token issued, refused, revoked.

    ``bearer`` says whom a token stands for.  ``web`` fetches the key sets of clients; without it
    those that have only an address cannot sign in.  ``limits`` counts requests for tokens.

    ``router``: the endpoints but that of authorization, which the pages answer by ``authorize``.
    ``origins``: those of registered browser apps, for CORS of the FHIR API as well.  ``keys``:
    the server's own.  ``ledger``: grants and tokens; ``ledger.end(grant)`` takes one back at once.
    """

    def __init__(
        self,
        services: Services,
        terms: Terms,
        bearer: Bearer,
        *,
        web: SafeClient | None = None,
        limits: Limits | None = None,
    ) -> None:
        store, now = services.store, services.now
        self.terms, self.bearer = terms, bearer
        self.ledger = Ledger(store, terms, now, services.audit, bearer.forget)

        def catalog() -> Catalog:
            return services.catalog

        self.authorize = Authorize(self.ledger, terms, now, catalog)
        self.keys = Keys(store, now)
        self.origins = Origins(store, now)
        protocol = Protocol(self.ledger, terms, self.keys, ClientKeys(web, now), now, catalog)
        registration = Registration(Clients(store, now), terms)
        endpoints = Endpoints(
            terms,
            self.ledger,
            protocol,
            self.keys,
            bearer,
            self.origins,
            registration,
            limits,
            services.new_id,
        )
        self.router = endpoints.router()

    def discovery(self) -> bytes:
        """Return the document at ``[base]/.well-known/smart-configuration``, JSON."""
        return smart_configuration(self.terms)

    def openid(self) -> bytes:
        """Return the document at ``[issuer]/.well-known/openid-configuration``, JSON."""
        return openid_configuration(self.terms)

    def oauth_uris(self) -> Mapping[str, str]:
        """Return the endpoints by their names in the ``oauth-uris`` extension."""
        names = ["authorize", "token", "introspect", "revoke"]
        if self.terms.registration != "off":
            names.append("register")
        return {name: self.terms.at(name) for name in names}
