"""Recorded bodies, held to the types that Convex generates from its own API."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.doubles.npm import installed
from tests.doubles.projects import installed_packages
from tests.doubles.recording import Api, Part

OPERATIONS: Mapping[tuple[Api, str], str] = {
    ("management", "token_details"): "get token details",
    ("management", "list_projects"): "list projects",
    ("management", "get_project_by_slug"): "get project by slug",
    ("management", "create_project"): "create project",
    ("management", "create_access_token"): "create team access token",
    ("management", "delete_access_token"): "delete team access token",
    ("management", "list_access_tokens"): "list team access tokens",
    ("management", "get_project"): "get project by id",
    ("management", "list_deployments"): "list deployments",
    ("management", "find_deployment"): "get deployment in project by project id",
    ("management", "create_deployment"): "create deployment",
    ("management", "get_deployment"): "platform_get_deployment",
    ("management", "create_deploy_key"): "create deploy key",
    ("management", "list_deploy_keys"): "list deploy keys",
    ("management", "delete_deploy_key"): "delete deploy key",
    ("deployment", "deployment_info"): "get deployment info",
    ("deployment", "get_canonical_urls"): "get_canonical_urls",
    ("deployment", "list_environment_variables"): "list_environment_variables",
    ("deployment", "update_environment_variables"): "update_environment_variables",
}
"""What the generated types call each step. What is not here is no part of Convex's published API."""
MADE = {"create_access_token": 201}
LOCAL = {
    "request": '["requestBody"]["content"]["application/json"]',
    "query": '["parameters"]["query"]',
    "response": '["responses"][{status}]["content"]["application/json"]',
}
HEAD = """\
import type { operations as management } from "@convex-dev/platform/managementApi";
import type { operations as deployment } from "@convex-dev/platform/deploymentApi";
"""


def declared(recorded: Mapping[tuple[Api, str, Part], set[str]]) -> Iterator[str]:
    """Yield each body as TypeScript that compiles only where it fits: no field is missing, wrong or too many."""
    number = 0
    for (api, step, part), bodies in sorted(recorded.items()):
        if (api, step) not in OPERATIONS:
            continue
        of = LOCAL[part].format(status=MADE.get(step, 200))
        for body in sorted(bodies):
            number += 1
            yield f'export const b{number}: {api}["{OPERATIONS[api, step]}"]{of} = {body};'


def checked(folder: Path, recorded: Mapping[tuple[Api, str, Part], set[str]]) -> str:
    """Return what the TypeScript compiler has to say of the *recorded* bodies; nothing where all fit."""
    folder.mkdir()
    (folder / "node_modules").symlink_to(installed("@convex-dev/platform@0.1.10") / "node_modules")
    (folder / "shapes.ts").write_text(HEAD + "\n".join(declared(recorded)))
    options = {"strict": True, "noEmit": True, "module": "ESNext", "moduleResolution": "Bundler", "types": []}
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options, "files": ["shapes.ts"]}))
    compiler = installed_packages() / "node_modules" / "typescript" / "bin" / "tsc"
    command = ["node", str(compiler), "-p", str(folder), "--pretty", "false"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)  # noqa: S603
    return done.stdout + done.stderr
