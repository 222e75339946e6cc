"""Events of a sweep that nobody watches."""


class Silent:
    """Keeps warnings and the points of curves, and is silent about the rest."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.points: list[object] = []

    def planned(self, plan, pending):
        pass

    def started(self, job):  # noqa: ARG002
        return self

    def progress(self, done, planned):
        pass

    def observed(self, point):
        self.points.append(point)

    def ended(self, job, record):
        pass

    def warned(self, message):
        self.warnings.append(message)
