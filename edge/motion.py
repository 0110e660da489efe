"""The motion gate: which frames differ enough from the scene to be worth a look."""

from PIL import Image, ImageChops, ImageStat

_SIDE = 160  # pixels of the longest side of what is compared
_DIFFERENCE = 25  # of 255: more than the noise of a camera in the dark
_RENEWAL = 0.1  # the part of a frame that enters the scene


class MotionGate:
    """Compares frames with the scene, a running average of those before.

    Args:
        changed: The least part of the picture that must differ, 0 to 1.
        hold_seconds: How long the gate stays open after the last motion.
    """

    def __init__(self, changed: float, hold_seconds: float) -> None:
        self._changed, self._hold = changed, hold_seconds
        self._scene: Image.Image | None = None
        self._open_until = float("-inf")

    def is_open(self, frame: Image.Image, seconds: float) -> bool:
        """Return whether a frame passes.

        Args:
            frame: It, upright, of any size.
            seconds: When it was taken, on the source's clock.

        Returns:
            True if it differs, if one before did within `hold_seconds`, or if it is the first.
        """
        small = frame.convert("L")
        small.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX, reducing_gap=None)
        scene = self._scene
        if scene is None or scene.size != small.size:
            self._scene = small
            self._open_until = seconds
            return True
        # Light that changes everywhere, as when a cloud passes, is no motion.
        shift = round(ImageStat.Stat(scene).mean[0] - ImageStat.Stat(small).mean[0])
        level = small.point([min(255, max(0, value + shift)) for value in range(256)])
        differs = ImageChops.difference(scene, level).histogram()[_DIFFERENCE:]
        if sum(differs) > self._changed * small.width * small.height:
            self._open_until = seconds + self._hold
        self._scene = Image.blend(scene, small, _RENEWAL)
        return seconds <= self._open_until
