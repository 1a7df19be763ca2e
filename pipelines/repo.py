"""Repo and Connection: which repositories are known, and the Forges they live on.

A Repo is keyed by its Forge's own id, never by its name: names change. The secrets in a
Connection are the host's own configuration; no Tenant and no Run ever sees them.
"""

from enum import StrEnum

import msgspec


class ForgeKind(StrEnum):
    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"
    BITBUCKET = "bitbucket"
    BITBUCKET_DC = "bitbucket-dc"
    GIT = "git"


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """One configured Forge. `api_url` empty: it takes no statuses. `secrets`: newest first.

    `app`: the id of a GitHub App, or its client id, and `app_key` its private key (RSA, PEM). They
    take the place of the `token`. `oauth_client_id`, `oauth_client_secret`: of the application with
    which people log in there; empty: they do not.
    """

    id: str
    kind: ForgeKind
    api_url: str = ""
    token: str = ""
    secrets: list[str] = []
    app: str = ""
    app_key: str = ""
    oauth_client_id: str = ""
    oauth_client_secret: str = ""


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """One registered repository.

    `id` is `<connection>/<the forge's id>`; `external_id` that id alone; `clone_url` a path or URL.
    """

    id: str
    connection: str
    external_id: str
    name: str
    clone_url: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One verified webhook call, as it is kept: the raw body is a JSON text of at most the cap.

    `repo`: the forge's id of the one Repo of which it is believed; empty: of all of its Connection.
    """

    connection: str
    id: str
    kind: ForgeKind
    event: str
    received_at: float
    body: str
    repo: str = ""


class DeliveryOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a Delivery: `runs` that it asked for, or the reason why there are none."""

    connection: str
    id: str
    state: str
    reason: str = ""
    runs: list[str] = []
    at: float = 0.0
