"""Our dynamic providers in the process the engine starts for them (`python -m pulumi.dynamic`)."""

import base64
import importlib
import os
import pickletools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.dynamic.dynamic import PROVIDER_KEY, serialize_provider
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.providers.buckets import (
    BucketAdoptionProvider,
    BucketClaimProvider,
    BucketContentsProvider,
)
from infra.providers.database import TroveInstanceProvider, TroveReadyProvider
from infra.providers.dynamic import Provider
from tests.unit.program import CHECKOUT

PROVIDERS = [
    BucketClaimProvider,
    BucketAdoptionProvider,
    BucketContentsProvider,
    TroveInstanceProvider,
    TroveReadyProvider,
]
NOWHERE = {
    "endpoint": "http://127.0.0.1:9",
    "store_region": "",
    "access_key": "a",
    "secret_key": "b",
    "bucket": "x-1",
}


@pytest.fixture(scope="module")
def served() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-u", "-m", "pulumi.dynamic"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.kill()


def create(
    served: provider_pb2_grpc.ResourceProviderStub, provider: Provider, props: dict[str, Any]
) -> str:
    """Request a resource that cannot be created; return the message that the engine gets."""
    properties = struct_pb2.Struct()
    properties.update({**props, PROVIDER_KEY: serialize_provider(provider)})
    with pytest.raises(grpc.RpcError) as refusal:
        served.Create(provider_pb2.CreateRequest(properties=properties))
    return str(refusal.value.details())


def test_error_reaches_the_engine_as_its_message(
    served: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    message = create(served, BucketClaimProvider(), NOWHERE)
    assert message.startswith("The object store cannot be queried for bucket x-1")
    assert "Traceback" not in message


def test_programming_error_keeps_its_traceback(
    served: provider_pb2_grpc.ResourceProviderStub,
) -> None:
    message = create(served, BucketClaimProvider(), {"bucket": "x-1"})
    assert "Traceback" in message
    assert "KeyError" in message


@pytest.mark.parametrize("provider", PROVIDERS)
def test_state_contains_a_class_name_and_no_code(provider: type[Provider]) -> None:
    """Two runs write the same bytes, which say where the class is and nothing else."""
    pickled = serialize_provider(provider())
    assert pickled == serialize_provider(provider())
    strings = [
        argument
        for opcode, argument, _ in pickletools.genops(base64.b64decode(pickled))
        if "UNICODE" in opcode.name
    ]
    assert strings == [provider.__module__, provider.__name__]


#: Module and class of each dynamic provider, as the states deployed by commit 29b3431 name them.
DEPLOYED = [
    ("infra.bucket_providers", "BucketClaimProvider"),
    ("infra.bucket_providers", "BucketAdoptionProvider"),
    ("infra.bucket_providers", "BucketContentsProvider"),
    ("infra.bucket_providers", "WorkerArchiveProvider"),
    ("infra.trove.providers", "TroveInstanceProvider"),
    ("infra.trove.providers", "TroveReadyProvider"),
]


@pytest.mark.parametrize(("module", "name"), DEPLOYED)
def test_providers_of_deployed_states_can_be_loaded(module: str, name: str) -> None:
    assert issubclass(getattr(importlib.import_module(module), name), Provider)


HEAVY = ("openstack", "keystoneauth1", "boto3", "botocore", "pulumi_openstack", "pulumi_aws")


def test_provider_modules_are_light() -> None:
    code = (
        "import sys, infra.providers.buckets, infra.providers.database;"
        f" print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    loaded = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
