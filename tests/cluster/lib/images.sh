# shellcheck shell=bash
# The images in the registry: nintendo/busybox:1, and nintendo/mpi:1 where there is apptainer to run it.

# Its packages are only unpacked, no script of theirs runs. What MPI reaches through UCX's part for AMD's GPUs, LLVM
# above all, is most of their size; UCX goes on without.
make_mpi_image() { # make_mpi_image MIRROR
  local build_log=${MPI_IMAGE%.tar}.log packages=(base-files busybox-static python3-minimal libpython3-stdlib)
  case $MPI_TYPE in
    pmix) packages+=(libopenmpi40) ;;
    pmi2) packages+=(libmpich12) ;; # Open MPI speaks nothing but PMIx
  esac
  log "building $MPI_IMAGE (log: $build_log)"
  # shellcheck disable=SC2016 # the hook's $1 is mmdebstrap's to expand
  bootstrap "$build_log" --variant=extract --format=tar --include="$(IFS=,; echo "${packages[*]}")" --skip=output/dev \
    --extract-hook='cd "$1" &&
      rm -rf usr/lib/*/libLLVM* usr/lib/*/libamd* usr/lib/*/libhsa* usr/lib/*/libz3* usr/lib/llvm-* \
        usr/share/X11 usr/share/doc usr/share/locale usr/share/man usr/share/perl usr/share/zoneinfo &&
      chroot . /usr/bin/busybox --install -s /usr/bin &&
      mkdir shared work && : >etc/hosts && : >etc/resolv.conf && : >etc/localtime &&
      echo root:x:0:0:root:/root:/bin/sh >etc/passwd && echo root:x:0: >etc/group' \
    "$VARIANT" "$MPI_IMAGE.partial" "deb $1 $VARIANT main"
  tar --append --file "$MPI_IMAGE.partial" --directory "$LIB/in-image" --owner=0 --group=0 \
    --transform='s,.*,usr/bin/mpi-hello,' mpi_hello.py
  mpi_image_recipe >"$MPI_IMAGE.recipe"
  mv "$MPI_IMAGE.partial" "$MPI_IMAGE"
}

mpi_image_recipe() { { declare -f make_mpi_image; cat "$LIB/in-image/mpi_hello.py"; } | sha256sum; }

# Pushes what the registry does not have, or has from before the last build.
push_images() {
  local repositories=$STATE/registry/docker/registry/v2/repositories
  [ -d "$repositories/nintendo/busybox" ] \
    || in_node head python3 /opt/cluster/busybox_image.py | push_image nintendo/busybox:1
  [ ! "$MPI_IMAGE" -nt "$repositories/nintendo/mpi/_manifests/tags/1/current/link" ] \
    || push_image nintendo/mpi:1 <"$MPI_IMAGE"
}

push_image() { # push_image NAME:TAG <TAR: prints the image's digest
  in_node head python3 /opt/cluster/push_image.py reguser "$(cat "$KEYS/registry_password")" "$1"
}
