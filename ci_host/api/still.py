"""Still: whether somebody who looks at something live may go on looking."""

from ci_host.access import Token
from ci_host.api.auth import token_by
from ci_host.api.services import Services
from ci_host.api.sight import level_in, repo_of_run
from ci_host.ports import Unavailable

ASK_AGAIN_S = 10.0


class Still:
    """One who looks; at a Run, or at what is filtered for them anyway. Asked often, it looks now
    and then."""

    def __init__(self, here: Services, who: Token, run: str = "") -> None:
        self._here, self._who, self._run = here, who, run
        self._next = here.now() + ASK_AGAIN_S

    async def may(self) -> bool:
        """False: the key is over, or the Repo is not seen any more."""
        now = self._here.now()
        if now < self._next:
            return True
        self._next = now + ASK_AGAIN_S
        try:
            token = await token_by(self._here, self._who.digest)
            return token is not None and await self._sees(token)
        except Unavailable:
            # What is shown comes from the same store, and stops with it.
            return True

    async def _sees(self, token: Token) -> bool:
        if not self._run or not token.is_narrowed:
            return True
        repo = await repo_of_run(self._here, self._run)
        return repo is not None and await level_in(self._here, token, repo) is not None
