"""TLS for MLLP: the server's certificate, and senders' certificates where they are asked for."""

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class UnusableTls(Exception):
    """A certificate, key or list of authorities cannot be used; the text says which and why."""


def server_context(cert: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """Return what an MLLP listener speaks TLS with: 1.2 and later.

    Args:
        cert: PEM file with the server's certificate chain.
        key: PEM file with its private key, not encrypted.
        client_ca: PEM file with authorities; a sender must then show a certificate of theirs.

    Raises:
        UnusableTls: a file cannot be read or does not fit.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(cert, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        raise UnusableTls(f"{cert} with {key}: {_why(error)}") from error
    if client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ValueError) as error:
            raise UnusableTls(f"{client_ca}: {_why(error)}") from error
    return context


def certified_names(certificate: Mapping[str, Any]) -> frozenset[str]:
    """Return the common name and the alternative names of a peer's certificate, as ssl has it.

    >>> sorted(certified_names({"subject": ((("commonName", "lab"),),),
    ...                         "subjectAltName": (("DNS", "lab.h.example"),)}))
    ['lab', 'lab.h.example']
    """
    subject = [pair for group in certificate.get("subject", ()) for pair in group]
    common = {value for name, value in subject if name == "commonName"}
    return frozenset(common | {value for _, value in certificate.get("subjectAltName", ())})


def _no_password() -> str:
    raise ValueError("the private key is encrypted")  # otherwise OpenSSL asks on the terminal


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a usable PEM file").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or "it cannot be read"
    return str(error)
