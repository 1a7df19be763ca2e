"""`python -m tests.lint_cases`: write what lint finds now into every case; read the difference."""

from ci_host.engine.calendar import check
from pipelines.lint.check import lint
from tests.lint_cases import FINDINGS, FOLDER, cases, shown


def main() -> None:
    """Files whose findings are as they were stay as they are."""
    for name, case in cases():
        found = lint(case.files, lambda schedule: check(schedule, 1_000_000.0))
        parts = {**case.files, FINDINGS: shown(found)}
        text = "".join(f"=== {title}\n{part}" for title, part in parts.items())
        (FOLDER / f"{name}.txt").write_text(text)


if __name__ == "__main__":
    main()
