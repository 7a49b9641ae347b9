"""What is wrong with a user's photo, recording or path, and the remedy."""


class InputError(ValueError):
    """The user's input cannot be used; the message is one sentence for them.

    Args:
        problem: what is wrong, in the user's words ("No face was found in the photo").
        remedy: what to do about it ("Use a photo that shows one face from the front").
    """

    def __init__(self, problem: str, remedy: str) -> None:
        self.problem, self.remedy = problem, remedy
        super().__init__(f"{problem}: {remedy}")

    def __reduce__(self) -> tuple[type["InputError"], tuple[str, str]]:
        """Rebuilt from its two parts, so that a worker process can send it back."""
        return type(self), (self.problem, self.remedy)


class TooLong(InputError):
    """The recording is longer than the limit; its beginning can be used."""
