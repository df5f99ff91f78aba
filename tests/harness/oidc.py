"""An identity provider: makes tokens as Keycloak makes them and publishes its keys."""

from __future__ import annotations

import json
import secrets
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

REALM = "/realms/portal"
KEYS = f"{REALM}/protocol/openid-connect/certs"
CLIENT = "portal"


class IdentityProvider:
    """One realm with keys of its own: two providers do not know each other's tokens."""

    def __init__(self, address: str) -> None:
        self.issuer = f"{address}{REALM}"
        self.jwks_url = f"{address}{KEYS}"
        self._keys = {use: _Key() for use in ("sig", "enc")}

    def jwks(self) -> dict[str, Any]:
        """The public halves: of the key that signs, and of one for encryption, as Keycloak has them."""
        algorithms = {"sig": "RS256", "enc": "RSA-OAEP"}
        return {
            "keys": [
                {
                    **RSAAlgorithm.to_jwk(key.private.public_key(), as_dict=True),
                    "kid": key.id,
                    "use": use,
                    "alg": algorithms[use],
                }
                for use, key in self._keys.items()
            ]
        }

    def token(self, user: str, email: str = "", lifetime: int = 300, **claims: object) -> str:
        """An access token of the portal for a user; with a lifetime below zero it has expired."""
        now = int(time.time())
        end = now + lifetime
        made = min(now, end - 1)
        body = {
            "exp": end,
            "iat": made,
            "auth_time": made,
            "jti": str(uuid.uuid4()),
            "iss": self.issuer,
            "aud": "account",
            "sub": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.issuer}/{user}")),
            "typ": "Bearer",
            "azp": CLIENT,
            "sid": str(uuid.uuid4()),
            "acr": "1",
            "realm_access": {"roles": ["offline_access", "uma_authorization"]},
            "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
            "scope": "openid email profile",
            "email_verified": True,
            "preferred_username": user,
            "email": email or f"{user}@example.com",
            **claims,
        }
        key = self._keys["sig"]
        return jwt.encode(body, key.private, algorithm="RS256", headers={"kid": key.id})


class _Key:
    def __init__(self) -> None:
        self.id = secrets.token_urlsafe(32)
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider whose keys can be asked for on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != KEYS:
                self.send_error(404)
                return
            body = json.dumps(provider.jwks()).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = IdentityProvider(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
