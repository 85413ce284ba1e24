"""`.env.local`, in which the app finds its deployment: the public URL, and never a key."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, JsonValue, ValidationError

from mcp_convex.domain.models import FilePath, Target
from mcp_convex.domain.ports import Sandbox
from mcp_convex.services.project_files import text_of

_ENV_LOCAL = FilePath(".env.local")
_PACKAGE_JSON = FilePath("package.json")
_PREFIXES = (("next", "NEXT_PUBLIC_"), ("expo", "EXPO_PUBLIC_"), ("vite", "VITE_"))
"""Which package makes a bundler that shows the browser only names with that prefix."""


class _PackageJson(BaseModel):
    dependencies: dict[str, JsonValue] = {}
    dev_dependencies: dict[str, JsonValue] = Field(default={}, alias="devDependencies")


class EnvFile:
    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    async def point_at(self, target: Target) -> tuple[str, ...]:
        """
        Write *target*'s public URLs, keeping every other line.

        A URL of another deployment that this server did not put there is left alone.

        Returns:
            What is worth telling about it.
        """
        text = await text_of(self._sandbox, _ENV_LOCAL) or ""
        wanted = _wanted(target, _prefix(await text_of(self._sandbox, _PACKAGE_JSON) or ""))
        foreign = [name for name, url in wanted.items() if _is_foreign(_value(text, name), url, target)]
        if foreign:
            return (f"`.env.local` still names another deployment in {', '.join(foreign)}; it was left as it is.",)
        changed = text
        for name, url in wanted.items():
            changed = _with(changed, name, url)
        if changed != text:
            await self._sandbox.write({_ENV_LOCAL: changed.encode()})
        return ()


def _prefix(package_json: str) -> str:
    try:
        found = _PackageJson.model_validate_json(package_json or "{}")
    except ValidationError:
        return ""
    names = {*found.dependencies, *found.dev_dependencies}
    return next((prefix for package, prefix in _PREFIXES if package in names), "")


def _wanted(target: Target, prefix: str) -> dict[str, str]:
    urls = {f"{prefix}CONVEX_URL": target.url}
    return urls | ({f"{prefix}CONVEX_SITE_URL": target.site_url} if target.site_url else {})


def _is_foreign(current: str | None, wanted: str, target: Target) -> bool:
    """Say whether *current* is a URL that the person chose, while *target* is only this server's default."""
    if current is None or current == wanted or target.kind != "embedded":
        return False
    return urlsplit(current).hostname not in {"127.0.0.1", "localhost"}


def _line(name: str) -> re.Pattern[str]:
    return re.compile(rf"^[ \t]*(?:export[ \t]+)?{re.escape(name)}[ \t]*=(.*)$", re.MULTILINE)


def _value(text: str, name: str) -> str | None:
    found = _line(name).findall(text)
    return found[-1].split(" #")[0].strip().strip("\"'") if found else None


def _with(text: str, name: str, value: str) -> str:
    line = f"{name}={value}"
    if _line(name).search(text):
        return _line(name).sub(lambda _: line, text)
    return text + ("" if not text or text.endswith("\n") else "\n") + line + "\n"
