"""A program: FLV from the standard input -> an address on the network.

PyAV stops all threads of Python while it connects. So this is a process of its own.
"""

import sys

import av

_SOON = {"analyzeduration": "300000"}  # microseconds in which the streams are found


def send(address: str) -> None:
    """Sends the packets of the standard input.

    Raises:
        OSError, av.FFmpegError: the address cannot be reached, or no longer answers.
    """
    with (
        av.open(open(0, "rb", buffering=0), format="flv", options=_SOON) as source,
        av.open(address, "w", format="flv") as sink,
    ):
        copies = [sink.add_stream_from_template(stream) for stream in source.streams]
        sink.metadata.update(source.metadata)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                sink.mux(packet)


if __name__ == "__main__":
    try:
        send(sys.argv[1])
    except (OSError, av.FFmpegError) as error:
        sys.exit(getattr(error, "strerror", None) or "it does not answer")
