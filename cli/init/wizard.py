"""The questions of `init`, in the order in which a person can answer them."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from cli.errors import CommandError
from cli.init import checks, choices
from cli.init.operator import own_address, public_key
from cli.init.prompt import Prompt
from cli.terminal import print_progress, spinner
from clients.catalog import list_regions
from clients.connection import entries, region_config
from infra.clouds import Compute
from infra.errors import InvalidSettings
from infra.names import BUCKET_ROLES, FIRST_PIPELINE, Names
from infra.settings import declared
from infra.settings.pipelines import DEFAULT

_MAKE_CLOUDS_YAML = (
    "No clouds.yaml with an entry was found: in your cloud's web interface make an application "
    "credential (Identity, Application Credentials; unrestricted for the machine's cloud), "
    "download its clouds.yaml to ~/.config/openstack/clouds.yaml, and give each entry a name."
)


class Wizard:
    """Completes a stack's settings: keeps those that are given and asks for the others."""

    def __init__(
        self,
        stack: str,
        given: Mapping[str, Any],
        prompt: Prompt,
        buckets: Mapping[str, str] | None = None,
    ) -> None:
        """Ask nothing yet.

        Args:
            stack: The stack's name.
            given: Settings that are not asked for.
            prompt: Asks the user.
            buckets: inputBucket and outputBucket of the pipeline of a new stack, if given.
        """
        self.stack = stack
        self._given_buckets = buckets or {}
        self.settings: dict[str, Any] = dict(given)
        self._prompt = prompt
        self._defaults = declared.defaults()

    def run(self) -> dict[str, Any]:
        """Ask everything that is missing.

        Returns:
            The settings.

        Raises:
            CommandError: There is nothing to choose from, or no terminal to ask on.
            CloudError: A cloud cannot be queried.
        """
        self._entries()
        self._compute()
        self._database()
        self._access()
        self.settings.setdefault("objectStore", "openstack")
        self._buckets()
        self.settings.setdefault("protectData", True)
        return self.settings

    @property
    def _database_exists(self) -> bool:
        return bool(self.settings.get("database") == "existing")

    def _entries(self) -> None:
        names, file = entries()
        if not names:
            raise CommandError(_MAKE_CLOUDS_YAML)
        print_progress(f"{file} has {', '.join(names)}.")
        self._choose("computeCloud", "--compute-cloud", "Entry for machine and buckets", names)
        if self._database_exists:
            return
        likely = next((n for n in names if "pukki" in n or "database" in n or "dbaas" in n), "")
        self._choose("databaseCloud", "--database-cloud", "Entry for the database", names, likely)

    def _compute(self) -> None:
        entry = self.settings["computeCloud"]
        region = self._region(entry, "compute", "computeRegion", "--compute-region")
        with spinner(f"Asking cloud {entry} what it offers"):
            self._offers = choices.compute(entry, region)
        offers = self._offers
        self._choose("image", "--image", "Image of the machine", offers.images)
        self._choose("flavor", "--flavor", "Flavor of the machine", offers.flavors)
        if len(offers.networks) > 1 or "network" in self.settings:
            self._choose("network", "--network", "Network of the machine", offers.networks)
        external = offers.external_networks
        self._choose("externalNetwork", "--external-network", "Network of floating IPs", external)

    def _database(self) -> None:
        if self._database_exists:
            return
        entry = self.settings["databaseCloud"]
        region = self._region(entry, "database", "databaseRegion", "--database-region")
        with spinner(f"Asking cloud {entry} what databases it offers"):
            offers = choices.database(entry, region)
        versions = offers.versions
        majors = list(dict.fromkeys(version.partition(".")[0] for version in versions))
        versions = [*majors, *(version for version in versions if version not in majors)]
        self._choose("databaseVersion", "--database-version", "Version of PostgreSQL", versions)
        flavors = offers.flavors
        self._choose("databaseFlavor", "--database-flavor", "Flavor of the database", flavors)
        if "databaseVolumeSize" not in self.settings:
            size = self._prompt.text(
                None,
                "--volume",
                "Volume of the database in GiB (it can only grow)",
                self._defaults["databaseVolumeSize"],
            )
            self.settings["databaseVolumeSize"] = int(size) if size.isdigit() else size

    def _access(self) -> None:
        if "operatorCidrs" not in self.settings:
            auth = region_config(self.settings["computeCloud"]).config.get("auth") or {}
            self.settings["operatorCidrs"] = [
                self._prompt.text(
                    None,
                    "--operator-cidr",
                    "Address that may log in over ssh, as the cloud sees it",
                    own_address(str(auth.get("auth_url", ""))),
                )
            ]
        if "sshPublicKeyFile" not in self.settings:
            self.settings["sshPublicKeyFile"] = public_key(None, self._prompt)

    def _region(self, entry: str, service: str, setting: str, flag: str) -> str:
        given = setting in self.settings  # it may differ from the one in clouds.yaml
        found = list_regions(entry, service) if given else choices.regions(entry, service)
        if not found:
            raise CommandError(
                f"Cloud '{entry}' has no service of type {service} in its catalog: choose another "
                f"entry with {flag.replace('region', 'cloud')}."
            )
        if len(found) == 1 and setting not in self.settings:
            return found[0]
        self._choose(setting, flag, f"Region of {entry} for {service}", found)
        return str(self.settings[setting])

    def _choose(
        self, setting: str, flag: str, question: str, names: list[str], preferred: str = ""
    ) -> None:
        self.settings[setting] = self._prompt.choice(
            self.settings.get(setting),
            flag,
            question,
            names,
            preferred or self._defaults.get(setting, ""),
        )

    def _buckets(self) -> None:
        """Propose bucket names that are unique in the store."""
        pipelines = self.settings.setdefault("pipelines", deepcopy(DEFAULT))
        first = pipelines.get(FIRST_PIPELINE) if isinstance(pipelines, dict) else None
        places = {"input": first, "output": first, "quarantine": self.settings}
        if isinstance(first, dict):
            first.update(self._given_buckets)
        defaults = Names.of_stack(self.stack)
        is_asked = self._prompt.interactive and self.settings["objectStore"] != "existing"
        for role in BUCKET_ROLES:
            place, key = places[role], f"{role}Bucket"
            if not isinstance(place, dict) or key in place:
                continue
            name = defaults.bucket(role, self._offers.project_id)
            question = f"Name of the {role} bucket"
            place[key] = self._prompt.text(
                None if is_asked else name, f"--{role}-bucket", question, name
            )
        try:
            wanted = checks.parse(self.stack, self.settings)
        except InvalidSettings:  # reported once the file is written
            return
        compute = Compute("", self._offers.project_id, "", self._offers.store_endpoint)
        for sentence in checks.existing_buckets(wanted, compute):
            print_progress(sentence)
