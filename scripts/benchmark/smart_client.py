"""An access token as an app gets one: a client that signs (SMART backend-services), no shortcut."""

import json
import os
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

from joserfc import jwt
from joserfc.jwk import ECKey

from benchmark.process import Served

CLIENT = "bench"
SCOPE = "system/*.cruds"
_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def register(data: Path) -> ECKey:
    """Register the client in the record of a server that runs; return the key that it signs by."""
    key = ECKey.generate_key("P-384", parameters={"kid": "bench", "alg": "ES384"})
    keys = data.with_name("bench-keys.json")
    keys.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    command = [str(Path(sys.executable).with_name("tellonce")), "client", "add", CLIENT]
    command += ["--scope", SCOPE, "--grant", "client_credentials", "--jwks", str(keys)]
    subprocess.run([*command, "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
    return key


def access_token(served: Served, key: ECKey) -> str:
    """Return an opaque access token that may do everything, in force for some minutes."""
    root = f"http://127.0.0.1:{served.port}"
    with urllib.request.urlopen(f"{root}{served.path}/.well-known/smart-configuration") as answer:
        endpoint = json.load(answer)["token_endpoint"]
    now = int(time.time())
    said = {"iss": CLIENT, "sub": CLIENT, "aud": endpoint, "iat": now, "exp": now + 200}
    said["jti"] = os.urandom(16).hex()
    assertion = jwt.encode({"alg": "ES384", "kid": "bench"}, said, key, algorithms=["ES384"])
    form = {"grant_type": "client_credentials", "scope": SCOPE}
    form |= {"client_assertion_type": _TYPE, "client_assertion": assertion}
    sent = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(f"{root}/auth/token", sent) as answer:
        return str(json.load(answer)["access_token"])
