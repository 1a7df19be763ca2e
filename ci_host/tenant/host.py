"""TenantHost: the Sandbox over any kind of guest image. Texts in and out, traps to Failures."""

import logging
from collections.abc import Callable, Iterable, Iterator

import msgspec

from ci_host.tenant import breaches
from ci_host.tenant.guest import Guest, GuestImage, Refused, Trapped
from ci_host.tenant.limits import TRACE_FACTOR, Limits
from ci_host.tenant.pool import Blanks, Primed
from ci_host.tenant.sandbox import SandboxStarved, TenantFailed, TurnInputs
from pipelines.bundle import Bundle, PipelineEntry, Prepared
from pipelines.codec import Undecodable, decode_outcomes
from pipelines.turn import TurnOutcome

# How much of a replay goes into the guest in one call: it holds each several times over.
CALL_CHARS_MAX = 4 * 1024 * 1024

_log = logging.getLogger(__name__)


class _PreparedAnswer(msgspec.Struct):
    code: str
    pipelines: list[PipelineEntry]


class TenantHost:
    """See `sandbox.Sandbox` for the contract."""

    def __init__(self, image: GuestImage, limits: Limits | None = None) -> None:
        self._image = image
        self._limits = limits or Limits()
        self._blanks = Blanks(image, self._limits.blanks)
        self._primed = Primed(image, self._limits.primed)

    @property
    def image_digest(self) -> str:
        """The digest of the guest image."""
        return self._image.digest

    @property
    def boot(self) -> str:
        """The kind of boot."""
        return self._image.boot_kind

    def prepare(self, bundle: Bundle) -> Prepared:
        """Compile a Bundle in an instance that is thrown away."""
        try:
            answer = self._prepare(bundle, is_traced=False)
        except Trapped as trapped:
            place = self._trace(lambda: self._prepare(bundle, is_traced=True))
            raise breaches.failed(trapped, self._limits, "importing", place) from trapped
        except Refused as refused:
            raise breaches.refused(refused) from refused
        try:
            told = msgspec.json.decode(answer, type=_PreparedAnswer)
            told.code.encode("latin-1")
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise breaches.broken(f"its answer cannot be read: {error}") from error
        return Prepared(
            bundle=bundle.digest(),
            image=self.image_digest,
            code=told.code,
            pipelines=told.pipelines,
        )

    def load(
        self, prepared: Prepared, file: str, *, run: str, seed: str, at: float
    ) -> "LoadedTenant":
        """Load one pipeline for one Run."""
        assert prepared.image == self.image_digest, "prepared by another guest image"
        identity = Identity(prepared, file, run, seed, at)
        try:
            guest = self.load_guest(identity, is_traced=False)
        except Trapped as trapped:
            raise breaches.failed(trapped, self._limits, "importing", "") from trapped
        except Refused as refused:
            raise breaches.refused(refused) from refused
        return LoadedTenant(self, identity, guest, self._limits)

    def refill(self) -> None:
        """Boot one blank if there is room, or else prime one with code that was loaded lately."""
        if not self._blanks.refill():
            self._primed.prime(self._limits.prepare_s)

    def close(self) -> None:
        """Close what waits."""
        self._blanks.close()
        self._primed.close()

    def load_guest(self, identity: "Identity", *, is_traced: bool) -> Guest:
        """An instance with the Run loaded and started. Raises Trapped or Refused."""
        begin = {"run": identity.run, "seed": identity.seed, "at": identity.at, "trace": is_traced}
        seconds = self._limits.prepare_s
        code = f"{identity.file}\n{identity.prepared.code}"
        primed = self._primed.take(code)
        guest = primed or self._blanks.take()
        try:
            if primed is None:
                guest.call("load", code, now=identity.at, seconds=seconds)
                if not guest.has_seen_clock:
                    self._primed.want(code)
            guest.call("start", _json(begin), now=identity.at, seconds=seconds)
        except BaseException:
            guest.close()
            raise
        return guest

    def locate(self, identity: "Identity", argument: str, seconds: float) -> str:
        """The `file:line` at which `advance` is stopped, found by doing it all again."""

        def again() -> None:
            guest = self.load_guest(identity, is_traced=True)
            try:
                guest.call("advance", argument, now=identity.at, seconds=seconds * TRACE_FACTOR)
            finally:
                guest.close()

        return self._trace(again)

    def _prepare(self, bundle: Bundle, *, is_traced: bool) -> str:
        seconds = self._limits.prepare_s * (TRACE_FACTOR if is_traced else 1)
        argument = _json({"files": bundle.files, "trace": is_traced})
        guest = self._blanks.take()
        try:
            return guest.call("prepare", argument, now=0.0, seconds=seconds)
        finally:
            guest.close()

    def _trace(self, again: Callable[[], object]) -> str:
        try:
            again()
        except Trapped as trapped:
            return breaches.last_place(trapped.told)
        except (Refused, SandboxStarved) as error:
            _log.warning("a stopped turn could not be traced: %s", error)
        return ""


class Identity(msgspec.Struct, frozen=True):
    """What every load of a Run must be given alike."""

    prepared: Prepared
    file: str
    run: str
    seed: str
    at: float


class LoadedTenant:
    """See `sandbox.Tenant`. It remembers its inputs, to find the line where a Turn was stopped."""

    def __init__(self, host: TenantHost, identity: Identity, guest: Guest, limits: Limits) -> None:
        self._host = host
        self._identity = identity
        self._guest: Guest | None = guest
        self._limits = limits
        self._made: list[TurnInputs] = []

    def advance(self, turns: list[TurnInputs]) -> list[TurnOutcome]:
        """Make these Turns."""
        assert self._guest is not None, "the tenant is closed"
        if not turns:
            return []
        seconds = self._limits.turn_s * len(turns)
        outcomes: list[TurnOutcome] = []
        try:
            for texts in _calls(_text(turn) for turn in turns):
                outcomes += self._advance(self._guest, texts)
        except Trapped as trapped:
            self.close()
            every = _argument([_text(turn) for turn in self._made + turns])
            place = self._host.locate(
                self._identity, every, seconds + self._limits.turn_s * len(self._made)
            )
            raise breaches.failed(trapped, self._limits, "one turn", place) from trapped
        except Refused as refused:
            self.close()
            raise breaches.refused(refused) from refused
        except Undecodable as error:
            self.close()
            raise breaches.broken(str(error)) from error
        except (TenantFailed, SandboxStarved):
            self.close()
            raise
        self._made += turns
        return outcomes

    def _advance(self, guest: Guest, turns: list[str]) -> list[TurnOutcome]:
        seconds = self._limits.turn_s * len(turns)
        answer = guest.call("advance", _argument(turns), now=self._identity.at, seconds=seconds)
        outcomes = decode_outcomes(answer)
        if len(outcomes) != len(turns):
            raise breaches.broken(f"{len(turns)} turns have {len(outcomes)} outcomes")
        return outcomes

    def close(self) -> None:
        """Close the instance."""
        guest, self._guest = self._guest, None
        if guest is not None:
            guest.close()


def _text(turn: TurnInputs) -> str:
    inputs = [{"seq": one.seq, "at": one.at, "body": one.body} for one in turn.inputs]
    return _json({"inputs": inputs, "memo": turn.memo, "bytes": turn.history_bytes})


def _calls(turns: Iterable[str]) -> Iterator[list[str]]:
    """The turns of each call: a long History in one would not fit into the guest's memory."""
    call: list[str] = []
    chars = 0
    for text in turns:
        if call and chars + len(text) > CALL_CHARS_MAX:
            yield call
            call, chars = [], 0
        call.append(text)
        chars += len(text)
    yield call


def _argument(turns: list[str]) -> str:
    return '{"turns":[' + ",".join(turns) + "]}"


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
