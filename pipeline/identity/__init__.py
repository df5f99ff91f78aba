"""Who a job belongs to: from the upstream's bearer token to a user of the cluster."""

from pipeline.identity.bearer import (
    MOST_TOKEN_BYTES,
    TOKEN_VARIABLE,
    Bearer,
    expired_since,
    mail_of,
    owner_by_token,
    unverified,
)
from pipeline.identity.mapping import Users, UsersMapping
from pipeline.identity.mapping_file import MappingFile
from pipeline.identity.owner import NEVER, Owner

__all__ = [
    "MOST_TOKEN_BYTES",
    "NEVER",
    "TOKEN_VARIABLE",
    "Bearer",
    "MappingFile",
    "Owner",
    "Users",
    "UsersMapping",
    "expired_since",
    "mail_of",
    "owner_by_token",
    "unverified",
]
