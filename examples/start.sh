#!/usr/bin/env bash
# Starts the downstream. Run it in the checkout, with users_id_mapping_configuration.yaml beside main.py.
# Replace every <...>. Keep keys and passwords in files that only this user can read: each VARIABLE
# can be given as VARIABLE_FILE, which names a file that holds the value.

export JARVICE_SCHED_LOGLEVEL="20"

# The upstream sends this login, <user>:<password>, by HTTP Basic
export JARVICE_SCHED_SERVER_KEY_FILE="<folder>/server_key"

# The identity provider, whose keys users' bearer tokens are verified with. Without them the service
# listens on loopback only, and believes what any token says.
#export JARVICE_DOWNSTREAM_BEARER_KEYS_URL="https://<provider>/realms/<realm>/protocol/openid-connect/certs"
#export JARVICE_DOWNSTREAM_BEARER_ISSUER="https://<provider>/realms/<realm>"
#export JARVICE_DOWNSTREAM_BEARER_AUDIENCE="<audience>"

# Registry of the init images
export JARVICE_SYSTEM_REGISTRY="us-docker.pkg.dev"
export JARVICE_SYSTEM_REPO_BASE="jarvice-system/images"
export JARVICE_IMAGES_TAG="jarvice-master"

# Its login, both base64; the vendor gives them to you
export JARVICE_DOCKER_USERNAME="<base64>"
export JARVICE_DOCKER_PASSWORD_FILE="<folder>/docker_password"

# Executor - Singularity variables
export JARVICE_BAREMETAL_EXECUTOR="singularity"
export JARVICE_SINGULARITY_OVERLAY_SIZE="600"
export JARVICE_SINGULARITY_VERBOSE="true"

# Connector - Slurm variables
export JARVICE_BAREMETAL_CONNECTOR="slurm"
export JARVICE_SLURM_INTERFACE="cli"
export JARVICE_SLURM_CLUSTER_ADDR="<address>"
export JARVICE_SLURM_CLUSTER_PORT="22"
export JARVICE_SLURM_SSH_USER="jarvice"
export JARVICE_SLURM_SSH_PKEY_FILE="<folder>/jarvice_id_ed25519"
# In place of keys of the users, and of the line above: a key that signs certificates for them
#export JARVICE_SLURM_SSH_CA_KEY_FILE="<folder>/jarvice_ca"

# Where the project is installed; `./run demo` makes .venv in a checkout.
export PATH="$PWD/.venv/bin:$PATH"

exec python3 main.py
