"""The composition root: settings in, a running server out; the only package that knows all."""

from server.app.distributed import restore, start
from server.app.first_start import FirstUser
from server.app.opening import (
    PortTaken,
    address_of,
    base_url_of,
    cursor_key,
    listen,
    now_us,
    open_store,
    services_of,
    side,
    store_alone,
    store_beside,
)
from server.app.serving import Running, run, serve
from server.app.witnessed import operator

__all__ = [
    "FirstUser",
    "PortTaken",
    "Running",
    "address_of",
    "base_url_of",
    "cursor_key",
    "listen",
    "now_us",
    "open_store",
    "operator",
    "restore",
    "run",
    "serve",
    "services_of",
    "side",
    "start",
    "store_alone",
    "store_beside",
]
