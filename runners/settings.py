"""The runner's settings: from STAUNCH_RUNNER_* in the environment, then from the command line.

Here: names, types, defaults. Not here: what is made of them (`bootstrap`). This module is only
imported while a command line is read: the agent's process lives without it.
"""

from pathlib import Path
from typing import Literal

from pydantic import DirectoryPath, Field, FilePath, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pipelines.job import LEASE_S
from runners import registries, targets
from runners.allowance import DISK_GB_DEFAULT


class Settings(BaseSettings):
    """One runner. Each field is `STAUNCH_RUNNER_<NAME>`; mappings and lists are JSON there."""

    model_config = SettingsConfigDict(env_prefix="STAUNCH_RUNNER_", extra="ignore")

    nats: str = "nats://127.0.0.1:4222"
    join: str = ""
    data: Path = Path("/var/lib/staunch/runner")
    pool: str = Field(default="default", pattern=r"^[A-Za-z0-9_-]+$")
    slots: int = Field(default=2, ge=1, le=256)
    volumes: dict[str, Path] = {}
    read_only: list[Path] = []
    uid_base: int = Field(default=64_000, ge=1_000)
    executor: Literal["bubblewrap", "podman", "process"] = "bubblewrap"
    blobs: str = ""
    egress: list[str] = []
    egress_private: list[str] = []
    memory_gb: float = Field(default=0.0, ge=0)
    disk_gb: float = Field(default=DISK_GB_DEFAULT, gt=0)
    images: DirectoryPath | None = None
    images_gb: float = Field(default=20.0, gt=0)
    registries: list[str] = []
    registry_auth: FilePath | None = None
    drain: bool = False
    lease_s: float = Field(default=LEASE_S, ge=LEASE_S, le=3600)

    @field_validator("egress")
    @classmethod
    def _are_targets(cls, given: list[str]) -> list[str]:
        targets.parse_all(given)
        return given

    @field_validator("registries")
    @classmethod
    def _are_registries(cls, given: list[str]) -> list[str]:
        for one in given:
            registries.parse(one)
        return given

    @field_validator("egress_private")
    @classmethod
    def _are_exact(cls, given: list[str]) -> list[str]:
        for one in given:
            targets.parse_exact(one)
        return given
