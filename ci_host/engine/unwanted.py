"""Unwanted: why a Delivery, or one event in it, asks for no Run."""


class Unwanted(Exception):
    """A Delivery, or one event in it, asks for no Run; the message completes "because …"."""


class Held(Unwanted):
    """It will be wanted when somebody approves its commit."""


class Done(Unwanted):
    """What was asked for is done, and was no Run; the message says what."""


STATES: dict[type[Unwanted], str] = {Held: "held", Done: "done"}
