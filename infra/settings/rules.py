"""What settings must have in common: rules that name more than one of them."""

from collections.abc import Iterator, Mapping

from infra.settings import structured
from infra.settings.pipelines import Pipeline, chosen_buckets, shared_buckets


def violations(values: Mapping[str, str], pipelines: Mapping[str, Pipeline]) -> Iterator[str]:
    """Yield a sentence for each rule that is broken; the values themselves may be invalid too."""
    texts = {name: value.strip() for name, value in values.items()}
    if not texts["databaseCloud"] and texts["database"] != "existing":
        yield "databaseCloud is missing: set it to the name of an entry in your clouds.yaml."
    yield from _store(texts)
    yield from _buckets(texts, pipelines)
    yield from _database(texts)
    if texts["operatorCidrs"] in ("", "[]"):
        yield (
            "operatorCidrs is missing: list the addresses that may log in, for example"
            " [192.0.2.7/32], since log and status run over ssh."
        )


def _store(texts: Mapping[str, str]) -> Iterator[str]:
    needed = {
        "objectStoreEndpoint": "the S3 store's address, https://host",
        "s3AccessKey": "the store's access key, with `--secret`",
        "s3SecretKey": "the store's secret key, with `--secret`",
    }
    if texts["objectStore"] == "aws":
        needed["objectStoreRegion"] = "the region of the buckets, for example eu-north-1"
    if texts["objectStore"] in ("aws", "existing"):
        for name, what in needed.items():
            if not texts[name]:
                yield f"{name} is missing: set it to {what}."
    elif bool(texts["s3AccessKey"]) != bool(texts["s3SecretKey"]):
        missing = "s3SecretKey" if texts["s3AccessKey"] else "s3AccessKey"
        yield (
            f"{missing} is missing though its other half is set: set both, or neither so that keys"
            " are made."
        )


def _buckets(texts: Mapping[str, str], pipelines: Mapping[str, Pipeline]) -> Iterator[str]:
    chosen = {"quarantineBucket": texts["quarantineBucket"], **chosen_buckets(pipelines)}
    for path, bucket in chosen.items():
        if texts["objectStore"] == "existing" and not bucket:
            yield f"{path} is missing: objectStore is existing, so name a bucket you have."
    yield from shared_buckets(chosen)
    adopted, deleted = map(structured.parse, (texts["adoptBuckets"], texts["deletePipelineData"]))
    for item in adopted if isinstance(adopted, list) else ():
        if item not in chosen.values():
            yield (
                f"adoptBuckets has {item!r}, which is not a bucket of this stack: set inputBucket"
                " or outputBucket of a pipeline, or quarantineBucket, to it, or remove it."
            )
    for name in pipelines:
        if isinstance(deleted, list) and name in deleted:
            yield (
                f"deletePipelineData has {name!r}, which is a pipeline of this stack: remove it"
                " from one of the two."
            )


def _database(texts: Mapping[str, str]) -> Iterator[str]:
    mode = texts["databaseSslMode"]
    if mode.startswith("verify-") and not texts["databaseSslRootCert"]:
        yield (
            "databaseSslRootCert is missing: set it to a certificate's path, since sslmode is"
            f" {mode}."
        )
    for part in ("Ssl", "AdminSsl"):
        certificate, key = f"database{part}Cert", f"database{part}Key"
        if bool(texts[certificate]) != bool(texts[key]):
            yield f"{certificate} and {key} go together: set both, or neither."
    yield from _client_certificates(texts)
    admin = texts["databaseAdmin"]
    if texts["database"] == "existing" and admin and admin == texts["databaseUser"]:
        yield (
            f"databaseAdmin and databaseUser are both {admin!r}: the worker must not own the"
            " tables, so make it a user of its own."
        )


def _client_certificates(texts: Mapping[str, str]) -> Iterator[str]:
    makes, given = texts["databaseClientCertificates"] == "true", bool(texts["databaseSslCert"])
    is_existing, mode = texts["database"] == "existing", texts["databaseSslMode"]
    if makes and given:
        yield "databaseClientCertificates is true and databaseSslCert is set: choose one of them."
    if makes and not is_existing:
        yield (
            "databaseClientCertificates is true, but the database service supports no client"
            " certificates: set it to false, or database to existing."
        )
    if texts["databaseAdminSslCert"] and not given:
        yield "databaseSslCert is missing: set it too, since databaseAdminSslCert is set."
    if (makes or given) and mode in ("disable", "allow", "prefer"):
        yield (
            f"databaseSslMode is {mode!r}, which may connect without TLS, and client certificates"
            " need it: set it to require, verify-ca or verify-full."
        )
    for user in ("databaseAdmin", "databaseUser"):
        if is_existing and not (makes or given or texts[f"{user}Password"]):
            yield f"{user}Password is missing: set it to the password of {user}, with `--secret`."
