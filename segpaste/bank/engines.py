"""Who does the work of a build: this process, or several on this machine."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
import traceback
from collections import Counter, deque
from collections.abc import Generator, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext

import torch

from segpaste.bank.errors import BankError
from segpaste.bank.meta import BankHead
from segpaste.bank.source import CropShard
from segpaste.bank.staging import Made, make_shard

_TRIES = 2

# Imported once, by the server of which all workers are copies.
_PRELOADED = ["segpaste.bank.staging"]


def run_here(
    shards: Sequence[CropShard], numbers: Sequence[int], head: BankHead
) -> Generator[tuple[int, Made], None, None]:
    """Do one shard after the other in this process."""
    for number in numbers:
        yield number, make_shard(shards[number], head)


def run_locally(
    shards: Sequence[CropShard], numbers: Sequence[int], head: BankHead, workers: int
) -> Generator[tuple[int, Made], None, None]:
    """Do shards in processes of their own, and give each as soon as it is done.

    The processes are copies of a server that has imported what they need, not of this process,
    whose threads may hold locks. They end with this iterator, whether it is exhausted, closed or
    raises, and with this process, even if it is killed.

    Args:
        shards: all the work.
        numbers: the places in it of what is to be done.
        head: the bank's.
        workers: number of processes.

    Raises:
        BankError: if a process dies twice over the same shard, or cannot be started.
        Exception: what a shard raised.
    """
    waiting, deaths = deque(numbers), Counter[int]()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)  # of no effect where a server runs already
    pool: list[_Worker] = []
    try:
        pool += [_Worker(context, head) for _ in range(min(workers, len(numbers)))]
        while waiting or any(worker.number is not None for worker in pool):
            speakers = {worker.connection: worker for worker in pool if worker.will_speak}
            for connection in wait(list(speakers)):
                worker = next(each for each in pool if each.connection is connection)
                done = worker.number
                try:
                    answer = worker.answer()
                except (EOFError, OSError):
                    code = worker.stop()
                    if done is None:
                        raise BankError(
                            f"workers: a process ended before it took up work (exit code {code}); "
                            'a script that builds with workers needs `if __name__ == "__main__":`'
                        ) from None
                    deaths[done] += 1
                    if deaths[done] == _TRIES:
                        raise BankError(
                            f"shard {done}: the process that worked on it ended {_TRIES} times "
                            f"(exit code {code}{', out of memory?' if code == -signal.SIGKILL else ''})"
                        ) from None
                    waiting.appendleft(done)
                    pool[pool.index(worker)] = _Worker(context, head)
                    continue
                if isinstance(answer, Exception):
                    raise answer
                if waiting:
                    number = waiting.popleft()
                    worker.give(number, shards[number])
                if done is not None and answer is not None:
                    yield done, answer
    finally:
        for worker in pool:
            worker.stop()


def attempt(shard: CropShard, head: BankHead) -> Made | Exception:
    """Do the work of a shard elsewhere; what it raises is returned, so that it can travel."""
    try:
        return make_shard(shard, head)
    except Exception as error:
        return _portable(error)


class _Worker:
    """A process with a pipe to it. If either end dies, the other reads the end of the pipe."""

    def __init__(self, context: ForkServerContext, head: BankHead) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, head), daemon=True)
        self._process.start()
        theirs.close()
        self.number: int | None = None
        self.will_speak = True  # it says once that it is ready

    def give(self, number: int, shard: CropShard) -> None:
        self.number, self.will_speak = number, True
        content = pickle.dumps(shard)  # not `send`, which would pass tensors as shared memory
        with suppress(BrokenPipeError):  # it died; that is seen when its answer is read
            self.connection.send_bytes(content)

    def answer(self) -> Made | Exception | None:
        """What it made; ``None`` when it is ready for the first time."""
        answer = self.connection.recv()
        self.number, self.will_speak = None, False
        return answer

    def stop(self) -> int | None:
        """End it, whatever it is doing; its exit code."""
        self.connection.close()
        if self._process.exitcode is None:
            self._process.join(0.05)  # one that died by itself has a code that says how
            self._process.kill()
            self._process.join()
        return self._process.exitcode


def _serve(connection: Connection, head: BankHead) -> None:
    """The life of a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the builder ends its workers
    torch.set_num_threads(1)
    try:
        connection.send(None)
        while True:
            connection.send(_next(connection, head))
    except (EOFError, OSError):
        return  # the builder is gone


def _next(connection: Connection, head: BankHead) -> Made | Exception:
    content = connection.recv_bytes()
    try:
        shard = pickle.loads(content)
    except Exception as error:
        return _portable(error)
    return attempt(shard, head)


def _portable(error: Exception) -> Exception:
    """The error if it survives the way to another process, else one that says the same."""
    error.add_note("in a worker:\n" + "".join(traceback.format_exception(error)))
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # it cannot be pickled, or not be made again from what was pickled
        pass
    return RuntimeError(f"{type(error).__name__}: {error}")
