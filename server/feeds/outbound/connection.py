"""One destination's connection: a message goes out, its acknowledgement comes back.

HL7 v2.5 section 2.9: original mode waits for AA, AE, AR; enhanced mode for CA, CE, CR and, where
the destination says so, for the application's answer behind it on the same connection.  An answer
belongs to the message whose MSH-10 its MSA-2 repeats; every other is passed over, for it may be
the late answer to a sending that was given up.
"""

import asyncio
import logging
import re
import socket
import ssl
from dataclasses import dataclass

from mappings.emit_destination import Destination, Tls
from server.feeds.framing import Framer, TooLarge, frame
from server.feeds.header import read_header
from server.feeds.tls import UnusableTls

log = logging.getLogger(__name__)

_ACCEPTED = "CA"
_MAX_ANSWER_BYTES = 2**20
_READ_BYTES = 65_536
_TEXT = 200  # characters of what a receiver says, kept with the message
_LINE = re.compile(rb"[\r\n]+")


class Lost(Exception):
    """The connection could not be made, or broke: the message may or may not have arrived."""


class Unanswered(Exception):
    """No answer came in time: the message may or may not have arrived."""


@dataclass(frozen=True, slots=True)
class Answer:
    """``code`` of MSA-1, ``control_id`` of MSA-2, and what MSA-3 and ERR say in words."""

    code: str
    control_id: str
    text: str = ""


def read_answer(body: bytes) -> Answer | None:
    r"""Return what an acknowledgement says; ``None`` when it is none.

    >>> read_answer(b"MSH|^~\\&|B|||||\rMSA|AA|17\r")
    Answer(code='AA', control_id='17', text='')
    """
    header = read_header(body)
    if header is None:
        return None
    segments = [line.split(header.separator) for line in _LINE.split(body)]
    msa = next((one for one in segments if one[0].strip() == b"MSA"), None)
    if msa is None or len(msa) < 3:
        return None
    said = msa[3:4] + [field for one in segments if one[0] == b"ERR" for field in one[1:]]
    text = " ".join(filter(None, (field.decode("utf-8", "replace").strip() for field in said)))
    code, control_id = (field.decode("utf-8", "replace").strip() for field in msa[1:3])
    return Answer(code, control_id, text[:_TEXT])


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what a connection speaks TLS with: 1.2 and later, the receiver's name checked.

    Raises:
        UnusableTls: a file cannot be read or does not fit; the text names it.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if tls.ca is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_verify_locations(tls.ca)
        if tls.cert is not None and tls.key is not None:
            context.load_cert_chain(tls.cert, tls.key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        files = ", ".join(str(path) for path in (tls.ca, tls.cert, tls.key) if path is not None)
        raise UnusableTls(f"{files}: {_why(error)}") from error
    return context


def _no_password() -> str:
    raise ValueError("the private key is encrypted")  # otherwise OpenSSL asks on the terminal


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "not a usable PEM file").replace("_", " ").lower()
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return str(error)


class Connection:
    """Kept open between messages, made anew when it broke.  ``strays``: answers passed over."""

    def __init__(self, destination: Destination) -> None:
        self.strays = 0
        self._to = destination
        self._tls = client_context(destination.tls) if destination.tls is not None else None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._framer = Framer(_MAX_ANSWER_BYTES)
        self._come: list[bytes] = []

    @property
    def is_open(self) -> bool:
        """Whether a connection stands, as far as this side knows."""
        return self._writer is not None and not self._writer.is_closing()

    async def exchange(self, body: bytes, control_id: str) -> Answer:
        """Send one message and return the answer that ends its sending.

        Raises:
            Lost, Unanswered: send it again, under the same control id; the connection is closed.
        """
        strays = self.strays
        try:
            await self._open()
            assert self._writer is not None
            self._writer.write(frame(body))
            async with asyncio.timeout(self._to.ack_timeout_s):
                await self._writer.drain()
                return await self._answered(control_id)
        except TimeoutError:
            await self.close()
            raise Unanswered(f"no answer within {self._to.ack_timeout_s:g} s") from None
        except OSError as error:
            await self.close()
            raise Lost(_why(error)) from None
        except BaseException:  # stopped in the middle: what would come is no answer to the next
            await self.close()
            raise
        finally:
            if passed := self.strays - strays:  # one line, however much a receiver babbles
                log.warning(
                    "destination %s: %d answers to no message of ours", self._to.name, passed
                )

    async def _answered(self, control_id: str) -> Answer:
        accepted = False
        while True:
            answer = read_answer(await self._frame())
            if answer is None or answer.control_id != control_id:
                self.strays += 1
                continue
            if answer.code == _ACCEPTED and self._to.ack == "enhanced-application" and not accepted:
                accepted = True
                continue
            return answer

    async def _frame(self) -> bytes:
        assert self._reader is not None
        while not self._come:
            data = await self._reader.read(_READ_BYTES)
            if not data:
                late = self._framer.flush()
                if late is None or isinstance(late, TooLarge):
                    raise ConnectionResetError(0, "the receiver closed the connection")
                return late.body
            self._come += [
                b"" if isinstance(found, TooLarge) else found.body
                for found in self._framer.feed(data)
            ]
        return self._come.pop(0)

    async def _open(self) -> None:
        if self._writer is not None and self._reader is not None:
            if self.is_open and not self._reader.at_eof():
                return
            await self.close()
        to = self._to
        name = (to.tls.name or to.host) if to.tls is not None else None
        try:
            async with asyncio.timeout(to.connect_timeout_s):
                self._reader, self._writer = await asyncio.open_connection(
                    to.host, to.port, ssl=self._tls, server_hostname=name
                )
        except TimeoutError:
            raise ConnectionError(0, f"not connected within {to.connect_timeout_s:g} s") from None
        except ValueError as error:  # a host that is none
            raise ConnectionError(0, str(error)) from None
        self._framer, self._come = Framer(_MAX_ANSWER_BYTES), []
        sock = self._writer.get_extra_info("socket")
        if sock is not None:  # a peer that vanished is noticed also while nothing is sent
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    async def close(self) -> None:
        """Let go of the connection."""
        writer, self._writer, self._reader = self._writer, None, None
        if writer is not None:
            writer.transport.abort()
