"""Whose turn it is: of those who wait, the visitor's whose last turn was longest ago; each waits with a few."""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any, cast

from gradio.queueing import Event, Queue

from speechprompt.ui.visitors import ADDRESS, PROXIED, SIZE, Visitors

MOST_OF_ONE = 16  # requests of one visitor that wait; the page waits with one or two
MOST_OF_AN_ADDRESS = 64  # of all visitors of an address, so that there is always room for another's
MOST_BYTES = 16 << 20  # of all requests that wait
MOST_UNREAD = 100  # messages that a session has not fetched
REMEMBERED = 1000  # visitors whose last turn is known

Refusal = tuple[bool, Any, Any]


class FairQueue(Queue):
    """gradio's queue, with a turn for each visitor instead of for each request."""

    def __init__(self, queue: Queue, visitors: Visitors) -> None:
        """queue: one of gradio's, whose settings this takes."""
        super().__init__(
            queue.live_updates,
            queue.max_thread_count,
            queue.update_intervals,
            queue.max_size,
            queue.blocks,
            queue.default_concurrency_limit,
        )
        self.visitors = visitors
        self._turns: OrderedDict[str, int] = (
            OrderedDict()
        )  # visitor -> number of the last turn, the oldest first
        self._n_turns = 0

    def visitor(self, event: Event) -> str:
        return self.visitors.name(event.session_hash, event.request.scope)

    async def push(self, body: Any, request: Any, username: str | None) -> Refusal:
        if why := self.refusal(body.session_hash, request.scope):
            return False, why, "queue_full"
        result = await super().push(body, request, username)
        if body.session_hash:  # gradio has given it one where it had none
            self.visitors.seen(body.session_hash)
        return result

    def refusal(self, session: str | None, scope: Any) -> str:
        """Why a request may not wait here; "" where it may."""
        waiting = [event for queue in self.event_queue_per_concurrency_id.values() for event in queue.queue]
        visitor, address = self.visitors.name(session, scope), scope.get(ADDRESS, "")
        of_one = Counter(map(self.visitor, waiting))[visitor]
        if of_one >= MOST_OF_ONE:
            return f"You have {of_one} requests waiting: ask again when one of them has been answered."
        of_address = sum(event.request.scope.get(ADDRESS, "") == address for event in waiting)
        n_bytes = sum(event.request.scope.get(SIZE, 0) for event in waiting) + scope.get(SIZE, 0)
        is_full = self.max_size is not None and len(waiting) >= self.max_size
        if is_full or n_bytes > MOST_BYTES or (of_address >= MOST_OF_AN_ADDRESS and address != PROXIED):
            return f"The queue is full, with {len(waiting)} requests: try again in a few seconds."
        messages = self.pending_messages_per_session.get(session) if session else None
        if messages is not None and messages.qsize() > MOST_UNREAD:
            return "Fetch the answers that are ready before you ask for more."
        return ""

    def get_events(self) -> tuple[list[Event], bool, str] | None:
        for queue in self.event_queue_per_concurrency_id.values():
            if len(queue.queue) > 1:
                first = min(queue.queue, key=lambda event: self._turns.get(self.visitor(event), 0))
                queue.queue.remove(first)
                queue.queue.insert(0, first)
        found = super().get_events()
        if found is not None:
            self._n_turns += 1
            for event in found[0]:
                self._turns[self.visitor(event)] = self._n_turns
                self._turns.move_to_end(self.visitor(event))
            while len(self._turns) > REMEMBERED:
                self._turns.popitem(last=False)
        return cast("tuple[list[Event], bool, str] | None", found)

    def forget(self, session: str) -> None:
        """What a session that has gone did not fetch."""
        if not any(
            event.session_hash == session
            for events in (
                *self.active_jobs,
                *(q.queue for q in self.event_queue_per_concurrency_id.values()),
            )
            for event in events or ()
        ):
            self.pending_messages_per_session.pop(session, None)
            self.pending_event_ids_session.pop(session, None)
