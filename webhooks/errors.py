"""Errors of `webhooks`.

WebhookError
├── Unverified         refused: the signature is wrong, missing, too old, or there is no secret
├── Malformed          refused: the payload is not what its forge documents
├── InboxUnavailable   transient: the call could not be made durable; the sender must try again
└── HookRefused        refused: the post-receive hook cannot be installed there
"""


class WebhookError(Exception):
    """Everything that this package raises on purpose."""


class Unverified(WebhookError):
    """The signature does not match. The reason is for our log alone; callers get one answer."""


class Malformed(WebhookError):
    """The payload lacks what it must have, or holds what it must not."""


class InboxUnavailable(WebhookError):
    """The inbox could not promise to keep the Delivery. Nothing was recorded, or nobody knows."""


class HookRefused(WebhookError):
    """The repository's hooks are not ours to change, or there is no repository."""
