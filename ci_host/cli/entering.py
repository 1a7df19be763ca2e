"""Entering: how a command is given what nobody may see: by standard input, or asked for."""

import sys

import typer

from ci_host.cli.client import ClientError


def value_given(name: str) -> str:
    """As it is, but for the line's end after a value of one line, which `echo` adds."""
    if sys.stdin.isatty():
        return str(typer.prompt(f"Value of {name}", hide_input=True, err=True))
    try:
        value = sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise ClientError("the value is no UTF-8; encode it, as with base64", 2) from None
    return value.rstrip("\r\n") if value.count("\n") <= 1 else value
