# ruff: noqa: N802 - the protocol names the methods
"""The provider `openstack` as the engine sees it, for the local cloud.

The protocol: https://github.com/pulumi/pulumi/blob/master/proto/pulumi/provider.proto
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from local.errors import CloudRequestFailed
from local.plugin import schema, values
from local.plugin.client import Client, check_cloud
from local.plugin.properties import COMPUTED, changes, observed

ENGINE_KEYS = {"version", "pluginDownloadURL"}
"""The keys of a provider's configuration that are the engine's own."""
SECRET_OUTPUTS = {"secret", "privateKey", "adminPass"}
DEFAULT_NAME_DIGITS = 7


class OpenStackProvider(provider_pb2_grpc.ResourceProviderServicer):
    """The stand-in for the real provider; it has no state, which is all in the cloud."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._client = Client()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """Return the version, which is the installed SDK's."""
        return plugin_pb2.PluginInfo(version=self._version)

    def Handshake(self, request: Any, context: Any) -> Any:
        """Return the features of the protocol that are supported."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Return an empty schema: programs use the real provider's SDK."""
        schema = {"name": "openstack", "version": self._version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Refuse every cloud but the local one, and unknown keys."""
        news, secret = values.plain(request.news)
        # Numbers and booleans travel as JSON text here, so only the names are checked.
        failures = _failures(schema.PROVIDER, dict.fromkeys({*news} - ENGINE_KEYS, values.UNKNOWN))
        if (why := check_cloud(news.get("cloud"))) and news.get("cloud") != values.UNKNOWN:
            failures = [provider_pb2.CheckFailure(property="cloud", reason=why)]
        return provider_pb2.CheckResponse(inputs=values.sealed(news, secret), failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """Compare configurations; none replaces resources, as there is one local cloud."""
        different = values.plain(request.old_inputs)[0] != values.plain(request.news)[0]
        response = provider_pb2.DiffResponse
        return response(changes=response.DIFF_SOME if different else response.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Refuse every cloud but the local one; its address is looked up at the first request."""
        arguments, _ = values.plain(request.args)
        cloud = arguments.get("cloud")
        if cloud != values.UNKNOWN and (why := check_cloud(cloud)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=False,
            acceptOutputs=False,
            supports_autonaming_configuration=True,
        )

    def Check(self, request: Any, context: Any) -> Any:
        """Check properties against the SDK; a missing name is made of the resource's."""
        token = _type(request.urn)
        news, secret = values.plain(request.news)
        failures = _failures(token, news)
        if not failures and not news.get("name") and _has_name(token):
            olds, _ = values.plain(request.olds)
            news["name"] = olds.get("name") or _default_name(request)
        return provider_pb2.CheckResponse(inputs=values.sealed(news, secret), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """Return which properties differ, and which of them need a new resource."""
        token = _type(request.urn)
        outputs = values.plain(request.olds)[0]
        olds = observed(token, values.plain(request.old_inputs)[0], outputs)
        found = changes(token, olds, values.plain(request.news)[0])
        kinds = provider_pb2.PropertyDiff.Kind
        response = provider_pb2.DiffResponse
        return response(
            changes=response.DIFF_SOME if found else response.DIFF_NONE,
            diffs=[change.name for change in found],
            replaces=[change.name for change in found if change.replaces],
            hasDetailedDiff=True,
            detailedDiff={
                change.name: provider_pb2.PropertyDiff(
                    kind=kinds.Value(f"{change.kind}_REPLACE" if change.replaces else change.kind),
                    inputDiff=True,
                )
                for change in found
            },
        )

    def Create(self, request: Any, context: Any) -> Any:
        """Create a resource; at preview, only return what it would have."""
        token = _type(request.urn)
        inputs, secret = values.plain(request.properties)
        if request.preview:
            unknown = dict.fromkeys(COMPUTED.get(token, ()), values.UNKNOWN)
            secret |= SECRET_OUTPUTS & {*unknown}
            return provider_pb2.CreateResponse(
                properties=values.sealed({**unknown, **inputs}, secret)
            )
        with _failing(context):
            identifier, outputs = self._client.create(token, inputs)
        return provider_pb2.CreateResponse(
            id=identifier, properties=values.sealed(outputs, secret | SECRET_OUTPUTS)
        )

    def Read(self, request: Any, context: Any) -> Any:
        """Return what the cloud has; an empty response means that the resource is gone."""
        inputs, secret = values.plain(request.inputs)
        _, more = values.plain(request.properties)
        token = _type(request.urn)
        with _failing(context):
            found = self._client.read(token, request.id)
        if found is None:
            return provider_pb2.ReadResponse()
        return provider_pb2.ReadResponse(
            id=request.id,
            inputs=values.sealed(
                observed(token, inputs or found["inputs"], found["outputs"]), secret
            ),
            properties=values.sealed(
                {**inputs, **found["outputs"]}, secret | more | SECRET_OUTPUTS
            ),
        )

    def Update(self, request: Any, context: Any) -> Any:
        """Change a resource in place; at preview, only return what it would have."""
        olds, old_secret = values.plain(request.olds)
        news, secret = values.plain(request.news)
        outputs = {**olds, **news}
        if not request.preview:
            with _failing(context):
                outputs = self._client.update(_type(request.urn), request.id, news)
        hidden = secret | (old_secret - {*news}) | SECRET_OUTPUTS
        return provider_pb2.UpdateResponse(properties=values.sealed(outputs, hidden))

    def Delete(self, request: Any, context: Any) -> Any:
        """Delete a resource; returns when it is gone."""
        with _failing(context):
            self._client.delete(_type(request.urn), request.id)
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """Refuse every function: the program looks things up through openstacksdk."""
        why = f"The local cloud's provider openstack has no function {request.tok}."
        failure = provider_pb2.CheckFailure(reason=why)
        return provider_pb2.InvokeResponse(failures=[failure])

    def Cancel(self, request: Any, context: Any) -> Any:
        """Do nothing: every call is short."""
        return Empty()


def _type(urn: str) -> str:
    """The resource's type, without the types of the components that it is in."""
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def _failures(token: str, inputs: Mapping[str, Any]) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
        for failure in schema.failures(token, inputs)
    ]


def _has_name(token: str) -> bool:
    owner = schema.arguments(token)
    return owner is not None and "name" in schema.properties(owner)


def _default_name(request: Any) -> str:
    """The proposed name, or, as the real provider has it, the logical one and random digits."""
    if request.autonaming.proposed_name:
        return str(request.autonaming.proposed_name)
    logical = request.urn.split("::")[-1]
    seed = bytes(request.randomSeed) or request.urn.encode()
    return f"{logical}-{hashlib.sha256(seed).hexdigest()[:DEFAULT_NAME_DIGITS]}"


@contextlib.contextmanager
def _failing(context: Any) -> Iterator[None]:
    """Turn what the cloud refuses into the resource's error."""
    try:
        yield
    except CloudRequestFailed as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
