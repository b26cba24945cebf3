"""Who comes in, and how: users, apps, tokens, pages, limits; put together from the settings."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fastapi import APIRouter

from server.access.context import AccessContext
from server.access.policy import load_policy
from server.app.origins import RegisteredOrigins
from server.auth import Authenticator, FeedDoor, OpenHouse
from server.auth import admin as admin_api
from server.auth.bearer import Bearer
from server.auth.brands import Brands, default_brand, published, read_brands
from server.auth.brands_page import brands_router
from server.auth.clients import Clients
from server.auth.limits import Limits, Rate
from server.auth.oauth import AuthorizationServer, Terms
from server.auth.pages import PageContext, Provider, Upstream, pages_router
from server.auth.passwords import Passwords
from server.auth.person import Rights
from server.auth.proxies import Proxies
from server.auth.readers import Readers
from server.auth.users import Users
from server.auth.ways import Ways
from server.fhir import json as fhir_json
from server.fhir.errors import StoreUnavailable
from server.interactions.services import Services
from server.safe_client import SafeClient
from server.settings import Settings

log = logging.getLogger("tellonce")


class Entrance:
    """One server's; an asynchronous context, as threads and connections hang from it.

    With ``--open`` nobody is asked who they are, and there is no authorization server.
    """

    def __init__(self, settings: Settings, services: Services, brands: Brands) -> None:
        store, now = services.store, services.now
        self._settings, self._services = settings, services
        self._brands = brands
        self._policy = services.access_policy or load_policy()
        self._passwords = Passwords()
        self._limits = limits_of(settings, now)
        named = (settings.upstream_issuer,) if settings.upstream_issuer is not None else ()
        self._web = SafeClient((*settings.outgoing, *named))
        self.users = Users(store, self._passwords, now)
        self._clients, self._proxies = Clients(store, now), Proxies(store)
        self.registered_origin = RegisteredOrigins(self._clients)
        self._rights = Rights(services, self._policy)
        self.ways = Ways(store, self._rights, now)
        self.readers = Readers(store, self._rights, now)
        self._server = self._authorization_server()
        self.authenticate = OpenHouse() if settings.open else self._server.bearer
        self._door = admin_api.AdminDoor(store, self.authenticate)
        self.administrator = self._door
        self.feed_door = FeedDoor(store, self.authenticate, now)
        self._preparing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self.registered_origin.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.registered_origin.stop()
        if self._preparing is not None:
            await self._preparing
        await self._server.bearer.settled()
        await self._web.close()
        self._passwords.close()

    def prepare(self) -> None:
        """Make, beside requests, what the first login would have to wait for: the signing key."""
        if not self._settings.open:
            self._preparing = asyncio.create_task(self._made_key())

    def throttle(self, access: AccessContext) -> None:
        """Count a request to the API; raise Throttled."""
        self._limits.request(f"{access.principal}\n{access.client}")

    def oauth_uris(self) -> Mapping[str, str]:
        """Return the endpoints of the authorization server, for the CapabilityStatement."""
        return {} if self._settings.open else self._server.oauth_uris()

    def well_known(self) -> Mapping[str, Callable[[], dict[str, Any]]]:
        """Return the makers of the documents of discovery, by name."""
        if self._settings.open:
            return {}
        return {
            "smart-configuration": lambda: fhir_json.loads(self._server.discovery()),
            "openid-configuration": lambda: fhir_json.loads(self._server.openid()),
        }

    def routers(self) -> list[APIRouter]:
        """Return what answers beside the FHIR API."""
        made = [
            admin_api.router(self._door, self._administration()),
            brands_router(self._brands),
        ]
        if not self._settings.open:
            made += [self._server.router, pages_router(self._pages())]
        return made

    async def _made_key(self) -> None:
        try:
            await self._server.keys.signing()
        except StoreUnavailable as error:  # the first login makes it
            log.warning("no signing key yet: %s", error)

    def _authorization_server(self) -> AuthorizationServer:
        services, settings = self._services, self._settings
        store, now, base_url = services.store, services.now, services.base_url
        bearer = Bearer(store, now, base_url, self._rights, Authenticator(store, now))
        terms = Terms(
            base_url,
            registration=settings.registration,
            access_s=settings.access_token_s,
            backend_s=settings.backend_token_s,
            refresh_days=settings.refresh_days,
            brand_identifier=self._brands.identifier,
        )
        terms = replace(
            terms,
            brand_bundle=f"{terms.issuer}/brands",
            style_url=terms.at("static/smart-style.json"),
        )
        return AuthorizationServer(services, terms, bearer, web=self._web, limits=self._limits)

    def _pages(self) -> PageContext:
        settings, server = self._settings, self._server
        return PageContext(
            self._services,
            self.users,
            self._limits,
            server.authorize,
            server.ledger,
            server.bearer.access_of,
            self.authenticate,
            name=settings.organization,
            upstream=self._upstream(),
            password_login=settings.password_login,
            remember_consent=settings.remember_consent,
        )

    def _upstream(self) -> Upstream | None:
        provider = provider_of(self._settings)
        if provider is None:
            return None
        return Upstream(provider, self._web, self._services.now)

    def _administration(self) -> admin_api.Administration:
        services = self._services
        return admin_api.Administration(
            services.store,
            self.users,
            self._clients,
            self._proxies,
            self._server.ledger.end,
            self._policy,
            services.now,
            services.audit,
        )


async def brands_of(settings: Settings, services: Services) -> Brands:
    """Return the user-access brands; raise UnfitBrands."""
    base_url = services.base_url
    if settings.brands is not None:
        said = read_brands(settings.brands, base_url)
    else:
        said = default_brand(base_url, settings.organization)
    return await published(services.store, said, services.now())


def limits_of(settings: Settings, now: Callable[[], int]) -> Limits:
    """Return how often the operator lets things be tried."""
    return Limits(
        now,
        login_user=Rate.read(settings.login_limit),
        login_address=Rate.read(settings.login_address_limit),
        token=Rate.read(settings.token_limit),
        registration=Rate.read(settings.registration_limit),
        requests=Rate.read(settings.request_limit),
    )


def provider_of(settings: Settings) -> Provider | None:
    """Return the provider that people may log in by."""
    if settings.upstream_issuer is None or settings.upstream_client is None:
        return None
    file = settings.upstream_secret_file
    return Provider(
        settings.upstream_issuer,
        settings.upstream_client,
        _secret(file) if file is not None else None,
        label=settings.upstream_label,
        aud=settings.upstream_aud,
    )


def _secret(file: Path) -> str:
    return file.read_text("utf-8").strip()
