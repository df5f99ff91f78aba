"""Writes the tar of a tiny root file system, busybox and little else, to standard output."""

import io
import subprocess
import sys
import tarfile

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


def main() -> None:
    with open("/usr/bin/busybox", "rb") as file:
        busybox = file.read()
    applets = subprocess.run(
        ["/usr/bin/busybox", "--list"], capture_output=True, text=True, check=True
    ).stdout.split()
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|") as tar:

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


if __name__ == "__main__":
    main()
