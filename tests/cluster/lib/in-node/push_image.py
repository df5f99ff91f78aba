"""Makes a tiny image of busybox and pushes it to the registry as nintendo/busybox:1.

push_image.py USER PASSWORD
"""

import base64
import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Mapping

REGISTRY = "http://head:5000"
NAME, TAG = "nintendo/busybox", "1"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
FOLDERS = [
    "bin", "dev", "etc", "home", "proc", "root", "shared", "sys", "tmp", "usr", "usr/bin", "var", "work",
]  # fmt: skip
FILES = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
    "etc/group": b"root:x:0:\n",
    "etc/motd": b"test image\n",
    "etc/hosts": b"",  # these three are mount points for apptainer
    "etc/resolv.conf": b"",
    "etc/localtime": b"",
}


def layer() -> bytes:
    with open("/usr/bin/busybox", "rb") as file:
        busybox = file.read()
    applets = subprocess.run(
        ["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:

        def add(
            name: str, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, data: bytes = b"", target: str = ""
        ) -> None:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(data), target
            tar.addfile(entry, io.BytesIO(data))

        for folder in FOLDERS:
            add(folder, tarfile.DIRTYPE, 0o1777 if folder == "tmp" else 0o755)
        for name, data in FILES.items():
            add(name, data=data)
        add("bin/busybox", mode=0o755, data=busybox)
        for applet in applets:
            if applet != "busybox":
                add(f"bin/{applet}", tarfile.SYMTYPE, 0o777, target="busybox")
        add("usr/bin/env", tarfile.SYMTYPE, 0o777, target="/bin/busybox")
    return buffer.getvalue()


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


def push_blob(blob: bytes) -> dict[str, str | int]:
    digest = "sha256:" + hashlib.sha256(blob).hexdigest()
    location = call("POST", f"{REGISTRY}/v2/{NAME}/blobs/uploads/", b"")["Location"]
    call("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", blob)
    return {"digest": digest, "size": len(blob)}


def main() -> None:
    tar = layer()
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
            **push_blob(json.dumps(config).encode()),
        },
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                **push_blob(gzip.compress(tar, mtime=0)),
            }
        ],
    }
    call("PUT", f"{REGISTRY}/v2/{NAME}/manifests/{TAG}", json.dumps(manifest).encode(), MANIFEST)


if __name__ == "__main__":
    main()
