"""MLLP over real TLS sockets, with certificates made for the test."""

import asyncio
import shutil
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from mappings.maps import load_maps
from server.feeds import UnusableTls, server_context
from server.feeds.framing import frame
from server.feeds.mllp import Limits
from server.feeds.service import FeedService, Port
from server.feeds.wiring import Wire, Wiring
from server.interactions.services import Services
from tests.system.process import served

MESSAGE = (
    b"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260102||ADT^A04^ADT_A01|1|P|2.5\rPID|1||7^^^H^MR||Doe^Jane\r"
)


@dataclass(frozen=True, slots=True)
class Pem:
    """A certificate and its key, as files."""

    cert: Path
    key: Path
    signer: tuple[x509.Name, ec.EllipticCurvePrivateKey]


def made(
    folder: Path, name: str, by: Pem | None = None, password: bytes = b"", days: int = 0
) -> Pem:
    """Make a certificate for 127.0.0.1 of the day in ``days``, signed by ``by`` or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    issuer, issuer_key = by.signer if by else (subject, key)
    now = datetime.now(UTC) + timedelta(days=days)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, by is None, by is None, False, False),
            critical=True,
        )
        .sign(issuer_key, hashes.SHA256())
    )
    files = folder / f"{name}.crt", folder / f"{name}.key"
    files[0].write_bytes(cert.public_bytes(Encoding.PEM))
    how = BestAvailableEncryption(password) if password else NoEncryption()
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))
    return Pem(files[0], files[1], (subject, key))


@dataclass(frozen=True, slots=True)
class House:
    """A hospital's authority, its server and one sender; and a stranger."""

    authority: Pem
    server: Pem
    sender: Pem
    stranger: Pem

    def client(self, shows: Pem | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.authority.cert))
        if shows is not None:
            context.load_cert_chain(shows.cert, shows.key)
        return context


@pytest.fixture
def house(tmp_path: Path) -> House:
    authority = made(tmp_path, "authority")
    return House(
        authority,
        made(tmp_path, "server", authority),
        made(tmp_path, "sender", authority),
        made(tmp_path, "stranger", made(tmp_path, "elsewhere")),
    )


async def answer(port: int, tls: ssl.SSLContext | None) -> str:
    """Send the message; return its MSA segment, ``""`` when the server hangs up."""
    async with asyncio.timeout(30):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        try:
            writer.write(frame(MESSAGE))
            got = await reader.readuntil(b"\x1c\r")
            return got[1:-3].decode().split("\r")[1]
        except (OSError, asyncio.IncompleteReadError):
            return ""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


async def test_a_message_is_acknowledged_over_tls_and_plain_text_is_not(
    services: Services, house: House
) -> None:
    tls = server_context(house.server.cert, house.server.key)
    service = FeedService(services, load_maps(), [Port(tls=tls)])
    await service.start()
    port = service.listeners[0].port
    assert await answer(port, house.client()) == "MSA|AA|1"
    assert await answer(port, None) == ""
    await service.stop()
    assert await service.inbox.counts() == {"default": {"applied": 1}}


async def test_where_senders_must_show_a_certificate_only_known_ones_are_heard(
    services: Services, house: House
) -> None:
    tls = server_context(house.server.cert, house.server.key, house.authority.cert)
    service = FeedService(services, load_maps(), [Port(tls=tls)])
    await service.start()
    port = service.listeners[0].port
    assert await answer(port, house.client()) == ""
    assert await answer(port, house.client(house.stranger)) == ""
    assert await service.inbox.counts() == {}
    assert await answer(port, house.client(house.sender)) == "MSA|AA|1"
    await service.stop()


async def test_who_begins_tls_and_says_nothing_keeps_no_sender_out(
    services: Services, house: House
) -> None:
    tls = server_context(house.server.cert, house.server.key, house.authority.cert)
    limits = Limits(max_connections=4, frame_s=60)
    service = FeedService(services, load_maps(), [Port(tls=tls, limits=limits)])
    await service.start()
    (listener,) = service.listeners
    silent = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(20)]
    assert await answer(listener.port, house.client(house.sender)) == "MSA|AA|1"
    async with asyncio.timeout(30):
        for reader, _ in silent[:16]:  # and of the last four perhaps one
            assert await reader.read() == b""
        await service.stop()
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
    assert listener.counters.refused_connections == 17


async def test_a_certificate_that_has_ended_or_was_not_begun_is_not_heard(
    services: Services, house: House, tmp_path: Path
) -> None:
    tls = server_context(house.server.cert, house.server.key, house.authority.cert)
    service = FeedService(services, load_maps(), [Port(tls=tls)])
    await service.start()
    port = service.listeners[0].port
    for days in (-2, 2):
        other = made(tmp_path, f"in {days} days", house.authority, days=days)
        assert await answer(port, house.client(other)) == ""
    await service.stop()
    assert await service.inbox.counts() == {}


async def test_a_sender_may_not_begin_tls_anew_in_the_middle(
    services: Services, house: House
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl command here")
    tls = server_context(house.server.cert, house.server.key)
    service = FeedService(services, load_maps(), [Port(tls=tls)])
    await service.start()
    asking = await asyncio.create_subprocess_exec(
        openssl, "s_client", "-connect", f"127.0.0.1:{service.listeners[0].port}", "-tls1_2",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    assert asking.stdin is not None
    asking.stdin.write(b"R\n")
    told, _ = await asyncio.wait_for(asking.communicate(), 30)
    assert b"no renegotiation" in told
    await service.stop()


async def test_a_certificate_names_the_feed_of_its_sender(services: Services, house: House) -> None:
    tls = server_context(house.server.cert, house.server.key, house.authority.cert)
    wiring = Wiring({"lab": Wire(certificates=frozenset(["sender"]))})
    service = FeedService(services, load_maps(), [Port(tls=tls)], wiring=wiring)
    await service.start()
    port = service.listeners[0].port
    assert await answer(port, house.client(house.sender)) == "MSA|AA|1"
    assert await answer(port, house.client(house.server)) == "MSA|AA|1"  # known, and of no feed
    await service.stop()
    assert await service.inbox.counts() == {"default": {"applied": 1}, "lab": {"applied": 1}}


def test_the_settings_make_the_listener_of_the_server_speak_tls(
    tmp_path: Path, house: House
) -> None:
    (tmp_path / ".env").write_text(
        f"TELLONCE_MLLP_TLS_CERT={house.server.cert}\n"
        f"TELLONCE_MLLP_TLS_KEY={house.server.key}\n"
        f"TELLONCE_MLLP_TLS_CLIENT_CA={house.authority.cert}\n"
    )
    with served(tmp_path / "d") as server:
        heard = asyncio.run(answer(server.mllp_port, house.client(house.sender)))
        unheard = asyncio.run(answer(server.mllp_port, house.client()))
    assert (heard, unheard) == ("MSA|AA|1", "")


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (lambda h, _: (h.server.cert, h.sender.key), "key values mismatch"),
        (lambda h, d: (d / "none.crt", h.server.key), "No such file or directory"),
        (lambda h, _: (h.server.key, h.server.key), "server.key with"),
        (lambda h, _: (h.server.cert, h.server.key, h.server.key), "server.key: "),
        (lambda h, d: (h.server.cert, h.server.key, d), "Is a directory|x509|pem"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    house: House, tmp_path: Path, files: Callable[[House, Path], tuple[Path, ...]], told: str
) -> None:
    with pytest.raises(UnusableTls, match=told):
        server_context(*files(house, tmp_path))


def test_an_encrypted_key_is_refused_instead_of_asking_for_its_password(tmp_path: Path) -> None:
    locked = made(tmp_path, "locked", password=b"secret")
    with pytest.raises(UnusableTls, match="the private key is encrypted"):
        server_context(locked.cert, locked.key)
