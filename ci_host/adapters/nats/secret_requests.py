"""Requests of Runners for secrets: core messages, so that no answer is stored anywhere."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from ci_host.adapters.nats.bus import Bus
from pipelines.secret import ASK, SecretsAsked, SecretsTold

QUEUE = "hosts"

log = structlog.get_logger()


async def serve_secrets(bus: Bus, answer: Callable[[SecretsAsked], Awaitable[SecretsTold]]) -> None:
    """Answer every request from now on; of several hosts one answers each."""

    async def on_message(message: Msg) -> None:
        try:
            asked = msgspec.json.decode(message.data, type=SecretsAsked)
        except msgspec.MsgspecError as error:
            log.warning("secrets_asked_wrongly", error=str(error))
            return
        await message.respond(msgspec.json.encode(await answer(asked)))

    await bus.client.subscribe(ASK, queue=QUEUE, cb=on_message)
