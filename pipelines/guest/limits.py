"""What a plan may ask for. Time, memory and stack are the host's to limit."""

COMMANDS_TURN_MAX = 10_000
STEPS_RUN_MAX = 25_000
VALUE_BYTES_MAX = 1_048_576
PRINTED_CHARS_MAX = 65_536
MESSAGE_CHARS_MAX = 4_000
TRACEBACK_CHARS_MAX = 16_000
# How often a plan that is over may refuse to be cancelled before it is abandoned.
CANCEL_ROUNDS_MAX = 10
