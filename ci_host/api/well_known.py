"""Well-known routes: what others need to check the identity tokens of jobs. Nobody need log in."""

from typing import Any

from fastapi import APIRouter

from ci_host.api.auth import Admin, Here
from ci_host.signing_keys import ALGORITHM, published

router = APIRouter(tags=["tokens"])


@router.get("/.well-known/openid-configuration", summary="Who signs the tokens of jobs")
async def configuration(here: Here) -> dict[str, Any]:
    """OpenID Connect Discovery."""
    issuer = here.settings.url
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
        "scopes_supported": ["openid"],
    }


@router.get("/.well-known/jwks.json", summary="The public keys of the tokens of jobs")
async def keys(here: Here) -> dict[str, Any]:
    """The one that signs first, then those that signed in the last day."""
    return published(here.signing_keys.read())


@router.post("/api/v1/tokens-key/rotate", summary="Sign the tokens of jobs with a new key")
async def rotate(here: Here, _who: Admin) -> dict[str, Any]:
    """The old one stays published for a day."""
    return {"kid": here.signing_keys.rotate().id}
