"""All Cases, by group and name: `retries.not_worth_retrying` is what the table calls one."""

from tests.conformance.cases_calls import CALLS
from tests.conformance.cases_lifecycle import LIFECYCLE
from tests.conformance.cases_options import NAMES, OPTIONS
from tests.conformance.cases_retries import RETRIES
from tests.conformance.cases_rollback import ROLLBACK
from tests.conformance.cases_steps import ERRORS, STEPS
from tests.conformance.cases_waits import EVENTS, SLEEPS

GROUPS = {
    "steps": STEPS,
    "names": NAMES,
    "options": OPTIONS,
    "retries": RETRIES,
    "errors": ERRORS,
    "sleeps": SLEEPS,
    "events": EVENTS,
    "lifecycle": LIFECYCLE,
    "rollback": ROLLBACK,
    "calls": CALLS,
}
CASES = {f"{group}.{name}": case for group, cases in GROUPS.items() for name, case in cases.items()}
