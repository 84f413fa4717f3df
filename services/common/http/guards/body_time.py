"""A time limit for a body, as a whole and for each pause in it."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.wire.errors import RequestTimeoutError


class BodyTime:
    """Ends the reading of a body that comes too slowly, as a whole or after a pause, with 408.

    The error is raised where the body is read, so that it is answered and counted as that request's others are.
    """

    def __init__(self, app: ASGIApp, whole_s: float, pause_s: float) -> None:
        self._app = app
        self._whole_s = whole_s
        self._pause_s = pause_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        ends_s = asyncio.get_running_loop().time() + self._whole_s
        reading = True

        async def in_time() -> Message:
            nonlocal reading
            if not reading:  # what is awaited is the end of the connection
                return await receive()
            left_s = ends_s - asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(min(left_s, self._pause_s)):
                    message = await receive()
            except TimeoutError as error:
                slow = f"was not complete within {self._whole_s:g} s"
                paused = f"stopped coming for {self._pause_s:g} s"
                text = f"the body {slow if left_s < self._pause_s else paused}: send it faster, or scale the image down"
                raise RequestTimeoutError(text) from error
            reading = message.get("more_body", False)
            return message

        async def closing(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == RequestTimeoutError.status:
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, in_time, closing)
