"""What a plan may ask for. Time, memory and stack are the host's to limit."""

COMMANDS_TURN_MAX = 10_000
STEPS_RUN_MAX = 25_000
# What happened to a Run, one after another; the host keeps this one, and the plan may look at it.
EVENTS_RUN_MAX = 50_000
# An engine holds a Run's whole History in memory to replay it.
HISTORY_BYTES_MAX = 128 * 1024 * 1024
# From this share of a limit on a Run is near to it: people are warned, and `step.usage` says so.
WARN_SHARE = 0.5
VALUE_BYTES_MAX = 16_777_216
PRINTED_CHARS_MAX = 65_536
MESSAGE_CHARS_MAX = 4_000
TRACEBACK_CHARS_MAX = 16_000
# How often a plan that is over may refuse to be cancelled before it is abandoned.
CANCEL_ROUNDS_MAX = 10
