"""What is open to the outside besides ssh: its certificates, and the passwords of cameras."""

from functools import partial
from typing import Any

import pulumi

from clients.certificates import derived_password
from infra.buckets import StoreAccess
from infra.providers.certificates import InterfaceCertificatesProvider
from infra.providers.dynamic import ProvidedResource
from infra.settings.models import Settings
from worker.broker import CAMERA, CAMERAS_PORT, CERTIFICATE
from worker.web.tokens import bearer_token, page_key


class InterfaceCertificates(ProvidedResource, name="InterfaceCertificates"):
    """The stack's own authority, and the certificate of the machine's servers."""

    provider = InterfaceCertificatesProvider
    further_outputs = ("trusted",)
    secret_outputs = ("certificate", "authority")
    trusted: pulumi.Output[str]
    certificate: pulumi.Output[str]
    authority: pulumi.Output[str]


class Interfaces:
    """The ways into pipelines besides the object store.

    Attributes:
        credentials: Credential on the machine -> text.
        outputs: Those of the stack; tokens and passwords are secret.
    """

    def __init__(
        self, settings: Settings, address: pulumi.Output[str], access: StoreAccess
    ) -> None:
        wanted, rounds = settings.interfaces, settings.interfaces.rotation
        self.credentials: dict[str, pulumi.Input[str]] = {}
        self.outputs: dict[str, Any] = {}
        if wanted.web:
            for name, derive in (("uploadToken", bearer_token), ("pageKey", page_key)):
                made_of = partial(derive, token_round=rounds.upload_token)
                self.outputs[name] = pulumi.Output.secret(access.secret_key.apply(made_of))
        if not (wanted.upload or wanted.mqtt):
            return
        domain = wanted.upload.domain if wanted.upload else ""
        names = {"address": address, "domain": domain}
        made = InterfaceCertificates("interface-certificates", names)
        self.credentials[CERTIFICATE] = made.certificate
        self.credentials["interface-authority"] = made.trusted
        self.outputs["interfaceAuthority"] = made.trusted
        if wanted.upload:
            host = domain or address
            self.outputs["uploadUrl"] = pulumi.Output.concat("https://", host, "/upload")
        if not wanted.mqtt:
            return
        self.outputs["mqttAddress"] = pulumi.Output.concat(address, f":{CAMERAS_PORT}")
        cameras = self.outputs["cameras"] = {}
        for name, camera in wanted.cameras.items():
            purpose = f"camera {name} {rounds.cameras.get(name, 1)}"
            derive_it = partial(derived_password, purpose=purpose)
            password: pulumi.Output[str] = pulumi.Output.secret(made.authority.apply(derive_it))
            self.credentials[f"{CAMERA}{name}"] = password
            cameras[name] = {"pipeline": camera.pipeline, "password": password}
