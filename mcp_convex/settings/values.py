"""The kinds of values that a setting can have, and what is wrong with one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretBytes, SecretStr

_KEY_BYTES = 32


def _absolute(path: Path) -> Path:
    try:
        return path.expanduser().absolute()
    except (RuntimeError, FileNotFoundError) as exc:
        raise ValueError("should begin with a directory that exists") from exc


def _split(value: object) -> tuple[str, ...]:
    parts = tuple(part.strip() for part in str(value).split(",") if part.strip())
    if not parts:
        raise ValueError("should name at least one")
    return parts


def _lower(value: object) -> str:
    return str(value).lower()


def _decoded_keys(value: object) -> tuple[SecretBytes, ...]:
    try:
        keys = tuple(SecretBytes(base64.b64decode(part, validate=True)) for part in _split(value))
    except ValueError:
        keys = ()
    if not keys or any(len(key) != _KEY_BYTES for key in keys):
        raise ValueError("should be keys of 32 bytes each in base64, newest first, with commas between them")
    return keys


def _secure(value: str) -> str:
    parts = urlsplit(value)
    loopback = parts.hostname in {"localhost", "127.0.0.1", "::1"}
    fits = parts.scheme in ({"http", "https"} if loopback else {"https"})
    if not fits or not parts.hostname or value.split() != [value]:
        raise ValueError("should be an https:// URL, or http:// on this machine")
    return value


def _postgres(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().startswith(("postgresql://", "postgres://")):
        raise ValueError("should be a URL that begins with `postgresql://`")
    return value


Folder = Annotated[Path, AfterValidator(_absolute)]
Url = Annotated[str, AfterValidator(_secure)]
Host = Annotated[Url, AfterValidator(lambda value: value.rstrip("/"))]
Names = Annotated[tuple[str, ...], BeforeValidator(_split)]
EncryptionKeys = Annotated[tuple[SecretBytes, ...], BeforeValidator(_decoded_keys)]
Toolset = Literal["connection", "projects", "env", "files", "push", "inspect", "docs"]
Toolsets = Annotated[tuple[Toolset, ...], BeforeValidator(_split)]
LogLevel = Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_lower)]
DatabaseUrl = Annotated[SecretStr, AfterValidator(_postgres)]
