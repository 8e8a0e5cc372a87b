"""What is said over the lifeline: lists of byte strings, and descriptors beside them.

A message is a 4-byte length (big-endian) and its fields, each a 4-byte length and its bytes. It
is not JSON: importing `json` would double the supervisor's start, and arguments are bytes.

| to the supervisor | fields |
|---|---|
| `limit` | memory in MiB, processes; empty = none |
| `run` | executable, directory, marks, arguments (packed), environment (packed) |
| `end` | signal number, for the whole tree of the command |

| from the supervisor | fields |
|---|---|
| `hello` | `own` or `host` processes, how memory and processes can be limited |
| `limited` | how memory and processes are limited now, `group`, `process` or empty; the control |
|           | groups that were made (packed) |
| `started` | process id of the command's tree |
| `ended` | wait status, wall µs, cpu µs, peak KiB, processes killed by the memory limit |
| `failed` | stage, errno: nothing was started |

`run` carries the command's output, error output and, if it has one, input as descriptors
(`SCM_RIGHTS`, unix(7)). Its marks are words: `terminal`, where the input is one that is handed
over, and `shelter`, where the program runs the command inside itself and gets three descriptors
more, as 3 to 5.
"""

from __future__ import annotations

# The plain socket type is enough, and `socket` itself would cost more than the rest together.
import _socket
import os
import struct

# A type checker knows the name; importing it from `typing` would cost as much as all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LENGTH = struct.Struct("!I")
_LONGEST = 64 << 20
_MOST_DESCRIPTORS = 8
_CLOSE_ON_EXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)


def pack(fields: Sequence[bytes]) -> bytes:
    """Return *fields* as one byte string."""
    return b"".join([part for field in fields for part in (_LENGTH.pack(len(field)), field)])


def unpack(data: bytes) -> list[bytes]:
    """Return the fields that `pack` joined; raises `ValueError` for anything else."""
    fields = []
    at = 0
    while at < len(data):
        begin = at + _LENGTH.size
        if begin > len(data):
            raise ValueError("cannot read message: a length is cut off")
        at = begin + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise ValueError("cannot read message: a field is cut off")
        fields.append(data[begin:at])
    return fields


class Channel:
    """
    One end of the lifeline.

    *descriptors* holds those received and not yet taken; whoever takes them closes them.
    """

    def __init__(self, connection: _socket.socket) -> None:
        self._connection = connection
        self._received = bytearray()
        self.descriptors: list[int] = []

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._connection.fileno()

    def send(self, *fields: bytes, descriptors: Sequence[int] = ()) -> None:
        """Send one message; raises `OSError` if the other end is gone."""
        body = pack(fields)
        data = memoryview(_LENGTH.pack(len(body)) + body)
        if descriptors:
            rights = struct.pack(f"{len(descriptors)}i", *descriptors)
            beside = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)]
            data = data[self._connection.sendmsg([data], beside) :]
        if data:
            self._connection.sendall(data)

    def receive(self) -> list[list[bytes]] | None:
        """
        Read once and return the messages that are whole now, or `None` at the end.

        Raises `OSError`, and `ValueError` for what is no message.
        """
        space = _socket.CMSG_SPACE(_MOST_DESCRIPTORS * struct.calcsize("i"))
        data, beside, _, _ = self._connection.recvmsg(1 << 16, space, _CLOSE_ON_EXEC)
        for level, kind, rights in beside:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                count = len(rights) // struct.calcsize("i")
                taken = struct.unpack_from(f"{count}i", rights)
                self.descriptors.extend(taken)
                for descriptor in taken if not _CLOSE_ON_EXEC else ():
                    os.set_inheritable(descriptor, False)
        if not data:
            return None
        self._received += data
        return list(self._whole_messages())

    def _whole_messages(self) -> list[list[bytes]]:
        messages = []
        while len(self._received) >= _LENGTH.size:
            length = _LENGTH.unpack_from(self._received)[0]
            if length > _LONGEST:
                raise ValueError(f"cannot read message of {length} bytes: it is too long")
            end = _LENGTH.size + length
            if len(self._received) < end:
                break
            messages.append(unpack(bytes(self._received[_LENGTH.size : end])))
            del self._received[:end]
        return messages

    def close(self) -> None:
        """Let go; the other end reads the end."""
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
        self._connection.close()
