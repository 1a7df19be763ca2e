"""Key forms: who may do what, and did: keys, logins, secrets, environments, trust, audit."""

from typing import TypedDict

from ci_host.access import Level
from pipelines.trust import Admission, Author, Tier


class WhoAmI(TypedDict):
    """The name that gates see, and what the key is good for. `repos` empty: all."""

    name: str
    teams: list[str]
    admin: bool
    scope: Level
    repos: list[str]
    expires_at: float | None


class Token(WhoAmI):
    """A key, without its secret. `by`: who made it."""

    id: str
    created_at: float
    revoked: bool
    by: str


class TokenWithSecret(Token):
    """The secret is answered once and kept nowhere."""

    secret: str


class Tokens(TypedDict):
    """By name, also those that are over. `next`: the following page's `after`."""

    tokens: list[Token]
    next: str | None


# A field of this name can be written in no other way.
RevokedToken = TypedDict(
    "RevokedToken",
    {
        "id": str,
        "name": str,
        "teams": list[str],
        "admin": bool,
        "scope": Level,
        "repos": list[str],
        "created_at": float,
        "expires_at": float | None,
        "revoked": bool,
        "by": str,
        "with": list[str],
    },
)
RevokedToken.__doc__ = (
    "`with`: the ids of what ended besides: of command lines that were let in with it, and, of"
    " somebody who logged in at a forge, of their other logins there."
)


class LoginAsked(TypedDict):
    """Where somebody answers, showing `code`; then the key is fetched, every `poll_s` seconds."""

    code: str
    url: str
    poll_s: float
    expires_at: float


class LoginClaimed(TypedDict):
    """The key's secret, answered once; null: nobody has answered yet."""

    secret: str | None


class Secret(TypedDict):
    """A secret, without its value; what is empty in its scope is any. `key`: the id of the key
    that it is kept under; `version` counts its values; `by` gave the last one."""

    name: str
    repo: str
    org: str
    environment: str
    pool: str
    event: str
    version: int
    at: float
    by: str
    key: str


class Secrets(TypedDict):
    """By name. `next`: the following page's `after`."""

    secrets: list[Secret]
    next: str | None


class SecretsKept(TypedDict):
    """How many secrets are under the new key."""

    secrets: int


class PublicKeys(TypedDict):
    """The age recipient for a repository's own secrets; `older`: those that are opened still."""

    recipient: str
    older: list[str]


class DroppedKeys(TypedDict):
    """How many older keys open nothing more."""

    dropped: int


class SigningKey(TypedDict):
    """The id of the key that signs tokens of jobs now."""

    kid: str


class PublishedKey(TypedDict):
    """A public key as a JWK (RFC 7517)."""

    kty: str
    n: str
    e: str
    kid: str
    use: str
    alg: str


class PublishedKeys(TypedDict):
    """The one that signs first, then those that signed in the last day."""

    keys: list[PublishedKey]


class OpenIdConfiguration(TypedDict):
    """OpenID Connect Discovery."""

    issuer: str
    jwks_uri: str
    response_types_supported: list[str]
    subject_types_supported: list[str]
    id_token_signing_alg_values_supported: list[str]
    scopes_supported: list[str]


class Environment(TypedDict):
    """Which refs an environment is for; null: any. `by_hand`: also runs whose commit a person
    chose."""

    repo: str
    environment: str
    refs: list[str] | None
    by_hand: bool
    by: str
    at: float


class Environments(TypedDict):
    """One that is not listed may be named by every run of its repository."""

    environments: list[Environment]


class TrustPolicy(TypedDict):
    """How pull requests from other repositories are admitted, by who their author is. `repo`: the
    name of the repository that `scope` names."""

    scope: str
    repo: str | None
    members: Admission
    strangers: Admission
    newcomers: Admission
    approvers: list[str]
    by: str
    at: float


class TrustPolicies(TypedDict):
    """The widest first; the narrowest counts."""

    policies: list[TrustPolicy]


class PolicyRemoved(TypedDict):
    """The next wider policy counts now."""

    scope: str
    removed: bool


class HeldPull(TypedDict):
    """A pull request whose commit waits for an approval, and why."""

    repo: str
    number: int
    commit: str
    title: str
    author: str
    base: str
    why: str
    at: float


class HeldPulls(TypedDict):
    """Titles and names are the words of whoever opened them."""

    held: list[HeldPull]


class ApprovedPull(HeldPull):
    """The runs that the approval began."""

    runs: list[str]


class JudgedPull(TypedDict):
    """What is decided of a pull request, and why. `by`: who approved it; `base`: the commit whose
    pipeline runs in place of its own."""

    tier: Tier
    admission: Admission
    why: str
    author: Author
    scope: str
    by: str
    base: str


class PullFacts(TypedDict):
    """What the forge's API says of a pull request at this moment. `head_repo` null: deleted."""

    head_repo: str | None
    base_repo: str
    base_ref: str
    head_commit: str
    author: Author
    login: str
    is_open: bool
    head_ref: str


class Approval(TypedDict):
    """Somebody lets the pipeline of this very commit run. `repo`: its id."""

    repo: str
    number: int
    commit: str
    by: str
    at: float


class TrustExplained(TypedDict):
    """How a pull request would be judged now, and by what."""

    repo: str
    number: int
    verdict: JudgedPull
    policy: TrustPolicy
    facts: PullFacts
    approval: Approval | None


class Deed(TypedDict):
    """What somebody did. `act`: the route; `on`: what was named, without values; `token`: the id of
    the key; `status`: what was answered."""

    at: float
    by: str
    token: str
    act: str
    on: dict[str, str]
    address: str
    status: int


class Deeds(TypedDict):
    """Newest first. `next`: the following page's `before`."""

    acts: list[Deed]
    next: int | None
