"""InputError can be sent between processes."""

import pickle

from atldiff.errors import InputError


def test_it_survives_pickling():
    sent = InputError("No face was found", "Use another photo")
    back = pickle.loads(pickle.dumps(sent))
    assert (back.problem, back.remedy, str(back)) == (sent.problem, sent.remedy, str(sent))
