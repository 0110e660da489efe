"""The questions, in the order in which a person can answer them."""

from collections.abc import Mapping
from typing import Any

from cli.errors import CommandError
from cli.init import checks, offers
from cli.init.address import caller_address
from cli.init.ask import Asker
from cli.init.bucket_check import taken
from cli.init.keys import public_key
from cli.terminal import print_progress, spinner
from infra.clouds import Compute, regions
from infra.names import BUCKET_ROLES, Names
from infra.reader import declared
from infra.sdk import entries, region_config
from infra.settings import PROJECT_FILE

_MAKE_CLOUDS_YAML = (
    "No clouds.yaml with an entry was found: in your cloud's web interface make an application "
    "credential (Identity, Application Credentials; unrestricted for the machine's cloud), "
    "download its clouds.yaml to ~/.config/openstack/clouds.yaml, and give each entry a name."
)


class Wizard:
    """Fills `settings`: what is given stays, the rest is asked."""

    def __init__(self, stack: str, given: Mapping[str, Any], asker: Asker) -> None:
        self.stack = stack
        self.settings: dict[str, Any] = dict(given)
        self._asker = asker
        self._defaults = declared(PROJECT_FILE)

    def run(self) -> dict[str, Any]:
        """Ask all; raises CommandError or a cloud's refusal."""
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
        with spinner(f"Asking cloud {entry} what it has"):
            self._offer = offers.compute(entry, region)
        offer = self._offer
        self._choose("image", "--image", "Image of the machine", offer.images)
        self._choose("flavor", "--flavor", "Flavor of the machine", offer.flavors)
        if len(offer.networks) > 1 or "network" in self.settings:
            self._choose("network", "--network", "Network of the machine", offer.networks)
        external = offer.external_networks
        self._choose("externalNetwork", "--external-network", "Network of floating IPs", external)

    def _database(self) -> None:
        if self._database_exists:
            return
        entry = self.settings["databaseCloud"]
        region = self._region(entry, "database", "databaseRegion", "--database-region")
        with spinner(f"Asking cloud {entry} what databases it has"):
            offer = offers.database(entry, region)
        versions = offer.versions
        majors = list(dict.fromkeys(version.partition(".")[0] for version in versions))
        choices = [*majors, *(version for version in versions if version not in majors)]
        self._choose("databaseVersion", "--database-version", "Version of PostgreSQL", choices)
        flavors = offer.flavors
        self._choose("databaseFlavor", "--database-flavor", "Flavor of the database", flavors)
        if "databaseVolumeSize" not in self.settings:
            size = self._asker.text(
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
                self._asker.text(
                    None,
                    "--operator-cidr",
                    "Address that may log in over ssh, as the cloud sees it",
                    caller_address(str(auth.get("auth_url", ""))),
                )
            ]
        if "sshPublicKeyFile" not in self.settings:
            self.settings["sshPublicKeyFile"] = public_key(None, self._asker)

    def _region(self, entry: str, service: str, setting: str, flag: str) -> str:
        given = setting in self.settings  # then it may be another than clouds.yaml names
        found = regions(entry, service) if given else offers.regions(entry, service)
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
        self, setting: str, flag: str, question: str, choices: list[str], preferred: str = ""
    ) -> None:
        self.settings[setting] = self._asker.choice(
            self.settings.get(setting),
            flag,
            question,
            choices,
            preferred or self._defaults.get(setting, ""),
        )

    def _buckets(self) -> None:
        """Names of the three, proposed so that nobody else will have them, until all are free."""
        defaults = Names.of_stack(self.stack)
        names = [f"{role}Bucket" for role in BUCKET_ROLES]
        missing = [name for name in names if name not in self.settings]
        for name in missing:
            role = name.removesuffix("Bucket")
            self.settings[name] = defaults.bucket(role, self._offer.project_id)
        if missing and self.settings["objectStore"] != "existing":
            for name in missing:
                self.settings[name] = self._asker.text(
                    None if self._asker.interactive else self.settings[name],
                    "--" + name.removesuffix("Bucket") + "-bucket",
                    f"Name of the {name.removesuffix('Bucket')} bucket",
                    self.settings[name],
                )
        wanted, errors = checks.parse(self.stack, self.settings)
        if errors:
            return
        compute = Compute("", self._offer.project_id, "", self._offer.store_endpoint)
        for sentence in taken(wanted, compute):
            print_progress(sentence)
