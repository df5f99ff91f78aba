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
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

REALM = "/realms/portal"
KEYS = f"{REALM}/protocol/openid-connect/certs"
CLIENT = "portal"


PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class SigningKey:
    """A key pair with the id under which a provider publishes it."""

    def __init__(self, algorithm: str = "RS256", use: str = "sig") -> None:
        self.id = secrets.token_urlsafe(32)
        self.algorithm = algorithm
        self.use = use
        self.private = _private_key(algorithm)

    def jwk(self, **members: object) -> dict[str, Any]:
        """The public half as a provider publishes it; None takes a member out."""
        public = self.private.public_key()
        jwk: dict[str, Any]
        if isinstance(public, rsa.RSAPublicKey):
            jwk = RSAAlgorithm.to_jwk(public, as_dict=True)
        elif isinstance(public, ec.EllipticCurvePublicKey):
            jwk = ECAlgorithm.to_jwk(public, as_dict=True)
        else:
            jwk = OKPAlgorithm.to_jwk(public, as_dict=True)
        whole = {**jwk, "kid": self.id, "use": self.use, "alg": self.algorithm, **members}
        return {member: value for member, value in whole.items() if value is not None}

    def sign(self, claims: dict[str, Any], **headers: object) -> str:
        """A token with these claims."""
        return jwt.encode(claims, self.private, algorithm=self.algorithm, headers={"kid": self.id, **headers})


def _private_key(algorithm: str) -> PrivateKey:
    curves: dict[str, ec.EllipticCurve] = {
        "ES256": ec.SECP256R1(), "ES384": ec.SECP384R1(), "ES512": ec.SECP521R1()
    }  # fmt: skip
    if algorithm in curves:
        return ec.generate_private_key(curves[algorithm])
    if algorithm == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class IdentityProvider:
    """One realm with keys of its own: two providers do not know each other's tokens."""

    def __init__(self, address: str) -> None:
        self.issuer = f"{address}{REALM}"
        self.jwks_url = f"{address}{KEYS}"
        self.key = SigningKey()
        """Signs tokens."""
        self.others = [SigningKey("RSA-OAEP", use="enc")]
        """Published too: one for encryption, as Keycloak has it, and those that signed before."""
        self.is_down = False
        """Whether who asks for the keys is hung up on."""
        self.fetches = 0
        """How often the keys were asked for."""

    def jwks(self) -> dict[str, Any]:
        """The public halves."""
        return {"keys": [key.jwk() for key in (self.key, *self.others)]}

    def rotate(self, algorithm: str = "RS256") -> SigningKey:
        """Sign with a new key from now on; gives the one before, which is published on."""
        before, self.key = self.key, SigningKey(algorithm)
        self.others.append(before)
        return before

    def token(self, user: str, email: str = "", lifetime: int = 300, **claims: object) -> str:
        """An access token of the portal for a user; with a lifetime below zero it has expired."""
        return self.key.sign(self.claims(user, email, lifetime, **claims))

    def claims(self, user: str, email: str = "", lifetime: int = 300, **claims: object) -> dict[str, Any]:
        """What stands in an access token; a claim that is None is taken out."""
        now = int(time.time())
        end = now + lifetime
        made = min(now, end - 1)
        whole = {
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
        return {claim: value for claim, value in whole.items() if value is not None}


@contextmanager
def identity_provider() -> Iterator[IdentityProvider]:
    """A provider whose keys can be asked for on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != KEYS:
                self.send_error(404)
                return
            provider.fetches += 1
            if provider.is_down:
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
