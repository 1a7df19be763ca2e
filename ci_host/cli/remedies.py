"""Remedies: what can be done about a job that a runner has refused.

Why it was refused is the runner's to say; here is which option would have let it, if one would.
"""

from collections.abc import Mapping

# By what is said in a refusal: the option with what to give it.
OPTIONS: Mapping[str, str] = {
    "--egress": "--egress with the hosts, as in --egress pypi.org,files.pythonhosted.org",
    "volume '": "--volume NAME=/absolute/path",
    "staunch secret set": "--secret NAME, with the value in the variable of that name",
}
DOCTOR = "`staunch doctor` says what this machine lacks"


def remedy_of(message: str, command: str) -> str:
    """What to do, in a line. `command`: the one whose options decide what jobs may use; empty:
    those of a host that is there, of which the refusal itself says whose they are."""
    option = next((option for said, option in OPTIONS.items() if said in message), "")
    if not option:
        return DOCTOR
    return f"give it to `{command}`: {option}" if command else ""
