"""What Trove's task manager uses: the real Nova without volumes, and volumes without Cinder.

Named in trove.conf. A volume exists in Trove's own tables only.
"""

import uuid
from types import SimpleNamespace
from typing import Any

from cinderclient import exceptions
from trove.common import clients_admin
from trove.instance.models import DBInstance


class _Volumes:
    """Cinder's volumes, as far as Trove asks for them."""

    def __init__(self) -> None:
        self._made: dict[str, SimpleNamespace] = {}

    def create(self, size: int = 0, **_more: Any) -> SimpleNamespace:
        return self._keep(str(uuid.uuid4()), size)

    def get(self, identifier: str) -> SimpleNamespace:
        if identifier not in self._made:  # made before a restart
            self._keep(identifier, DBInstance.find_by(volume_id=identifier).volume_size)
        return self._made[identifier]

    def extend(self, identifier: str, size: int) -> None:
        self.get(identifier).size = size

    def delete(self, volume: Any) -> None:
        self._made.pop(getattr(volume, "id", volume), None)

    def list(self, *_filters: Any, **_more: Any) -> list[Any]:
        return []

    def _keep(self, identifier: str, size: int) -> SimpleNamespace:
        volume = SimpleNamespace(id=identifier, size=size, status="available", attachments=[])
        self._made[identifier] = volume
        return volume


class _Types:
    def list(self, *_filters: Any, **_more: Any) -> list[Any]:
        return []

    def get(self, _identifier: str) -> Any:
        raise exceptions.NotFound(404)


class _Servers:
    """Nova's, but no server has a volume."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def create(self, *arguments: Any, **more: Any) -> Any:
        return self._real.create(*arguments, **{**more, "block_device_mapping_v2": None})


class _Attachments:
    def __getattr__(self, _name: str) -> Any:
        return lambda *_arguments, **_more: None


class _Nova:
    def __init__(self, real: Any) -> None:
        self._real = real
        self.servers, self.volumes = _Servers(real.servers), _Attachments()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


_CINDER = SimpleNamespace(volumes=_Volumes(), volume_types=_Types())


def nova_client(*arguments: Any, **more: Any) -> _Nova:
    """In place of trove.common.clients_admin.nova_client_trove_admin."""
    return _Nova(clients_admin.nova_client_trove_admin(*arguments, **more))


def cinder_client(*_arguments: Any, **_more: Any) -> SimpleNamespace:
    """In place of trove.common.clients_admin.cinder_client_trove_admin."""
    return _CINDER
