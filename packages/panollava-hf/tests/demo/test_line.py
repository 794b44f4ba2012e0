import asyncio
import threading

import pytest
from panollava_hf._errors import ChatError, PanoLLaVaError
from panollava_hf.demo._line import BusyError, Done, Line, Progress
from panollava_hf.demo._stoppable import Control, Stopped


async def result(line, compute, control=None):
    return [event async for event in line.run(compute, control or Control())][-1]


def test_questions_are_answered_in_the_order_in_which_they_came():
    line, order = Line(), []

    async def ask():
        works = [
            result(line, lambda control, on_text, number=number: order.append(number) or number) for number in range(9)
        ]
        return [done.value for done in await asyncio.gather(*works)]

    assert asyncio.run(ask()) == order == list(range(9))
    assert line.length == 0
    line.close()


def test_who_waits_sees_how_many_are_before():
    line, gate, begun = Line(), threading.Event(), threading.Event()

    def slow(control, on_text):
        begun.set()
        on_text("so far")
        assert gate.wait(20)
        return "slow"

    async def ask():
        first = asyncio.create_task(result(line, slow))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        seen = []
        for _ in range(2):
            waiting = line.run(lambda control, on_text: "fast", Control())
            seen.append((await anext(waiting), waiting))
        assert [event.before for event, _ in seen] == [1, 2]
        gate.set()
        assert (await first).value == "slow"
        for _, waiting in seen:
            events = [event async for event in waiting]
            assert isinstance(events[-1], Done)
            assert events[-1].value == "fast"

    asyncio.run(ask())
    line.close()


def test_a_question_that_waits_is_stopped_at_once():
    line, gate = Line(), threading.Event()

    async def ask():
        first = asyncio.create_task(result(line, lambda control, on_text: gate.wait(20)))
        await asyncio.sleep(0)
        control, ran = Control(), []
        second = asyncio.create_task(result(line, lambda control, on_text: ran.append(1), control))
        await asyncio.sleep(0)
        control.stop()
        with pytest.raises(Stopped):
            await second
        assert line.length == 1
        gate.set()
        await first
        assert ran == []

    asyncio.run(ask())
    line.close()


def test_a_full_line_says_so():
    line, gate = Line(max_waiting=2), threading.Event()

    async def ask():
        tasks = [asyncio.create_task(result(line, lambda control, on_text: gate.wait(20))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="2 questions are waiting"):
            await result(line, lambda control, on_text: 1)
        gate.set()
        await asyncio.gather(*tasks)

    asyncio.run(ask())
    line.close()


@pytest.mark.parametrize("error", [ChatError("no answer"), ZeroDivisionError("by zero")])
def test_an_error_ends_one_question_only(error):
    line = Line()

    def fails(control, on_text):
        raise error

    async def ask():
        with pytest.raises(PanoLLaVaError, match=str(error)):
            await result(line, fails)
        return (await result(line, lambda control, on_text: 7)).value

    assert asyncio.run(ask()) == 7
    line.close()


def test_text_arrives_while_the_answer_is_written():
    line, gate = Line(), threading.Event()

    def talks(control, on_text):
        control.on_step("Answering")
        on_text("one ")
        assert gate.wait(20)
        on_text("two")
        return "one two"

    async def ask():
        texts = []
        async for event in line.run(talks, Control()):
            if isinstance(event, Progress):
                texts.append(event.text)
                if event.text == "one ":
                    gate.set()
        return texts

    assert "one " in asyncio.run(ask())
    line.close()
