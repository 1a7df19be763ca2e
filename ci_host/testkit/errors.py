"""What is wrong with a test, or with the pipeline in it. All are AssertionErrors: the test fails.

KitFailure
├── BrokenPipeline   the file cannot be read or imported, or has no `run`
├── NotTriggered     it does not run on this event
├── WrongAnswer      what the test prepared is nothing that could happen
├── Unanswered       the Run waits for something for which the test prepared nothing
├── Unused           the test prepared something for which the Run never asked
└── Nondeterministic the plan decides something else when it is played again
"""


class KitFailure(AssertionError):
    """The test fails; the message says what to do."""


class BrokenPipeline(KitFailure):
    """The pipeline cannot be loaded."""


class NotTriggered(KitFailure):
    """The pipeline does not run on this event."""


class WrongAnswer(KitFailure):
    """No Runner, person or pipeline could have answered so."""


class Unanswered(KitFailure):
    """The Run waits, and nothing is prepared that could happen."""


class Unused(KitFailure):
    """The Run never asked for what is prepared."""


class Nondeterministic(KitFailure):
    """After a hibernation this Run would not go on as it went."""
