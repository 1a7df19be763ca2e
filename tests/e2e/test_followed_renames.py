"""A real installation follows a rename at the forge, and has it in the record of what was done."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.installed import FILE, installed
from tests.e2e.test_trust import OURS, Hub
from tests.pull_forge import REPO_ID, PullForge

pytestmark = [
    pytest.mark.xdist_group("e2e-renames"),
    pytest.mark.slow,
    pytest.mark.sandbox,
    pytest.mark.nats,
    pytest.mark.bwrap,
]

EXAMPLE = Path(__file__).parent.parent / "forges" / "github" / "push.json"


class NamingForge(PullForge):
    """It calls the repository acme/store by now; mallory/evil is another one."""

    def _read(self, path: str, given: str) -> tuple[int, object]:
        for name, number in (("acme/store", REPO_ID), ("mallory/evil", 9)):
            if path == f"/repos/{name}":
                url = f"{self.url}/{name}.git"
                return 200, {"id": number, "full_name": name, "clone_url": url}
        return super()._read(path, given)


def test_the_forges_own_word_renames_a_repository_and_a_payloads_does_not(tmp_path: Path) -> None:
    with NamingForge() as forge, installed(tmp_path) as here:
        hub = Hub(here, here.repo("shop"), forge)

        def pushed(name: str, delivery: str) -> dict[str, Any]:
            commit = hub.repo.commit({FILE: f"{OURS}# {delivery}\n"}, delivery)
            hub.repo.git("push", "-q", "origin", "HEAD:refs/heads/main")
            payload = json.loads(EXAMPLE.read_text())
            payload["repository"] |= {"id": REPO_ID, "full_name": name}
            payload["after"] = payload["head_commit"]["id"] = commit
            return hub._delivered("push", payload, delivery)

        def name() -> str:
            known = here.get("/repos")["repos"]
            (found,) = [one for one in known if one["id"] == f"hub/{REPO_ID}"]
            return str(found["name"])

        assert len(pushed("mallory/evil", "hostile")["runs"]) == 1
        assert name() == "acme/shop"
        (run,) = pushed("acme/store", "renamed")["runs"]
        assert name() == "acme/store"
        assert here.get(f"/runs/{run}")["repo_name"] == "acme/store"
        (deed,) = [one for one in here.get("/audit")["acts"] if "renamed" in one["act"]]
        assert (deed["by"], deed["on"]["repo"], deed["on"]["name"]) == (
            "staunch",
            "acme/shop",
            "acme/store",
        )
