"""The stack's outputs, typed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cli.errors import CommandError
from infra.names import FIRST_PIPELINE

#: What S3 clients sign for where the store has no regions.
_DEFAULT_REGION = "us-east-1"
#: The transform of stacks that a version without pipelines deployed.
_FIRST_TRANSFORM = "negate"


@dataclass(frozen=True)
class Pipeline:
    """A deployed pipeline.

    Attributes:
        name: Its name.
        transform: Its transform.
        input_bucket: Where uploads go.
        output_bucket: Where results are.
        output_key: Pattern of the results' keys, "" for the transform's default.
        sources: Pipelines whose results it reads.
        definition: Its keys in the settings, parameters as codes; {} if an older version deployed
            it.
    """

    name: str
    transform: str
    input_bucket: str
    output_bucket: str
    output_key: str = ""
    sources: tuple[str, ...] = ()
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outputs:
    """Pipelines and access to their buckets; `infra/outputs.py` exports them.

    Attributes:
        pipelines: By name.
        quarantine_bucket: The bucket of refused files, shared by all pipelines.
        archive_bucket: The bucket of kept inputs, "" if no pipeline keeps them.
        s3_endpoint: The store's URL.
        s3_region: What clients sign for.
        s3_access_key: The worker's access key.
        s3_secret_key: Its secret.
    """

    pipelines: Mapping[str, Pipeline]
    quarantine_bucket: str
    archive_bucket: str
    s3_endpoint: str
    s3_region: str
    s3_access_key: str
    s3_secret_key: str

    def pipeline(self, name: str | None) -> Pipeline:
        """Return the pipeline of that name, or the only one.

        Args:
            name: The value of --pipeline, None where it was not given.

        Raises:
            CommandError: There is no such pipeline, or there are several to choose from.
        """
        if name is not None:
            check_name(name, self.pipelines)
            return self.pipelines[name]
        if len(self.pipelines) > 1:
            raise CommandError(
                f"The stack has several pipelines ({', '.join(sorted(self.pipelines))}): name one "
                "with --pipeline NAME."
            )
        return next(iter(self.pipelines.values()))

    @property
    def buckets(self) -> list[str]:
        """All buckets of the stack, each once."""
        found = [
            bucket
            for each in self.pipelines.values()
            for bucket in (each.input_bucket, each.output_bucket)
        ]
        found += [self.quarantine_bucket, self.archive_bucket]
        return [bucket for bucket in dict.fromkeys(found) if bucket]


def read(values: Mapping[str, Any]) -> Outputs:
    """Return the outputs by name as typed ones.

    Raises:
        CommandError: One is missing.
    """
    try:
        return Outputs(
            _pipelines(values),
            values["quarantineBucket"],
            values.get("archiveBucket") or "",
            values["s3Endpoint"],
            values.get("s3Region") or _DEFAULT_REGION,
            values["s3AccessKey"],
            values["s3SecretKey"],
        )
    except KeyError as missing:
        raise CommandError(
            f"The stack has no output {missing}: the last 'up' has not completed, so run it again."
        ) from None


def on_loopback(values: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, Any]:
    """Return the outputs with the addresses that a machine on this computer really has.

    Args:
        values: The outputs by name; the program gives addresses of the cloud's network.
        ports: Of the machine's services.
    """
    real = {
        "mqttAddress": f"127.0.0.1:{ports.get('cameras')}",
        "uploadUrl": f"http://127.0.0.1:{ports.get('web')}/upload",
    }
    return {**values, **{name: real[name] for name in real if ports and name in values}}


def check_name(name: str, known: Iterable[str]) -> None:
    """Refuse the name of a pipeline that a stack does not have.

    Raises:
        CommandError: `name` is not among `known`.
    """
    names = sorted(known)
    if name not in names:
        raise CommandError(
            f"The stack has no pipeline '{name}': choose one of {', '.join(names)}; "
            "'pipelines list' shows what is not deployed yet."
        )


def _pipelines(values: Mapping[str, Any]) -> dict[str, Pipeline]:
    # A version without pipelines deployed one, and has no such output.
    deployed = values.get("pipelines") or {
        FIRST_PIPELINE: {
            "transform": _FIRST_TRANSFORM,
            "inputBucket": values["inputBucket"],
            "outputBucket": values["outputBucket"],
        }
    }
    return {
        name: Pipeline(
            name,
            each["transform"],
            each["inputBucket"],
            each["outputBucket"],
            each.get("outputKey") or "",
            tuple(each.get("from") or ()),
            each.get("definition") or {},
        )
        for name, each in deployed.items()
    }
