"""The `staunch` command, and the entry of every process of a host.

`process <role>` is what the supervisor starts; everything else is the command line,
which is imported only then: an engine has no use for it.
"""

import sys


def main() -> None:
    """Dispatch. Exits with a code that docs/guide/cli.md lists."""
    if not __debug__:
        sys.exit("staunch checks its invariants with assert: start Python without -O")
    if sys.argv[1:2] == ["process"]:
        # structlog would load it for the case that there is a terminal: a fifth of some starts.
        for unused in ("rich.console", "rich.pretty", "rich.traceback"):
            sys.modules[unused] = None  # type: ignore[assignment]  # Python's own "not there"
        from ci_host.bootstrap.process import run_process

        run_process(sys.argv[2], sys.argv[3:])
        return
    from ci_host.cli import run_cli

    run_cli()


if __name__ == "__main__":
    main()
