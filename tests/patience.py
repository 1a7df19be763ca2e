"""Patience: how long a test waits for what must come. What must not come is not waited for."""

# Waiting costs nothing where the condition comes, and on a busy machine everything comes late: only
# a test that fails waits so long.
PATIENCE_S = 60.0
