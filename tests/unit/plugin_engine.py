"""The engine's side of the plugin protocol, over a real connection."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from pulumi.runtime.proto import provider_pb2 as pb
from pulumi.runtime.proto import provider_pb2_grpc

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}


def struct(values: dict[str, Any]) -> Struct:
    return ParseDict(values, Struct())


def secret(value: object) -> dict[str, object]:
    return {**SECRET, "value": value}


class Engine:
    """Speaks the protocol as the engine does."""

    def __init__(self, address: str) -> None:
        self.stub = provider_pb2_grpc.ResourceProviderStub(grpc.insecure_channel(address))

    def urn(self, token: str, name: str) -> str:
        return f"urn:pulumi:dev::test::my:Component${token}::{name}"

    def check(self, token: str, news: dict[str, Any], olds: dict[str, Any] | None = None) -> Any:
        return self.stub.Check(
            pb.CheckRequest(
                urn=self.urn(token, "it"),
                news=struct(news),
                olds=struct(olds or {}),
                randomSeed=b"seed",
            )
        )

    def diff(
        self,
        token: str,
        olds: dict[str, Any],
        news: dict[str, Any],
        outputs: dict[str, Any] | None = None,
    ) -> Any:
        return self.stub.Diff(
            pb.DiffRequest(
                urn=self.urn(token, "it"),
                old_inputs=struct(olds),
                olds=struct(outputs or {}),
                news=struct(news),
                id="x",
            )
        )

    def create(
        self, token: str, inputs: dict[str, Any], *, preview: bool = False
    ) -> tuple[str, dict[str, Any]]:
        request = pb.CreateRequest(
            urn=self.urn(token, "it"), properties=struct(inputs), preview=preview
        )
        made = self.stub.Create(request)
        return made.id, MessageToDict(made.properties)

    def update(
        self, token: str, identifier: str, outputs: dict[str, Any], news: dict[str, Any]
    ) -> dict[str, Any]:
        request = pb.UpdateRequest(
            urn=self.urn(token, "it"), id=identifier, olds=struct(outputs), news=struct(news)
        )
        updated: dict[str, Any] = MessageToDict(self.stub.Update(request).properties)
        return updated

    def read(self, token: str, identifier: str, inputs: dict[str, Any]) -> Any:
        return self.stub.Read(
            pb.ReadRequest(urn=self.urn(token, "it"), id=identifier, inputs=struct(inputs))
        )

    def delete(self, token: str, identifier: str) -> None:
        self.stub.Delete(pb.DeleteRequest(urn=self.urn(token, "it"), id=identifier))

    def refused(self, token: str, inputs: dict[str, Any]) -> str:
        with pytest.raises(grpc.RpcError) as caught:
            self.create(token, inputs)
        return str(caught.value.details())
