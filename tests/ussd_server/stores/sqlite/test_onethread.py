"""A thread that does one thing after the other."""

import asyncio
import threading

from ussd_server.stores.sqlite.onethread import OneThread


def test_work_is_done_in_order_in_another_thread_and_told_on_the_loop() -> None:
    async def test() -> None:
        thread, done, threads, ended = OneThread("test-one"), [], [], asyncio.Event()
        for number in range(10):

            def work(number: int = number) -> None:
                threads.append(threading.current_thread())
                done.append(number)

            def told(error: BaseException | None, number: int = number) -> None:
                assert error is None
                assert threading.current_thread() is threading.main_thread()
                assert done[: number + 1] == list(range(number + 1))
                if number == 9:
                    ended.set()

            thread.do(work, told)
        await ended.wait()
        assert {one.name for one in threads} == {"test-one"}
        thread.end()
        assert not threads[0].is_alive()

    asyncio.run(test())


def test_what_the_work_raises_is_told_and_the_next_goes_on() -> None:
    async def test() -> None:
        thread, told = OneThread("test-one"), asyncio.Queue[BaseException | None]()
        thread.do(lambda: print(1 // 0), told.put_nowait)
        thread.do(lambda: None, told.put_nowait)
        assert isinstance(await told.get(), ZeroDivisionError)
        assert await told.get() is None
        thread.end()

    asyncio.run(test())


def test_work_that_outlives_its_loop_is_done_and_nothing_is_said() -> None:
    may, done = threading.Event(), threading.Event()

    async def begin() -> OneThread:
        thread = OneThread("test-one")

        def work() -> None:
            may.wait()
            done.set()

        thread.do(work, lambda error: None)
        return thread

    thread = asyncio.run(begin())
    may.set()
    thread.end()
    assert done.is_set()
