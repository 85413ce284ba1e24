"""Installs a workspace's packages with npm, without running any script of theirs."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio

from mcp_convex.domain.errors import DiskFull, InstallFailed
from mcp_convex.domain.ports import Launch, Launcher
from mcp_convex.domain.secrets import redact
from mcp_convex.sandboxes.node import find_node
from mcp_convex.sandboxes.packages import PackageJson, Packages, check_version

DEADLINE_S = 300.0
QUIETLY = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=warn")
_UNWRITTEN = "TAR_ENTRY_ERROR"
"""What npm 10 warns of a file that it could not write, and then exits with 0."""
_PINNED = re.compile(r"[=v~ ]*(\d+\.\d+)(\.[\dx*]+)?")
IMPATIENTLY = {
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "1000",
    "npm_config_update_notifier": "false",
}
"""npm's settings: whoever has no network is told so soon."""
_PASSED = re.compile(r"(?i)npm_config_\w+|(https?|no|all)_proxy|node_extra_ca_certs|ssl_cert_(file|dir)")
_OFFLINE = re.compile(r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ENETUNREACH|EHOSTUNREACH|ETIMEDOUT|ENOTCACHED")
_ESSENCE = 600
"""Characters of npm's own words in an error."""


def npm_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what of *environ*, the person's, npm needs to reach their registry."""
    return {name: value for name, value in environ.items() if _PASSED.fullmatch(name)}


class Installer:
    """Keeps the packages of the workspace at *root* in step with its package.json and lock."""

    def __init__(self, root: Path, state_dir: Path, launcher: Launcher, npm_env: Mapping[str, str]) -> None:
        self._root = root
        self._lock = root / "package-lock.json"
        self._stamp = state_dir / "installed"
        self._home = state_dir / "home"
        self._launcher = launcher
        self._npm_env = npm_env
        self._packages = Packages(root)

    def is_due(self) -> bool:
        """
        Say whether packages have to be installed.

        Raises:
            InstallFailed: They have to be, by another package manager or in another folder.
        """
        if (manager := self._packages.other_manager()) is not None:
            if self._packages.find("convex") is not None:
                return False
            raise InstallFailed(
                f"The project's packages are not installed, and {manager} manages them.",
                next_step=f"Ask the person to run `{manager} install` in `{self._packages.top}`, then call again.",
            )
        return self._packages.find("convex") is None or not (self._is_stamped() or self._is_in_step())

    def check(self) -> None:
        """
        Return unless the project's files tell, before any is changed, that its packages will not serve.

        Raises:
            ToolMissing: They have to be installed, and there is no npm.
            InstallFailed: They have to be, by another package manager or in another folder; or convex is too old.
        """
        has_manifest = (self._root / "package.json").exists()
        if has_manifest and not self.is_due():
            self._packages.check_convex()
        elif self._packages.other_manager() is None:
            find_node().npm()
            if has_manifest and (version := self._foreseen()):
                check_version(version)

    async def install(self) -> None:
        """
        Install what package.json asks for: what the lock says where it fits, and a new lock where not.

        Raises:
            ToolMissing: There is no npm.
            InstallFailed: npm failed.
            DiskFull: There is no space for the packages.
        """
        node = await anyio.to_thread.run_sync(find_node)
        clean = not (self._root / "node_modules").is_dir() and self._lock_fits()
        argv = [str(node.program), str(node.npm()), "ci" if clean else "install", *QUIETLY]
        output: list[str] = []
        process = await self._launcher.start(self._launch(argv, node.program), output.append)
        code = None
        try:
            with anyio.move_on_after(DEADLINE_S):
                code = await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                await process.kill()
        said = "".join(output)
        if _UNWRITTEN in said:
            # Packages that are cut off would pass for installed ones, here and with npm.
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._root / "node_modules", ignore_errors=True))
        if code != 0 or _UNWRITTEN in said:
            raise failed(said, timed_out=code is None)
        self._stamp.write_text(self._fingerprint(), encoding="utf-8")

    def _launch(self, argv: list[str], node: Path) -> Launch:
        person = Path.home()
        cache = person / ".npm" if (person / ".npm").is_dir() else self._home / ".npm"
        defaults = {
            "npm_config_cache": str(cache),
            "npm_config_userconfig": str(person / ".npmrc"),
            **IMPATIENTLY,
        }
        cache.mkdir(parents=True, exist_ok=True)
        given = {name.lower() if name.lower().startswith("npm_") else name: v for name, v in self._npm_env.items()}
        env = defaults | given | {"HOME": str(self._home), "PATH": f"{node.parent}:/usr/bin:/bin"}
        files = [Path(value) for value in env.values() if value.startswith("/") and Path(value).is_file()]
        return Launch(argv, cwd=self._root, env=env, readable=files, writable=[self._root, self._home, cache])

    def _is_stamped(self) -> bool:
        try:
            return self._stamp.read_text(encoding="utf-8") == self._fingerprint()
        except FileNotFoundError:
            return False

    def _is_in_step(self) -> bool:
        """Say whether what is installed is what is asked for, whoever installed it; a stamp saves the next look."""
        lock, installed = _packages_in(self._lock), _packages_in(self._root / "node_modules/.package-lock.json")
        if lock:
            in_step = self._lock_fits() and all(
                path in installed and package.get("version") == installed[path].get("version")
                for path, package in lock.items()
                if path and not package.get("optional") and not package.get("devOptional")
            )
        else:
            in_step = all(self._packages.find(name) for name in self._asked().required())
        if in_step:
            self._stamp.write_text(self._fingerprint(), encoding="utf-8")
        return in_step

    def _fingerprint(self) -> str:
        asked = self._asked().model_dump_json(exclude={"version"})
        return hashlib.sha256(asked.encode() + (self._lock.read_bytes() if self._lock.exists() else b"")).hexdigest()

    def _lock_fits(self) -> bool:
        root = _packages_in(self._lock).get("")
        return root is not None and PackageJson.model_validate(root).kinds() == self._asked().kinds()

    def _foreseen(self) -> str | None:
        """Return the version of convex that is bound to be installed, where the lock or package.json names one."""
        locked = _packages_in(self._lock).get("node_modules/convex", {}).get("version")
        if locked and self._lock_fits():
            return str(locked)
        pinned = _PINNED.fullmatch(self._asked().required().get("convex", ""))
        return pinned and pinned[1]

    def _asked(self) -> PackageJson:
        return PackageJson.read(self._root / "package.json")


def _packages_in(lock: Path) -> dict[str, dict[str, Any]]:
    try:
        found: dict[str, dict[str, Any]] = json.loads(lock.read_bytes())["packages"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found


def lacks_network(output: str) -> bool:
    """Say whether it is for want of a network that npm said *output*."""
    return _OFFLINE.search(output) is not None


def failed(output: str, *, timed_out: bool) -> InstallFailed | DiskFull:
    """Return what is to be said of npm's *output* when it has failed."""
    if timed_out:
        return InstallFailed(
            f"npm did not finish within {DEADLINE_S:.0f} seconds.",
            next_step="Ask the person to run `npm install` in the workspace, then call again.",
        )
    if "ENOSPC" in output:
        return DiskFull(
            "There is no space left for the packages that npm installs.",
            next_step="Ask the person to free some space, then call again.",
        )
    if lacks_network(output):
        return InstallFailed(
            "npm could not reach its registry, and the packages are not in its cache.",
            next_step="Ask the person to connect to the network or to configure the registry, then call again.",
        )
    return InstallFailed(
        f"npm could not install the packages: {_essence(output)}",
        next_step="Correct the dependencies in package.json, then call again.",
    )


def _essence(output: str) -> str:
    lines = [re.sub(r"^npm (error|ERR!) ?", "", line).strip() for line in output.splitlines()]
    told = [line for line in lines if line and not line.startswith(("npm warn ", "code ", "A complete log", "/"))]
    return redact(" ".join(told))[:_ESSENCE] or "it did not say why."
