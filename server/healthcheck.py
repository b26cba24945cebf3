"""``python -m server.healthcheck``: exit status 0 when the server of this machine is ready.

For the HEALTHCHECK of the container, which has no other HTTP client.  It runs every half minute, so
it imports nothing but the standard library, and reads the few settings that it needs by itself.
"""

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

TIMEOUT_S = 4.0

# What is bound to "any of mine" is asked at home; a server on "::" does not hear IPv4.
_OF_THIS_MACHINE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nothing is bound here


def main() -> int:
    """Ask ``/readyz``; return 0 for 200, else 1 with the reason on standard error."""
    host = os.environ.get("TELLONCE_HOST", "127.0.0.1")
    port = int(os.environ.get("TELLONCE_PORT", "8080"))
    host = _OF_THIS_MACHINE.get(host.strip("[]"), host)
    connection = HTTPConnection(host, port, timeout=TIMEOUT_S)
    if os.environ.get("TELLONCE_TLS_CERT"):
        # The certificate is for the public name, and nothing secret is sent or believed here.
        context = ssl._create_unverified_context()  # noqa: S323
        connection = HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
    except (OSError, HTTPException) as error:
        print(f"{host}:{port} does not answer: {error}", file=sys.stderr)
        return 1
    finally:
        connection.close()
    if answer.status != 200:
        print(f"{host}:{port} is not ready: {answer.status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
