#!/bin/bash
# Pid 1 of a node's namespaces: lays out the node's root, moves into it and becomes tini.
#   node-init.sh NODE ROOTFS STATE NODE_FOLDER SCRIPTS
set -euo pipefail
node=$1 rootfs=$2 state=$3 folder=$4 scripts=$5

# /proc is still the host's, so this is the pid by which the host knows us. Only a builtin reads its own.
read -r host_pid _ </proc/self/stat
hostname "$node"
root=$folder/root
mkdir -p "$root" "$folder"/{upper,work,tmp,slurmd} "$state/spool/$node"
chmod 1777 "$folder/tmp"
mount -t overlay overlay -o "lowerdir=$rootfs,upperdir=$folder/upper,workdir=$folder/work" "$root"

mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/run"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
# /dev/fuse must be open to users, else apptainer can mount no image.
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
  IFS=: read -r name major minor <<<"$device"
  mknod -m 666 "$root/dev/$name" c "$major" "$minor"
done
case $node in
  n1 | n2) # slurmd ignores a GPU that has no device file, and then drains the node
    for name in nvidia0 nvidia1; do mknod -m 666 "$root/dev/$name" c 1 3; done
    ;;
esac
mkdir -m 755 "$root/dev/pts"
mkdir -m 1777 "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for name in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${name%:*}" "$root/dev/${name#*:}"; done

bind() { # bind HOST_FOLDER FOLDER
  mkdir -p "$root$2"
  mount --bind "$1" "$root$2"
}
bind "$state/home" /home
bind "$state/shared" /shared
bind "$state/etc-slurm" /etc/slurm
bind "$state/log/$node" /var/log/slurm
bind "$folder/tmp" /tmp
bind "$scripts" /opt/cluster
if [ "$node" = head ]; then
  bind "$state/mysql" /var/lib/mysql
  bind "$state/slurmctld" /var/spool/slurmctld
  bind "$state/registry" /var/lib/docker-registry
else
  bind "$state/spool/$node" /var/spool/slurmd
fi

exec 9>"$folder/pid"
mkdir "$root/.old"
cd "$root"
# pivot_root and not chroot: in a chroot nobody may make a user namespace, and apptainer could not start.
pivot_root . .old
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
  /usr/bin/tini -- /bin/sh -c "cd / && umount -l /.old && rmdir /.old && echo $host_pid >&9 && exec sleep infinity 9>&-"
