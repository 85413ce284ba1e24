"""Convex Auth's keys, held to what `jose` makes of them: the library with which Convex Auth signs."""

from __future__ import annotations

import json
import subprocess

from mcp_convex.sandboxes import find_node
from mcp_convex.services.auth_keys import new_pair
from tests.doubles.npm import installed

VERIFY = """
import { createLocalJWKSet, importPKCS8, jwtVerify, SignJWT } from "jose";
import { readFileSync } from "node:fs";
const { JWT_PRIVATE_KEY, JWKS } = JSON.parse(readFileSync(0, "utf8"));
const token = await new SignJWT({ sub: "someone|session" })
  .setProtectedHeader({ alg: "RS256" }).setIssuedAt().setIssuer("https://issuer.example")
  .setAudience("convex").setExpirationTime("1h").sign(await importPKCS8(JWT_PRIVATE_KEY, "RS256"));
const { payload } = await jwtVerify(token, createLocalJWKSet(JSON.parse(JWKS)), {
  issuer: "https://issuer.example", audience: "convex", algorithms: ["RS256"],
});
console.log(payload.sub);
"""


def opened() -> dict[str, str]:
    return {name: value.get_secret_value() for name, value in new_pair().items()}


def test_jose_signs_with_the_private_key_and_verifies_with_the_public_one():
    ran = subprocess.run(  # noqa: S603 - of this file
        [str(find_node().program), "--input-type=module", "-e", VERIFY],
        input=json.dumps(opened()),
        cwd=installed("jose@6.2.17"),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ("someone|session\n", "") == (ran.stdout, ran.stderr)


def test_the_pair_has_the_form_that_convex_auth_writes():
    pair = opened()

    assert pair["JWT_PRIVATE_KEY"].startswith("-----BEGIN PRIVATE KEY----- ")
    assert pair["JWT_PRIVATE_KEY"].endswith(" -----END PRIVATE KEY-----")
    assert "\n" not in pair["JWT_PRIVATE_KEY"]
    (key,) = json.loads(pair["JWKS"])["keys"]
    assert {"use", "kty", "n", "e"} == key.keys()
    assert ("sig", "RSA", "AQAB") == (key["use"], key["kty"], key["e"])
    assert all(len(value) < 8192 for value in pair.values())


def test_no_two_pairs_are_alike_and_none_prints_itself():
    first, second = new_pair(), new_pair()

    assert first != second
    assert "BEGIN" not in repr(first)
