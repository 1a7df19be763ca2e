"""Secret answers: what a Runner is told that asked for values, whatever went wrong here."""

import structlog

from ci_host.engine.secrets import AskRefused, Secrets
from ci_host.envelopes import Unopenable
from ci_host.ports import Damaged, Missing, Unavailable
from pipelines.secret import SecretsAsked, SecretsTold

log = structlog.get_logger()


async def told(secrets: Secrets, asked: SecretsAsked) -> SecretsTold:
    """The sealed values, or why there are none. Never raises; what broke is in the host's log."""
    try:
        return SecretsTold(sealed=await secrets.answer(asked))
    except (AskRefused, Unopenable, Damaged, Missing) as refused:
        log.warning("secrets_refused", job=asked.job, runner=asked.runner, reason=str(refused))
        return SecretsTold(refused=str(refused))
    except Unavailable as error:
        return SecretsTold(unavailable=str(error))
    except Exception as fault:
        # Without the traceback's values: structlog has the lines only.
        log.exception("secrets_broke", job=asked.job)
        return SecretsTold(unavailable=f"a fault of the host's ({type(fault).__name__})")
