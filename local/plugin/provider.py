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

from local.plugin import schema, values
from local.plugin.client import Client, CloudError, refusal
from local.plugin.computed import COMPUTED
from local.plugin.difference import changes, observed

ENGINES = {"version", "pluginDownloadURL"}
"""What the engine adds to a provider's configuration for itself."""
SECRET_OUTPUTS = {"secret", "privateKey", "adminPass"}
DEFAULT_NAME_DIGITS = 7


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Stateless: what exists, only the cloud knows."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._client = Client()

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        """The installed SDK's version, which is ours."""
        return plugin_pb2.PluginInfo(version=self._version)

    def Handshake(self, request: Any, context: Any) -> Any:
        """What we understand."""
        return provider_pb2.ProviderHandshakeResponse(
            accept_secrets=True, supports_autonaming_configuration=True
        )

    def GetSchema(self, request: Any, context: Any) -> Any:
        """Programs use the SDK; nobody generates one from the stand-in."""
        schema = {"name": "openstack", "version": self._version}
        return provider_pb2.GetSchemaResponse(schema=json.dumps(schema))

    def CheckConfig(self, request: Any, context: Any) -> Any:
        """Refuses every cloud but the local one."""
        news, secret = values.plain(request.news)
        # Numbers and booleans travel as JSON text here, so only the names are checked.
        failures = _failures(schema.PROVIDER, dict.fromkeys({*news} - ENGINES, values.UNKNOWN))
        if (why := refusal(news.get("cloud"))) and news.get("cloud") != values.UNKNOWN:
            failures = [provider_pb2.CheckFailure(property="cloud", reason=why)]
        return provider_pb2.CheckResponse(inputs=values.sealed(news, secret), failures=failures)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        """There is one local cloud, so nothing in the configuration replaces resources."""
        different = values.plain(request.old_inputs)[0] != values.plain(request.news)[0]
        response = provider_pb2.DiffResponse
        return response(changes=response.DIFF_SOME if different else response.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        """Nothing to keep; the daemon is found when it is first needed."""
        arguments, _ = values.plain(request.args)
        cloud = arguments.get("cloud")
        if cloud != values.UNKNOWN and (why := refusal(cloud)):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
        return provider_pb2.ConfigureResponse(
            acceptSecrets=True,
            supportsPreview=True,
            acceptResources=False,
            acceptOutputs=False,
            supports_autonaming_configuration=True,
        )

    def Check(self, request: Any, context: Any) -> Any:
        """Properties as the SDK declares them; a missing name is made from the resource's."""
        token = _type(request.urn)
        news, secret = values.plain(request.news)
        failures = _failures(token, news)
        if not failures and not news.get("name") and _takes_name(token):
            olds, _ = values.plain(request.olds)
            news["name"] = olds.get("name") or _default_name(request)
        return provider_pb2.CheckResponse(inputs=values.sealed(news, secret), failures=failures)

    def Diff(self, request: Any, context: Any) -> Any:
        """What differs, and whether that needs a new resource."""
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
        """Make it; at preview only say what it would have."""
        token = _type(request.urn)
        inputs, secret = values.plain(request.properties)
        if request.preview:
            coming = dict.fromkeys(COMPUTED.get(token, ()), values.UNKNOWN)
            return provider_pb2.CreateResponse(
                properties=values.sealed({**coming, **inputs}, secret | SECRET_OUTPUTS & {*coming})
            )
        with _refusals(context):
            identifier, outputs = self._client.create(token, inputs)
        return provider_pb2.CreateResponse(
            id=identifier, properties=values.sealed(outputs, secret | SECRET_OUTPUTS)
        )

    def Read(self, request: Any, context: Any) -> Any:
        """What the cloud has now; an empty answer tells that it is gone."""
        inputs, secret = values.plain(request.inputs)
        _, more = values.plain(request.properties)
        token = _type(request.urn)
        with _refusals(context):
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
        """Change it in place; at preview only say what it would have."""
        olds, old_secret = values.plain(request.olds)
        news, secret = values.plain(request.news)
        outputs = {**olds, **news}
        if not request.preview:
            with _refusals(context):
                outputs = self._client.update(_type(request.urn), request.id, news)
        hidden = secret | (old_secret - {*news}) | SECRET_OUTPUTS
        return provider_pb2.UpdateResponse(properties=values.sealed(outputs, hidden))

    def Delete(self, request: Any, context: Any) -> Any:
        """Remove it and wait."""
        with _refusals(context):
            self._client.delete(_type(request.urn), request.id)
        return Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        """No functions: the program asks the cloud through openstacksdk."""
        why = f"The local cloud's provider openstack has no function {request.tok}."
        failure = provider_pb2.CheckFailure(reason=why)
        return provider_pb2.InvokeResponse(failures=[failure])

    def Cancel(self, request: Any, context: Any) -> Any:
        """Every call is short; there is nothing to stop."""
        return Empty()


def _type(urn: str) -> str:
    """The resource's type, without those of the components it is in."""
    return urn.split("::")[2].rsplit("$", maxsplit=1)[-1]


def _failures(token: str, inputs: Mapping[str, Any]) -> list[Any]:
    return [
        provider_pb2.CheckFailure(property=failure.property, reason=failure.reason)
        for failure in schema.failures(token, inputs)
    ]


def _takes_name(token: str) -> bool:
    owner = schema.arguments(token)
    return owner is not None and "name" in schema.properties(owner)


def _default_name(request: Any) -> str:
    """As the real provider: the resource's name and some random digits, or what is proposed."""
    if request.autonaming.proposed_name:
        return str(request.autonaming.proposed_name)
    logical = request.urn.split("::")[-1]
    seed = bytes(request.randomSeed) or request.urn.encode()
    return f"{logical}-{hashlib.sha256(seed).hexdigest()[:DEFAULT_NAME_DIGITS]}"


@contextlib.contextmanager
def _refusals(context: Any) -> Iterator[None]:
    """What the cloud refuses becomes the resource's error, in its one sentence."""
    try:
        yield
    except CloudError as error:
        context.abort(grpc.StatusCode.UNKNOWN, str(error))
