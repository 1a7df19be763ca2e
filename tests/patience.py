"""Patience: how long tests wait for what real processes do, on a machine that may be busy."""

# For what must come. Waiting costs nothing where it comes: only a test that fails waits so long.
PATIENCE_S = 60.0
# Within this what was done at once is over. Where it is not, it takes PATIENCE_S or longer.
AT_ONCE_S = 30.0
# A limit that a real process is let run into: it must have begun before, however late it got to.
SHORT_S = 5.0
