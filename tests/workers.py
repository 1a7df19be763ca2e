"""Workers: which tests run on one of them, when `pytest -n` runs tests beside each other.

These are hooks of pytest and xdist, which `conftest.py` takes up.
"""

import pytest
from xdist.scheduler import LoadGroupScheduling


class TogetherByFile(LoadGroupScheduling):
    """Tests of an xdist group run on one worker, and else those of a file.

    What is started for a module is started once then; and the controller, which counts what is
    left of every unit after every test, has hundreds of units to count and not thousands.
    """

    def _split_scope(self, nodeid: str) -> str:
        scope = super()._split_scope(nodeid)
        return nodeid.partition("::")[0] if scope == nodeid else scope


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """xdist's own for every other --dist."""
    return TogetherByFile(config, log) if config.option.dist == "loadgroup" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items) -> None:
    """Have the controller learn of groups.

    A worker of xdist 3.8 appends a test's group to `_nodeid`, where pytest no longer looks since
    9.2: every group would silently be none. See https://github.com/pytest-dev/pytest-xdist/issues/1386.
    """
    for item in items:
        told = vars(item).get("_nodeid", item.nodeid)
        if told != item.nodeid:
            item._id = type(item.id).parse(told)
