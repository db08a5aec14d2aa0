"""Standard output and error as notebook output: what the program prints, and what is written to descriptors 1 and 2.

Other programs, their libraries and forked children write to the descriptors.  As in a notebook's kernel, that is text
of the running cell.
"""

from __future__ import annotations

import _thread
import codecs
import contextlib
import io
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from .messages import Closed

FLUSH_AT = 8192
MAX_STREAM = 2**19  # characters of a stream in one message
MAX_FLUSHED = 2**24  # … and in all messages of one flush: more than is kept of a cell
MAX_WRITTEN = 2**24  # bytes that are read from the descriptors while a cell runs; the others are lost
PIPE = 2**16  # bytes that a pipe holds
NAMES = ("stdout", "stderr")


class Streams:
    """Both streams of a notebook's process.

    Parameters
    ----------
    send : function
        Sends an output.
    whole : function
        Makes a context in which neither Timeout nor another thread interrupts.
    """

    def __init__(self, send: Callable[..., None], whole: Callable[[], AbstractContextManager[None]]) -> None:
        self.send, self.whole = send, whole
        self.lock = threading.RLock()
        self.both = [Stream(self, name, number) for number, name in enumerate(NAMES, 1)]
        self.of_pipe: dict[int, Stream] = {}
        self.decoders = {stream: codecs.getincrementaldecoder("utf-8")("replace") for stream in self.both}
        self.pipes = select.poll()
        self.process = 0
        self.room = MAX_WRITTEN

    def start(self, pipes: list[int]) -> None:
        """Take the place of Python's streams in this process; `pipes` are the other ends of its descriptors 1 and 2."""
        self.process = os.getpid()
        sys.stdout, sys.stderr = self.both
        for pipe, stream in zip(pipes, self.both, strict=True):
            os.set_inheritable(pipe, False)
            self.of_pipe[pipe] = stream
            self.pipes.register(pipe, select.POLLIN)
        # Signals are the program's.  Not by `threading`, where a program that joins all threads would wait for it.
        usual = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        _thread.start_new_thread(self._listen, (pipes,))
        signal.pthread_sigmask(signal.SIG_SETMASK, usual)

    def after_fork(self) -> None:
        """Let a forked child write to the descriptors, through which its parent hears it."""
        self.lock = threading.RLock()
        for stream in self.both:
            stream.forget()

    def begin_cell(self) -> None:
        """Count anew what is written."""
        self.room = MAX_WRITTEN

    def flush(self) -> None:
        """Send all that was printed and written."""
        for own in filter(None, (sys.__stdout__, sys.__stderr__)):
            with contextlib.suppress(OSError, ValueError):  # closed by the program
                own.flush()
        with self.whole():
            self.hear()
            for stream in self.both:
                stream.flush()

    def hear(self) -> None:
        """Take from the pipes what was written before this call."""
        for pipe, event in self.pipes.poll(0):
            data = os.read(pipe, PIPE) if event & select.POLLIN else b""
            if not data:  # every descriptor that leads here is closed
                self.pipes.unregister(pipe)
                continue
            stream = self.of_pipe[pipe]
            text = self.decoders[stream].decode(data)
            if self.room > 0:
                stream.add(text)
            self.room -= len(data)

    def _listen(self, pipes: list[int]) -> None:
        """Empty the pipes while the program waits for who writes to them."""
        poller = select.poll()
        for pipe in pipes:
            poller.register(pipe, select.POLLIN)
        with contextlib.suppress(Closed, OSError):
            while ready := poller.poll():
                for pipe, event in ready:
                    if not event & select.POLLIN:
                        poller.unregister(pipe)
                with self.whole():
                    self.hear()
                    for stream in self.both:
                        stream.send()


class Stream(io.TextIOBase):
    """Standard output or error."""

    def __init__(self, streams: Streams, name: str, number: int) -> None:
        self.streams, self.name, self.number = streams, name, number
        self.forget()

    def forget(self) -> None:
        """Begin without text that waits to be sent."""
        self.parts: list[str] = []
        self.size = 0

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "UTF-8"

    def isatty(self) -> bool:
        return True  # as a kernel's says, so that programs show what they show there

    def fileno(self) -> int:
        return self.number

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if os.getpid() != self.streams.process:
            self._write_out(text)
            return len(text)
        with self.streams.lock:
            if self.streams.pipes.poll(0):
                with self.streams.whole():
                    self.streams.hear()
            self.add(text)
        return len(text)

    def add(self, text: str) -> None:
        """Add text; what was printed first is sent first."""
        for other in self.streams.both:
            if other is not self:
                other.send()
        self.parts.append(text)
        self.size += len(text)
        if self.size > FLUSH_AT:
            self.send()

    def flush(self) -> None:
        if os.getpid() == self.streams.process:
            with self.streams.whole():
                self.send()

    def send(self) -> None:
        """Send what was added."""
        text, self.parts, self.size = "".join(self.parts), [], 0
        for start in range(0, min(len(text), MAX_FLUSHED), MAX_STREAM):
            part = text[start : start + MAX_STREAM]
            self.streams.send(output_type="stream", name=self.name, text=part)

    def _write_out(self, text: str) -> None:
        data = text.encode("utf-8", "replace")
        while data:
            data = data[os.write(self.number, data) :]
