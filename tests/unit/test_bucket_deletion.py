"""Which buckets are purged: those of pipelines that the stack's configuration has."""

import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from pulumi.dynamic import Config, ConfigureRequest

from clients import s3
from clients.errors import StoreError
from infra.names import PROJECT
from infra.providers.buckets import BucketContentsProvider
from tests.unit.test_bucket_providers import filled_with_old_versions, stores

__all__ = ["stores"]
COPY = {"transform": "copy"}


@pytest.fixture(autouse=True)
def _traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers replace this function in their process, which here is the tests'."""
    monkeypatch.setattr(traceback, "format_exc", traceback.format_exc)


@pytest.fixture(params=["moto", "rclone"])
def filled(
    request: pytest.FixtureRequest, stores: dict[str, dict[str, str]]
) -> Iterator[dict[str, str]]:
    """Inputs for a bucket of a store with versions, or without, that holds two objects."""
    props = {**stores[request.param], "bucket": "holds-data"}
    client = s3.client(props)
    client.create_bucket(Bucket="holds-data")
    for key in ("a/cat.jpg", "dog.jpg"):
        client.put_object(Bucket="holds-data", Key=key, Body=b"only copy")
    yield props
    s3.purge(client, "holds-data")
    client.delete_bucket(Bucket="holds-data")


def provider(**settings: object) -> BucketContentsProvider:
    """A provider of a stack with these settings, as the engine hands them over."""
    texts = {f"{PROJECT}:{name}": json.dumps(value) for name, value in settings.items()}
    made = BucketContentsProvider()
    made.configure(ConfigureRequest(config=Config(texts, PROJECT)))
    return made


def keys(props: dict[str, str]) -> list[str]:
    page = s3.client(props).list_objects_v2(Bucket=props["bucket"])
    return [each["Key"] for each in page.get("Contents", ())]


def delete(made: BucketContentsProvider, props: dict[str, Any]) -> None:
    made.delete(props["bucket"], props)


def refusal(made: BucketContentsProvider, props: dict[str, Any]) -> str:
    """Delete contents, which must be refused without any change; return the sentence."""
    before = keys(props)
    with pytest.raises(StoreError) as refused:
        delete(made, props)
    assert keys(props) == before
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_contents_of_a_pipeline_are_purged(filled: dict[str, str]) -> None:
    """At `destroy`, whose configuration still has the pipeline."""
    made = provider(pipelines={"thumbs": COPY})
    delete(made, {**filled, "pipeline": "thumbs"})
    assert keys(filled) == []


@pytest.mark.parametrize("settings", [{"pipelines": {"negatives": COPY}}, {}, {"pipelines": {}}])
def test_contents_of_a_removed_pipeline_are_kept(
    filled: dict[str, str], settings: dict[str, object]
) -> None:
    sentence = refusal(provider(**settings), {**filled, "pipeline": "thumbs"})
    assert "Bucket holds-data holds data (2 objects" in sentence
    assert "its pipeline thumbs is no longer in the settings" in sentence
    assert "`./pipeline pipelines delete thumbs --data` and `up`" in sentence


def test_provider_without_a_configuration_keeps_contents(filled: dict[str, str]) -> None:
    refusal(BucketContentsProvider(), {**filled, "pipeline": "thumbs"})


def test_empty_or_absent_bucket_of_a_removed_pipeline_may_go(
    stores: dict[str, dict[str, str]],
) -> None:
    made = provider(pipelines={"negatives": COPY})
    for store in stores.values():
        props = {**store, "bucket": "empty-one", "pipeline": "thumbs"}
        delete(made, props)
        s3.client(store).create_bucket(Bucket="empty-one")
        delete(made, props)
        s3.client(store).delete_bucket(Bucket="empty-one")


def test_object_that_arrives_after_a_look_is_kept(stores: dict[str, dict[str, str]]) -> None:
    """An empty bucket is asked again at each deletion."""
    made = provider(pipelines={"negatives": COPY})
    for store in stores.values():
        props = {**store, "bucket": "late-one", "pipeline": "thumbs"}
        client = s3.client(store)
        client.create_bucket(Bucket="late-one")
        delete(made, props)
        client.put_object(Bucket="late-one", Key="late.jpg", Body=b"only copy")
        refusal(made, props)
        body = client.get_object(Bucket="late-one", Key="late.jpg")["Body"].read()
        assert body == b"only copy"


def test_old_versions_are_data_too(stores: dict[str, dict[str, str]]) -> None:
    client = filled_with_old_versions(stores["moto"], "only-versions")
    props = {**stores["moto"], "bucket": "only-versions", "pipeline": "thumbs"}
    assert keys(props) == []
    before = s3.old_versions(client, "only-versions")
    refusal(provider(pipelines={"negatives": COPY}), props)
    assert s3.old_versions(client, "only-versions") == before


def test_data_that_were_given_up_are_purged(filled: dict[str, str]) -> None:
    settings = {"pipelines": {"negatives": COPY}, "deletePipelineData": ["other", "thumbs"]}
    refusal(provider(**settings), {**filled, "pipeline": "late"})
    delete(provider(**settings), {**filled, "pipeline": "thumbs"})
    assert keys(filled) == []


def test_states_of_older_versions_are_of_negatives(filled: dict[str, str]) -> None:
    refusal(provider(pipelines={"thumbs": COPY}), filled)
    delete(provider(), filled)  # the stack sets no pipelines
    assert keys(filled) == []
    s3.client(filled).put_object(Bucket="holds-data", Key="again.jpg", Body=b"x")
    delete(provider(pipelines={"negatives": COPY, "thumbs": COPY}), filled)
    assert keys(filled) == []


def test_shared_bucket_is_purged_with_the_stack(filled: dict[str, str]) -> None:
    delete(provider(pipelines={"thumbs": COPY}), {**filled, "pipeline": ""})
    assert keys(filled) == []


def test_archive_is_purged_only_while_inputs_are_kept(filled: dict[str, str]) -> None:
    props = {**filled, "pipeline": "keepInputs"}
    sentence = refusal(provider(pipelines={"thumbs": COPY}), props)
    assert "no pipeline keeps inputs now: set keepInputs again, or empty it." in sentence
    delete(provider(pipelines={"thumbs": {**COPY, "keepInputs": True}}), props)
    assert keys(filled) == []


def test_malformed_settings_purge_nothing(filled: dict[str, str]) -> None:
    made = BucketContentsProvider()
    texts = {f"{PROJECT}:pipelines": "{thumbs", f"{PROJECT}:deletePipelineData": '"thumbs"'}
    made.configure(ConfigureRequest(config=Config(texts, PROJECT)))
    refusal(made, {**filled, "pipeline": "thumbs"})


def test_update_turns_versions_on(stores: dict[str, dict[str, str]]) -> None:
    """An output bucket gets its first reader, or an older version made it."""
    seen = {}
    for kind, store in stores.items():
        client = s3.client(store)
        client.create_bucket(Bucket="gets-reader")
        olds = {**store, "bucket": "gets-reader", "versions": False, "versioned": False}
        news = {**olds, "pipeline": "thumbs", "versions": True, "versioned": None}
        made = BucketContentsProvider()
        diff = made.diff("gets-reader", olds, news)
        assert (diff.changes, diff.replaces) == (True, [])
        seen[kind] = (made.update("gets-reader", olds, news).outs or {})["versioned"]
    assert seen == {"moto": True, "rclone": False}
    status = s3.client(stores["moto"]).get_bucket_versioning(Bucket="gets-reader")
    assert status["Status"] == "Enabled"


def test_update_leaves_versions_as_they_are(stores: dict[str, dict[str, str]]) -> None:
    """Turning them off would lose none, but an upload could then replace another."""
    store = stores["moto"]
    s3.client(store).create_bucket(Bucket="lost-reader")
    olds = {**store, "bucket": "lost-reader", "versions": True, "versioned": None}
    made = BucketContentsProvider()
    kept = made.create(olds).outs or {}
    after = made.update("lost-reader", kept, {**olds, "versions": False}).outs or {}
    assert after["versioned"] is True
    status = s3.client(store).get_bucket_versioning(Bucket="lost-reader")
    assert status["Status"] == "Enabled"
