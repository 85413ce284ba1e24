"""Which deployment a workspace works with: the linked one, else the embedded one. Production is refused here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from mcp_convex.domain.connections import ConnectionId
from mcp_convex.domain.deployment_urls import deployment_origin
from mcp_convex.domain.errors import CredentialRejected, NotFound
from mcp_convex.domain.models import DeploymentInfo, PrincipalId, Target, WorkspaceId
from mcp_convex.domain.policy import Policy
from mcp_convex.domain.ports import DeploymentApi, EmbeddedDeployments, Reach, TargetStore
from mcp_convex.domain.secrets import AdminKeyValue, is_for_production

_CLOUD_HOSTS = ".convex.cloud"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetPorts:
    """What finding the target needs of the outside."""

    store: TargetStore
    embedded: EmbeddedDeployments
    api: DeploymentApi


class TargetService:
    def __init__(self, ports: TargetPorts, policy: Policy, *, owner: tuple[PrincipalId, WorkspaceId]) -> None:
        self._ports = ports
        self._policy = policy
        self._principal, self._workspace = owner
        self._site_urls: dict[str, str] = {}

    async def reach(self) -> Reach:
        """
        Return the workspace's deployment, as far as this server may act on it at all.

        Raises:
            BlockedByPolicy: The record, the key's prefix or the deployment itself says that it is production.
        """
        linked = await self._ports.store.get(self._principal, self._workspace)
        if linked is None:
            return await self._ports.embedded.ensure(self._workspace)
        return await self._with_site_url(await self._admitted(linked))

    async def changeable(self) -> Reach:
        """
        Return the workspace's deployment, as far as this server may change it.

        Raises:
            BlockedByPolicy: It may not be changed, or not even be read.
        """
        reach = await self.reach()
        self._policy.check_write(reach.target)
        return reach

    async def linked(self) -> Target | None:
        """Return the deployment that the workspace is linked to, as stored; None where the embedded one serves."""
        found = await self._ports.store.get(self._principal, self._workspace)
        return None if found is None else found.target

    async def project(self) -> str | None:
        """Return the project of the workspace's deployment, as that tells it; None where it has none."""
        linked = await self.linked()
        return None if linked is None else (await self._info(await self.reach())).project

    async def link(self, url: str, credential: AdminKeyValue) -> Target:
        """
        Make the deployment at *url* the workspace's target, once it has accepted *credential*.

        Raises:
            InvalidArguments: *url* is not a deployment's.
            CredentialRejected: The deployment does not accept the key. Nothing was stored.
            BlockedByPolicy: It is a production deployment. Nothing was stored.
        """
        origin = deployment_origin(url)
        target = Target(kind="self_hosted", name=urlsplit(origin).netloc, url=origin)
        self._check(Reach(target, credential))
        _, site_url = await self._ports.api.canonical_urls(Reach(target, credential))
        reach = await self._admitted(Reach(target.model_copy(update={"site_url": site_url}), credential))
        await self._ports.store.put(self._principal, self._workspace, reach)
        return reach.target

    async def take(self, reach: Reach, connection: ConnectionId) -> Target:
        """
        Make a deployment that *connection* opens the workspace's target, once it has said what it is.

        Raises:
            BlockedByPolicy: It is a production deployment. Nothing was stored.
        """
        admitted = await self._with_site_url(await self._admitted(reach))
        await self._ports.store.put(self._principal, self._workspace, admitted, connection=connection)
        return admitted.target

    async def take_new(self, reach: Reach, connection: ConnectionId) -> Target:
        """
        Make a deployment that this server has just created the workspace's target.

        It is not asked what it is: that is known, it may not answer yet, and `reach` asks it each time.

        Raises:
            BlockedByPolicy: It is a production deployment. Nothing was stored.
        """
        self._check(reach)
        await self._ports.store.put(self._principal, self._workspace, reach, connection=connection)
        return reach.target

    async def unlink(self) -> bool:
        """Forget the linked deployment and its key; say whether there was one."""
        return await self._ports.store.delete(self._principal, self._workspace)

    def check_key(self, key: AdminKeyValue) -> None:
        """
        Make sure that the server may use *key*, as far as its own prefix tells.

        Raises:
            BlockedByPolicy: It is for production, which the operator has not enabled.
        """
        if is_for_production(key):
            self._policy.check_production("The key")

    async def _admitted(self, reach: Reach) -> Reach:
        """Return *reach* with what the deployment says of itself, unless that or what is known forbids it."""
        self._check(reach)
        admitted = Reach(_described(reach.target, await self._info(reach)), reach.credential)
        self._check(admitted)
        return admitted

    def _check(self, reach: Reach) -> None:
        self.check_key(reach.credential)
        self._policy.check_read(reach.target)

    async def _with_site_url(self, reach: Reach) -> Reach:
        """Return *reach* with the URL of its HTTP actions, which Convex does not tell when it makes a deployment."""
        target = reach.target
        if target.kind != "cloud" or target.site_url:
            return reach
        if target.url not in self._site_urls:
            _, self._site_urls[target.url] = await self._ports.api.canonical_urls(reach)
        return Reach(target.model_copy(update={"site_url": self._site_urls[target.url]}), reach.credential)

    async def _info(self, reach: Reach) -> DeploymentInfo:
        try:
            return await self._ports.api.info(reach)
        except NotFound:
            if _is_in_cloud(reach.target):
                raise
            # Self-hosted, and older than the question.
            return DeploymentInfo(kind="selfHosted")
        except CredentialRejected:
            if reach.target.kind != "cloud":
                raise
            raise CredentialRejected(
                f"`{reach.target.name}` does not accept its stored key any more: it was deleted or revoked.",
                next_step="Call `list_projects`, which tells whether the connection stands; then `link_project` again.",
            ) from None


def _described(target: Target, info: DeploymentInfo) -> Target:
    if info.kind != "cloud":
        return target
    name = target.name if target.kind == "cloud" or not _is_in_cloud(target) else _host(target).partition(".")[0]
    type_ = "prod" if target.type == "prod" else info.deployment_type
    return target.model_copy(update={"kind": "cloud", "type": type_, "name": name})


def _is_in_cloud(target: Target) -> bool:
    return target.kind == "cloud" or _host(target).endswith(_CLOUD_HOSTS)


def _host(target: Target) -> str:
    return urlsplit(target.url).hostname or ""
