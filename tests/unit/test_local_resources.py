"""The stand-in's tables of properties, compared with the installed SDK and its docstrings."""

import importlib
import inspect
import re

import pytest

from local.plugin import schema
from local.plugin.properties import MISDOCUMENTED, REPLACES, UNDOCUMENTED, replaces
from local.resources.registry import RESOURCE_TYPES

NEW = re.compile(
    r"Changing this(?: value)? (?:creates a new|forces a new)|a new instance to be created"
)
CHANGE = re.compile(r"Changing (?:this|it|the)\b")


def documented(token: str) -> dict[str, str]:
    """Return each property's description in the SDK, by its name on the wire."""
    owner = schema.arguments(token)
    assert owner is not None
    text = inspect.getdoc(owner.__init__) or ""  # type: ignore[misc]
    found = {}
    for name, description in re.findall(
        r":param \S.*? (\w+): (.*?)(?=\n:param|\Z)", text, re.DOTALL
    ):
        getter = getattr(owner, name).fget
        found[getattr(getter, "_pulumi_name", name)] = " ".join(description.split())
    return found


PROPERTIES = [(token, name) for token in RESOURCE_TYPES for name in documented(token)]


@pytest.mark.parametrize(("token", "name"), PROPERTIES)
def test_replacements_agree_with_the_sdks_docstrings(token: str, name: str) -> None:
    description = documented(token)[name]
    if name in MISDOCUMENTED.get(token, ()):
        assert NEW.search(description)
        assert not replaces(token, name)
    elif NEW.search(description):
        assert name in REPLACES[token]
    else:
        assert name not in REPLACES[token]
    if CHANGE.search(description) and not NEW.search(description):
        assert not replaces(token, name)


@pytest.mark.parametrize("table", [REPLACES, UNDOCUMENTED, MISDOCUMENTED])
def test_tables_name_only_properties_of_the_sdk(table: dict[str, frozenset[str]]) -> None:
    for token, names in table.items():
        owner = schema.arguments(token)
        assert owner is not None
        assert names <= set(schema.properties(owner)), token


def test_every_type_has_a_row_and_a_class() -> None:
    assert set(REPLACES) == set(RESOURCE_TYPES)
    for token in RESOURCE_TYPES:
        module = importlib.import_module(f"pulumi_openstack.{token.split(':')[1].split('/')[0]}")
        assert hasattr(module, token.split(":")[2])


PORT = "openstack:networking/port:Port"
RULE = "openstack:networking/secGroupRule:SecGroupRule"
VM = "openstack:compute/instance:Instance"
GOOD_RULE = {"direction": "ingress", "ethertype": "IPv4", "securityGroupId": "x"}
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@pytest.mark.parametrize(
    ("token", "inputs", "property_", "words"),
    [
        (PORT, {}, "networkId", "'networkId' is required"),
        (PORT, {"networkId": "n", "fixedIp": []}, "fixedIp", "did you mean 'fixedIps'?"),
        (PORT, {"networkId": 4}, "networkId", "takes a string, not int"),
        (PORT, {"networkId": "n", "tags": "a"}, "tags", "takes a list, not str"),
        (PORT, {"networkId": "n", "tags": [1]}, "tags[0]", "takes a string, not int"),
        (PORT, {"networkId": "n", "adminStateUp": "yes"}, "adminStateUp", "takes a boolean"),
        (
            PORT,
            {"networkId": "n", "fixedIps": [{"ip": "1"}]},
            "fixedIps[0].ip",
            "no property 'fixedIps[0].ip'",
        ),
        (RULE, {**GOOD_RULE, "portRangeMin": "22"}, "portRangeMin", "takes an integer, not str"),
        (RULE, {**GOOD_RULE, "portRangeMin": 22.5}, "portRangeMin", "takes an integer"),
        (VM, {"metadata": {"a": 1}}, "metadata.a", "takes a string"),
        (VM, {"networks": {"port": "p"}}, "networks", "takes a list, not dict"),
        ("openstack:blockstorage/x:Y", {}, "", "no type"),
        ("openstack:networking/nothing:Nothing", {}, "", "no type"),
    ],
)
def test_wrong_or_missing_argument_is_named(
    token: str, inputs: dict[str, object], property_: str, words: str
) -> None:
    (failure,) = schema.failures(token, inputs)
    assert failure.property == property_
    assert words in failure.reason


@pytest.mark.parametrize(
    ("token", "inputs"),
    [
        (PORT, {"networkId": UNKNOWN, "fixedIps": [{"ipAddress": UNKNOWN}], "tags": UNKNOWN}),
        (RULE, {**GOOD_RULE, "portRangeMin": 22, "portRangeMax": UNKNOWN, "protocol": None}),
        (VM, {"networks": [{"port": "p"}], "metadata": {"a": "b"}, "__defaults": []}),
    ],
)
def test_valid_and_unknown_arguments_pass(token: str, inputs: dict[str, object]) -> None:
    assert schema.failures(token, inputs) == []
