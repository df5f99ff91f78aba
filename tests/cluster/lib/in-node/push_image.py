"""Pushes an image of one layer, the tar on standard input, to the registry. Prints its digest.

push_image.py USER PASSWORD NAME:TAG
"""

import base64
import gzip
import hashlib
import json
import sys
import urllib.request
from collections.abc import Mapping

REGISTRY = "http://head:5000"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def call(
    method: str, url: str, data: bytes, content_type: str = "application/octet-stream"
) -> Mapping[str, str]:
    credentials = base64.b64encode(":".join(sys.argv[1:3]).encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "Content-Type": content_type}
    with urllib.request.urlopen(
        urllib.request.Request(url, data=data, method=method, headers=headers), timeout=30
    ) as reply:
        headers_back: Mapping[str, str] = reply.headers
        return headers_back


def push_blob(name: str, blob: bytes) -> dict[str, str | int]:
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    location = call("POST", f"{REGISTRY}/v2/{name}/blobs/uploads/", b"")["Location"]
    call("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", blob)
    return {"digest": digest, "size": len(blob)}


def main() -> None:
    name, tag = sys.argv[3].split(":")
    tar = sys.stdin.buffer.read()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Env": ["PATH=/bin:/usr/bin", "IMAGE_VAR=from-image"],
            "Cmd": ["/bin/sh"],
            "WorkingDir": "/",
        },
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            **push_blob(name, json.dumps(config).encode()),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                **push_blob(name, gzip.compress(tar, compresslevel=1, mtime=0)),
            }
        ],
    }
    reply = call("PUT", f"{REGISTRY}/v2/{name}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)
    print(reply["Docker-Content-Digest"])


if __name__ == "__main__":
    main()
