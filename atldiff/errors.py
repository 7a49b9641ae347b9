"""Errors that a user can mend: the problem and its remedy."""


class InputError(ValueError):
    """An input cannot be used. The message is one sentence for the user.

    Args:
        problem: the fault in the user's words ("No face was found in the photo").
        remedy: the user's next step ("Use a photo that shows one face from the front").
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}: {remedy}")

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        """Lets a worker process send the error back."""
        return type(self), (self.problem, self.remedy)


class TooLong(InputError):
    """The recording is longer than the limit; its beginning can be used."""
