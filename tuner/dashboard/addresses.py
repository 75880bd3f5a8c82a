"""Names and numbers in the addresses of pages: what none can be is no page."""

from starlette.convertors import Convertor, register_url_convertor


class StudyName(Convertor[str]):
    """As study files have it."""

    regex = r"[A-Za-z0-9._-]{1,64}"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


class TrialNumber(Convertor[int]):
    """So many digits as a number has."""

    regex = r"[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


def register() -> None:
    """For routes: `{name:study}`, `{number:trial}`."""
    register_url_convertor("study", StudyName())
    register_url_convertor("trial", TrialNumber())
