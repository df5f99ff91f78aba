#!/bin/bash
# read-only-root.sh ROOT STATE FOLDER... -- COMMAND...: the command as user 65534, without any privilege, in a
# root file system that is read-only but for /state, as a container has it. Of this machine it has /usr, /etc
# and the FOLDERs. Needs root and a mount namespace of its own.
set -euo pipefail
root="$1"
state="$2"
shift 2

mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$root"
show() {
    mkdir -p "$root$1"
    mount --rbind "$1" "$root$1"
    mount -o remount,bind,ro "$root$1"
}
show /usr
show /etc
while [ "$1" != -- ]; do
    show "$1"
    shift
done
shift
for name in bin lib lib64 sbin; do
    [ ! -e "/$name" ] || [ -e "$root/$name" ] || ln -s "usr/$name" "$root/$name"
done
mkdir "$root/proc" "$root/dev" "$root/state"
mount --rbind /proc "$root/proc"
for device in null urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mount --bind "$state" "$root/state"
mount -o remount,ro "$root"
exec chroot "$root" setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set=-all \
    --inh-caps=-all -- "$@"
